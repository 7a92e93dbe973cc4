//! What pages and commands read. Bounded: every list has a limit.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    DagRow, FileErrorRow, LeaderRow, LedgerCounts, LogChunk, Outages, ReplicaRow, RunRow, SlotFilter,
    SlotRow, SlotStep, StepFilter, StoreResult, TaskRow, TermRow, TimeWindow, WorkerRow,
};
use crate::id::{AttemptKey, AuditId, DagId, DagVersion, RunId, TaskKey};
use crate::state::RunState;

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

/// A row of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Its number: grows with each row, never reused.
    pub id: AuditId,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// Where from.
    pub origin: String,
    /// `run_trigger`, `dag_pause`, `dag_unpause`, `run_cancel`, `run_retry`, `worker_drain`; `dag_version` (a scheduler stored
    /// a new version of a file); `sign_in`, `sign_in_failed`, `sign_out`, `write_refused`.
    pub action: String,
    /// The DAG, run, worker or address it was done to; empty if to none of those.
    pub subject: String,
    /// What came of it, once known.
    pub outcome: Option<String>,
}

impl AuditRow {
    /// Where it stands in the log.
    pub const fn place(&self) -> AuditPlace {
        AuditPlace { at: self.at, id: self.id }
    }
}

/// Where a row stands in the audit log. Two rows may have been written at the same instant, but never with one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditPlace {
    /// When.
    pub at: DateTime<Utc>,
    /// Its number.
    pub id: AuditId,
}

/// How much a chunk of a log holds, without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogExtent {
    /// The chunk's number.
    pub seq: u32,
    /// Bytes of its text.
    pub bytes: u64,
    /// Line ends in it.
    pub newlines: u64,
    /// Whether its last character is one.
    pub ends_line: bool,
}

/// Reads.
#[async_trait]
pub trait Views: Send + Sync {
    /// All DAGs, by id (also those whose files are gone).
    async fn view_dags(&self) -> StoreResult<Vec<DagRow>>;
    /// One DAG.
    async fn view_dag(&self, dag: &DagId) -> StoreResult<Option<DagRow>>;
    /// The source of a DAG version and when it was stored.
    async fn view_source(
        &self,
        dag: &DagId,
        version: DagVersion,
    ) -> StoreResult<Option<(String, DateTime<Utc>)>>;
    /// The newest `per_dag` runs of each of these DAGs, newest first within a DAG.
    async fn view_recent_runs(&self, dags: &[DagId], per_dag: usize) -> StoreResult<Vec<RunRow>>;
    /// Runs, newest first.
    async fn view_runs(&self, filter: &RunFilter) -> StoreResult<Vec<RunRow>>;
    /// One run.
    async fn view_run(&self, run: RunId) -> StoreResult<Option<RunRow>>;
    /// The manual run that an idempotency key stands for.
    async fn view_run_by_key(&self, dag: &DagId, key: &str) -> StoreResult<Option<RunRow>>;
    /// Current attempts of all tasks of these runs that have a row, by key.
    async fn view_tasks(&self, runs: &[RunId]) -> StoreResult<Vec<TaskRow>>;
    /// All attempts of a task, oldest first. Where the task stands is in [`Views::view_tasks`]: one that was cleared and then
    /// settled ended without an attempt.
    async fn view_attempts(&self, task: TaskKey) -> StoreResult<Vec<TaskRow>>;
    /// An attempt's log from chunk `from_seq` on, at most `limit` chunks.
    async fn view_log(&self, attempt: AttemptKey, from_seq: u32, limit: usize) -> StoreResult<Vec<LogChunk>>;
    /// How much each chunk of an attempt's log holds, from chunk `from_seq` on, at most `limit` chunks: the store counts, no
    /// text is handed over.
    async fn view_log_extents(
        &self,
        attempt: AttemptKey,
        from_seq: u32,
        limit: usize,
    ) -> StoreResult<Vec<LogExtent>>;
    /// How many runs are not over, of one DAG or of all, and at most `limit` of them.
    async fn view_active_runs(&self, dag: Option<&DagId>, limit: usize) -> StoreResult<ActiveRuns>;
    /// How many DAGs have runs that failed since then, and at most `limit` of those DAGs.
    async fn view_failed_dags(&self, since: DateTime<Utc>, limit: usize) -> StoreResult<FailedDags>;
    /// Ledger entries, newest first.
    async fn view_slots(&self, filter: &SlotFilter) -> StoreResult<Vec<SlotRow>>;
    /// The ledger of one DAG or of all within a window, counted.
    async fn view_slot_counts(&self, dag: Option<&DagId>, window: TimeWindow) -> StoreResult<LedgerCounts>;
    /// How many outages have a missed slot in a window, and at most `limit` of them.
    async fn view_outages(&self, window: TimeWindow, limit: usize) -> StoreResult<Outages>;
    /// Fired slots by steps of time, in order. Steps without one are left out.
    async fn view_slot_steps(&self, filter: &StepFilter) -> StoreResult<Vec<SlotStep>>;
    /// Broken files, by path.
    async fn view_files_broken(&self) -> StoreResult<Vec<FileErrorRow>>;
    /// Worker incarnations that are live or draining, and others seen within the last day, by id, newest first.
    async fn view_workers(&self) -> StoreResult<Vec<WorkerRow>>;
    /// Who leads.
    async fn view_leader(&self) -> StoreResult<LeaderRow>;
    /// Scheduler replicas seen within the last day, by id.
    async fn view_replicas(&self) -> StoreResult<Vec<ReplicaRow>>;
    /// The newest terms, newest first.
    async fn view_terms(&self, limit: usize) -> StoreResult<Vec<TermRow>>;
    /// Audit rows, newest first, from the one after that place on if one is given.
    async fn view_audit(&self, after: Option<AuditPlace>, limit: usize) -> StoreResult<Vec<AuditRow>>;
}
