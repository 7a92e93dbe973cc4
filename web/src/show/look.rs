//! How a state looks: its class (colour), its glyph and its word. Colour never goes alone.

use rota_core::port::{SlotOutcome, WorkerRow, WorkerState};
use rota_core::state::{RunState, TaskState};

/// Class, glyph and word of a state; all three from fixed lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateStyle {
    /// `is-…`, which sets the colours.
    pub(crate) class: &'static str,
    /// The symbol `g-…`.
    pub(crate) glyph: &'static str,
    /// For people.
    pub(crate) word: &'static str,
}

const fn look(class: &'static str, glyph: &'static str, word: &'static str) -> StateStyle {
    StateStyle { class, glyph, word }
}

/// Nothing to complain about.
pub(crate) const OK: StateStyle = look("is-ok", "success", "well");
/// Needs a look soon.
pub(crate) const WARN: StateStyle = look("is-warn", "warn", "needs a look");
/// Broken.
pub(crate) const FAILED: StateStyle = look("is-failed", "failed", "failed");
/// A schedule that is held.
pub(crate) const PAUSED: StateStyle = look("is-paused", "paused", "paused");
/// A slot without a run that should have had one.
pub(crate) const MISSED: StateStyle = look("is-missed", "missed", "missed");
/// A scheduler that leads.
pub(crate) const LEADS: StateStyle = look("is-accent", "leader", "leads");
/// A scheduler that waits for its turn.
pub(crate) const STANDS_BY: StateStyle = look("is-none", "waiting", "stands by");
/// What ended in good order.
pub(crate) const GONE: StateStyle = look("is-none", "cancelled", "gone");

impl StateStyle {
    /// A worker's.
    pub(crate) const fn worker(worker: &WorkerRow) -> Self {
        match worker.state {
            WorkerState::Live if worker.trouble.is_some() => look("is-warn", "paused", "degraded"),
            WorkerState::Live => look("is-ok", "success", "live"),
            WorkerState::Draining => look("is-warn", "paused", "draining"),
            WorkerState::Gone => GONE,
            WorkerState::Dead => look("is-failed", "failed", "lost"),
        }
    }

    /// A task's.
    pub(crate) const fn task(state: TaskState) -> Self {
        match state {
            TaskState::Waiting => look("is-waiting", "waiting", "waiting"),
            TaskState::Queued => look("is-queued", "queued", "queued"),
            TaskState::Running => look("is-running", "running", "running"),
            TaskState::Deferred => look("is-deferred", "deferred", "deferred"),
            TaskState::UpForRetry => look("is-retry", "retry", "up for retry"),
            TaskState::Success => look("is-success", "success", "success"),
            TaskState::Failed => FAILED,
            TaskState::UpstreamFailed => look("is-upstream", "upstream", "upstream failed"),
            TaskState::Skipped => look("is-skipped", "skipped", "skipped"),
            TaskState::Cancelled => look("is-cancelled", "cancelled", "cancelled"),
        }
    }

    /// A run's.
    pub(crate) const fn run(state: RunState) -> Self {
        match state {
            RunState::Queued => look("is-queued", "queued", "queued"),
            RunState::Running => look("is-running", "running", "running"),
            RunState::Success => look("is-success", "success", "success"),
            RunState::Failed => FAILED,
            RunState::Cancelled => look("is-cancelled", "cancelled", "cancelled"),
        }
    }

    /// A ledger entry's.
    pub(crate) const fn slot(outcome: SlotOutcome) -> Self {
        match outcome {
            SlotOutcome::Fired => look("is-success", "success", "fired"),
            SlotOutcome::Skipped => look("is-skipped", "skipped", "skipped"),
            SlotOutcome::Missed => MISSED,
        }
    }
}
