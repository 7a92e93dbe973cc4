//! The duty that finds dead workers, what they lost, and what live ones offer.

use rota_core::port::Change;

use crate::term::LeaderTerm;
use crate::term::failures::TermError;

/// What a look for dead workers found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReapReport {
    /// Workers that it declared dead.
    pub(crate) dead: usize,
}

/// Looks for them, and tells the planner.
pub(crate) async fn reap(term: &mut LeaderTerm<'_>) -> Result<ReapReport, TermError> {
    let context = term.context;
    let reaped = context.store.ask(|plans| plans.workers_reap(context.epoch)).await?;
    let now = context.now().await?;
    for worker in &reaped.dead {
        tracing::error!(worker.id = worker.as_str(), "worker {worker} is lost: its lease ran out");
    }
    if !reaped.dead.is_empty() {
        term.sender.announce([Change::Fleet]);
    }
    term.state.planner.capacity_known(&reaped.capacity);
    term.state.planner.lost(&reaped.lost, now)?;
    Ok(ReapReport { dead: reaped.dead.len() })
}
