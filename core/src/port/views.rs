//! What pages and commands read. Bounded: every list has a limit.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    DagRow, FileErrorRow, LeaderRow, LogChunk, ReplicaRow, RunRow, SlotOutcome, SlotRow, StoreResult,
    TaskRow, TermRow, WorkerRow,
};
use crate::id::{AttemptKey, DagId, DagVersion, RunId, TaskKey};
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

/// Which ledger entries to list, newest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SlotFilter {
    /// Only of this DAG.
    pub dag: Option<DagId>,
    /// Only with this outcome.
    pub outcome: Option<SlotOutcome>,
    /// Only slots from here on.
    pub since: Option<DateTime<Utc>>,
    /// Only slots before this.
    pub before: Option<DateTime<Utc>>,
    /// At most this many.
    pub limit: usize,
}

/// The ledger, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SlotCounts {
    /// Slots with a run.
    pub fired: u64,
    /// Slots that a policy or a pause skipped.
    pub skipped: u64,
    /// Slots that were missed.
    pub missed: u64,
    /// How late the latest fired slot was, in milliseconds.
    pub late_max_ms: u64,
}

/// A row of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRow {
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
    /// Current attempts of all tasks of these runs that have a row, by key.
    async fn view_tasks(&self, runs: &[RunId]) -> StoreResult<Vec<TaskRow>>;
    /// All attempts of a task, oldest first. Where the task stands is in [`Views::view_tasks`]: one that was cleared and then
    /// settled ended without an attempt.
    async fn view_attempts(&self, task: TaskKey) -> StoreResult<Vec<TaskRow>>;
    /// An attempt's log from chunk `from_seq` on, at most `limit` chunks.
    async fn view_log(&self, attempt: AttemptKey, from_seq: u32, limit: usize) -> StoreResult<Vec<LogChunk>>;
    /// Ledger entries, newest first.
    async fn view_slots(&self, filter: &SlotFilter) -> StoreResult<Vec<SlotRow>>;
    /// The ledger of all DAGs since then, counted.
    async fn view_slot_counts(&self, since: DateTime<Utc>) -> StoreResult<SlotCounts>;
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
    /// The newest audit rows, older than `before` if given.
    async fn view_audit(&self, before: Option<DateTime<Utc>>, limit: usize) -> StoreResult<Vec<AuditRow>>;
}
