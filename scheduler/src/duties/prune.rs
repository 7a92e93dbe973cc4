//! The duty that deletes old history.

use std::time::Duration;

use rota_core::port::PruneRequest;
use tokio::time::Instant;

use crate::term::context::TermContext;
use crate::term::failures::TermError;

/// How often old history is looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// Runs deleted in one transaction.
const PRUNE_RUNS: u32 = 50;

/// When old history is looked for next.
pub(crate) struct PruneDuty {
    next: Instant,
}

impl Default for PruneDuty {
    fn default() -> Self {
        Self { next: Instant::now() }
    }
}

impl PruneDuty {
    /// Deletes a page of old runs, if it is time to. Returns how many. Nothing is deleted for good by a leader that may not be
    /// one any more, fence or no fence.
    pub(crate) async fn run(&mut self, context: TermContext<'_>) -> Result<u32, TermError> {
        if Instant::now() < self.next || !context.term.is_trusted() {
            return Ok(0);
        }
        let retention =
            chrono::Duration::from_std(context.options.retention).unwrap_or(chrono::Duration::MAX);
        let before = context.now().await?.checked_sub_signed(retention);
        let Some(before) = before else { return Ok(0) };
        let request = PruneRequest { before, runs_max: PRUNE_RUNS };
        let gone = context.store.ask(|plans| plans.prune(context.epoch, request)).await?;
        if gone > 0 {
            tracing::info!("{gone} runs older than the retention were deleted");
        }
        // A full page means that there is more: go on with the next sweep.
        if gone < PRUNE_RUNS {
            self.next = Instant::now() + PRUNE_EVERY;
        }
        Ok(gone)
    }
}
