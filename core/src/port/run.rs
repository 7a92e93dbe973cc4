//! Runs: their rows, what the leader does to them and what pages ask about them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Object, StoreResult};
use crate::id::{DagId, DagVersion, RunId};
use crate::state::{RunState, Trigger};

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// Its number.
    pub id: RunId,
    /// Its DAG.
    pub dag: DagId,
    /// The version it is pinned to.
    pub version: DagVersion,
    /// Its slot; `None` for a manual run.
    pub slot: Option<DateTime<Utc>>,
    /// The slot before it (data interval start).
    pub interval_start: Option<DateTime<Utc>>,
    /// Why it exists.
    pub trigger: Trigger,
    /// Where it is.
    pub state: RunState,
    /// Checked, defaults filled in.
    pub params: Object,
    /// Why it is in that state, in words, where there is something to say (`task load failed: exit code 1`).
    pub reason: Option<String>,
    /// When the row was written.
    pub created_at: DateTime<Utc>,
    /// When it became one of the active runs.
    pub started_at: Option<DateTime<Utc>>,
    /// When it reached a terminal state.
    pub finished_at: Option<DateTime<Utc>>,
    /// The state it will end in, once its tasks have ended, and why: set by a cancel or by the run's time limit.
    pub ending: Option<Ending>,
}

/// Why an active run is being ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// `Failed` (time limit) or `Cancelled`.
    pub state: RunState,
    /// In words: `cancelled by admin`, `time limit of 2h was up`.
    pub reason: String,
}

/// A run for a due slot. Its ledger entry (`fired`) is written with it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    /// The DAG.
    pub dag: DagId,
    /// The version it is pinned to.
    pub version: DagVersion,
    /// The slot: unique per DAG.
    pub slot: DateTime<Utc>,
    /// The slot before it.
    pub interval_start: Option<DateTime<Utc>>,
    /// `Running` if it has a place among the active runs, else `Queued`.
    pub state: RunState,
    /// Defaults.
    pub params: Object,
    /// When it was decided.
    pub at: DateTime<Utc>,
}

impl NewRun {
    /// The row that a store writes for it, under the id that the store gave.
    pub fn into_row(self, id: RunId) -> RunRow {
        RunRow {
            id,
            dag: self.dag,
            version: self.version,
            slot: Some(self.slot),
            interval_start: self.interval_start,
            trigger: Trigger::Schedule,
            state: self.state,
            params: self.params,
            reason: None,
            created_at: self.at,
            started_at: (self.state == RunState::Running).then_some(self.at),
            finished_at: None,
            ending: None,
        }
    }
}

/// A run that changes state.
#[derive(Debug, Clone, PartialEq)]
pub struct RunTransition {
    /// The run.
    pub run: RunId,
    /// A guard.
    pub from: RunState,
    /// The new state. `Running` sets `started_at` to `at`; terminal states set `finished_at` to `at`; `Queued` (tasks of
    /// a finished run are to run again) clears `finished_at`, `ending` and `reason`.
    pub to: RunState,
    /// When.
    pub at: DateTime<Utc>,
    /// Why, in words.
    pub reason: Option<String>,
}

/// Which runs to list, newest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RunFilter {
    /// Only of this DAG.
    pub dag: Option<DagId>,
    /// Only in these states; empty: all.
    pub states: Vec<RunState>,
    /// Only those with smaller ids (the last one of the page before).
    pub before: Option<RunId>,
    /// At most this many.
    pub limit: usize,
}

/// Runs that are not over.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ActiveRuns {
    /// How many run.
    pub running: u64,
    /// How many wait for their turn.
    pub queued: u64,
    /// Some of them: those that run before those that wait, and of each the oldest first.
    pub list: Vec<RunRow>,
}

/// The DAGs with runs that failed within a stretch of time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FailedDags {
    /// DAGs of which no later run has succeeded.
    pub failing: u64,
    /// DAGs of which a later run has.
    pub recovered: u64,
    /// Some of them: those that still fail first, and of each the newest failures first.
    pub list: Vec<FailedDag>,
}

/// A DAG with failed runs.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedDag {
    /// The newest of them.
    pub run: RunRow,
    /// How many there are.
    pub runs: u64,
    /// Whether a later run has succeeded.
    pub recovered: bool,
}

/// What several roles read of runs.
#[async_trait]
pub trait RunReads: Send + Sync {
    /// One run.
    async fn run_load(&self, run: RunId) -> StoreResult<Option<RunRow>>;
}

/// What the leader reads of runs.
#[async_trait]
pub trait RunPlans: Send + Sync {
    /// Runs that are queued or running, oldest first, with ids above `after`, at most `limit`.
    async fn runs_active(&self, after: RunId, limit: usize) -> StoreResult<Vec<RunRow>>;
    /// Runs in state `queued` with ids above `after` that the leader did not make itself for a slot, oldest first: those
    /// that it may not know yet.
    async fn runs_queued(&self, after: RunId, limit: usize) -> StoreResult<Vec<RunRow>>;
}

/// What pages read of runs.
#[async_trait]
pub trait RunViews: Send + Sync {
    /// The newest `per_dag` runs of each of these DAGs, newest first within a DAG.
    async fn view_recent_runs(&self, dags: &[DagId], per_dag: usize) -> StoreResult<Vec<RunRow>>;
    /// Runs, newest first.
    async fn view_runs(&self, filter: &RunFilter) -> StoreResult<Vec<RunRow>>;
    /// The manual run that an idempotency key stands for.
    async fn view_run_by_key(&self, dag: &DagId, key: &str) -> StoreResult<Option<RunRow>>;
    /// How many runs are not over, of one DAG or of all, and at most `limit` of them.
    async fn view_active_runs(&self, dag: Option<&DagId>, limit: usize) -> StoreResult<ActiveRuns>;
    /// How many DAGs have runs that failed since then, and at most `limit` of those DAGs.
    async fn view_failed_dags(&self, since: DateTime<Utc>, limit: usize) -> StoreResult<FailedDags>;
}
