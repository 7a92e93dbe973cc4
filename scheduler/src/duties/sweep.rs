//! The sweep: everything that a lost doorbell could have been about, one duty after the other.

use crate::duties::intents::IntentDuty;
use crate::duties::prune::PruneDuty;
use crate::duties::reap::{ReapReport, reap};
use crate::duties::republish::Republisher;
use crate::term::LeaderTerm;
use crate::term::failures::TermError;

/// The duties of a sweep, and what they remember.
#[derive(Default)]
pub(crate) struct Sweep {
    pub(crate) intents: IntentDuty,
    republisher: Republisher,
    prune: PruneDuty,
}

/// What came of a sweep.
#[derive(Debug, PartialEq)]
pub(crate) struct SweepReport {
    /// Whether all intents that there were have been carried out.
    pub(crate) heard_all: bool,
    /// What the look for dead workers found.
    pub(crate) reaped: ReapReport,
    /// Attempts that were published again.
    pub(crate) republished: usize,
    /// Old runs that were deleted.
    pub(crate) pruned: u32,
}

impl SweepReport {
    /// Whether it changed anything.
    pub(crate) fn is_worth_a_line(&self) -> bool {
        self.reaped.dead > 0 || self.republished > 0 || self.pruned > 0
    }
}

impl Sweep {
    /// One sweep.
    pub(crate) async fn run(&mut self, term: &mut LeaderTerm<'_>) -> Result<SweepReport, TermError> {
        let reaped = reap(term).await?;
        let heard_all = self.intents.run(term).await?;
        let outstanding = term.state.planner.outstanding();
        term.state.observe(term.context, &outstanding).await?;
        let republished = self.republisher.run(term).await?;
        let pruned = self.prune.run(term.context).await?;
        Ok(SweepReport { heard_all, reaped, republished, pruned })
    }

    /// Forgets what was read from rows.
    pub(crate) fn forget(&mut self) {
        self.republisher = Republisher::default();
        self.intents.look_at_dags_now();
    }
}
