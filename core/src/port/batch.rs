//! What the leader writes: runs, queued tasks, outcomes of runs, the ledger. Every verb that writes carries the epoch and
//! does nothing under an old one.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{DagRow, Ending, Intent, Object, ReplicaState, RunRow, SlotRow, StoreResult, TaskRow};
use crate::id::{
    AttemptKey, DagId, DagVersion, Epoch, IntentId, QueueName, ReplicaId, RunId, TaskKey, TaskName, WorkerId,
};
use crate::state::{RunState, TaskState, Trigger};

/// One fenced transaction of the leader: all of it or nothing. Guards that do not hold make it a `Conflict`.
/// Applied in the order of the fields.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// New scheduled runs.
    pub runs: Vec<NewRun>,
    /// Ledger entries of slots without a run.
    pub slots: Vec<SlotRow>,
    /// Cursors moved forward.
    pub cursors: Vec<CursorMove>,
    /// Runs that change state.
    pub run_transitions: Vec<RunTransition>,
    /// Runs that are to end once their tasks have: guard: running, not ending yet.
    pub end_requests: Vec<(RunId, Ending)>,
    /// Tasks whose rows are taken back for another go (a person's retry): guard: the attempt's row is terminal or
    /// `up_for_retry`. The
    /// attempt moves to the history (unless it is attempt 0 or there already); the row stays, in state `waiting`, with the number of
    /// that attempt and everything else reset, so that the next attempt has the next number.
    pub clears: Vec<AttemptKey>,
    /// First attempts of waiting tasks (insert), or the next attempts of cleared ones (update; guard: `waiting`).
    pub queues: Vec<QueuedTask>,
    /// Waiting tasks that end without an attempt (insert, or update of a cleared row; guard: `waiting`).
    pub ends_without_attempt: Vec<SettledTask>,
    /// Failed or lost attempts that will be followed by another: guard: that attempt, `failed` or `running`.
    pub retries: Vec<PlannedRetry>,
    /// Waits that are over: up_for_retry -> queued with the next attempt. The old attempt moves to the history.
    pub requeues: Vec<QueuedTask>,
    /// Lost attempts that will not be followed by another, with the reason: guard: that attempt, `running`. The row
    /// becomes `failed` and its `losses` grow by one, which tells it from a failure that may be retried.
    pub lost_for_good: Vec<(AttemptKey, String)>,
    /// Tasks to cancel: queued and up_for_retry end at once, running ones get a cancel request. No guard: the resulting
    /// rows are returned.
    pub cancels: Vec<(TaskKey, String)>,
    /// Intents that were carried out, with what came of them in words.
    pub intents_done: Vec<(IntentId, String)>,
}

impl Batch {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
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

/// A cursor that moves forward.
#[derive(Debug, Clone, PartialEq)]
pub struct CursorMove {
    /// The DAG.
    pub dag: DagId,
    /// Where it stood: a guard.
    pub from: Option<DateTime<Utc>>,
    /// Every slot up to here is decided.
    pub to: DateTime<Utc>,
    /// The next slot, for pages.
    pub next_slot: Option<DateTime<Utc>>,
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

/// An attempt that may be claimed from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct QueuedTask {
    /// The attempt.
    pub key: AttemptKey,
    /// The task's name.
    pub name: TaskName,
    /// Where it is published.
    pub queue: QueueName,
    /// Higher first.
    pub priority: i32,
    /// When.
    pub at: DateTime<Utc>,
}

/// A task that ends without an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct SettledTask {
    /// The task.
    pub key: TaskKey,
    /// Its name.
    pub name: TaskName,
    /// `Skipped`, `UpstreamFailed`, `Cancelled`, or `Failed` (its `when` could not be evaluated).
    pub state: TaskState,
    /// Why, in words.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// An attempt that will be followed by another.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRetry {
    /// The attempt that failed or was lost.
    pub key: AttemptKey,
    /// When the next one is due.
    pub retry_at: DateTime<Utc>,
    /// Failed attempts so far, this one included if it failed.
    pub failures: u32,
    /// Lost attempts so far, this one included if it was lost.
    pub losses: u32,
    /// For a lost attempt, why it is over; kept as its error.
    pub error: Option<String>,
}

/// What a batch came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Committed {
    /// The ids of `runs`, in their order.
    pub runs: Vec<RunId>,
    /// The rows of `cancels` as they are now (tasks without a row are left out).
    pub cancelled: Vec<TaskRow>,
}

impl Committed {
    /// The workers that run attempts which are to be cancelled, each once: told at once, they need not wait for their next
    /// heartbeat to hear of it.
    pub fn workers_to_tell(&self) -> Vec<WorkerId> {
        let mut workers: Vec<WorkerId> = Vec::new();
        let running = self.cancelled.iter().filter(|row| row.state == TaskState::Running);
        for worker in running.filter_map(|row| row.worker.as_ref()) {
            if !workers.contains(worker) {
                workers.push(worker.clone());
            }
        }
        workers
    }
}

/// A DAG file that was read and is good.
#[derive(Debug, Clone, PartialEq)]
pub struct DagPut {
    /// The DAG it defines.
    pub dag: DagId,
    /// Its path, relative to the DAG directory.
    pub path: String,
    /// Its text.
    pub source: String,
    /// SHA-256 of the text, lower-case hex. Equal to the current version's: no new version. Another one is audited.
    pub hash: String,
    /// Set when the schedule is new or was changed: where the cursor starts, so that an edit never fires a surprise run.
    /// A cursor that is further already stays.
    pub cursor: Option<DateTime<Utc>>,
    /// The next slot after the cursor, for pages.
    pub next_slot: Option<DateTime<Utc>>,
}

/// A DAG file that was read and cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub struct FileErrorPut {
    /// Its path, relative to the DAG directory.
    pub path: String,
    /// Its errors, as [`super::FileErrorRow::errors`].
    pub errors: serde_json::Value,
    /// Its text.
    pub source: String,
}

/// What a look at the DAG directory found, compared with what the store had. One transaction.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FilesPut {
    /// New or changed good files (also files that are back).
    pub dags: Vec<DagPut>,
    /// New or changed broken files. The last good version of their DAGs stays current.
    pub errors: Vec<FileErrorPut>,
    /// Paths whose errors are over (mended or gone).
    pub mended: Vec<String>,
    /// DAGs whose files are gone: nothing new starts.
    pub gone: Vec<DagId>,
    /// Ledger entries for slots that were due, and not decided yet, under schedules that end with this.
    pub slots: Vec<SlotRow>,
    /// When: becomes [`DagRow::updated_at`] of DAGs that have a new version, are gone or are back.
    pub at: DateTime<Utc>,
}

/// What to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneRequest {
    /// Finished runs (with tasks, attempts, logs) and ledger entries from before this go.
    pub before: DateTime<Utc>,
    /// At most this many runs in one call, so that the transaction stays short.
    pub runs_max: u32,
}

/// Capacity that workers offer to one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueCapacity {
    /// The queue.
    pub queue: QueueName,
    /// Slots of all live workers that serve it.
    pub slots: u32,
    /// Those workers.
    pub workers: u32,
}

/// What a look for dead workers found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reaped {
    /// Workers declared dead by this call.
    pub dead: Vec<WorkerId>,
    /// All attempts that are `running` on an incarnation that is dead or gone: lost. The same ones are named again until
    /// a batch has dealt with them.
    pub lost: Vec<AttemptKey>,
    /// What live workers offer.
    pub capacity: Vec<QueueCapacity>,
}

/// A scheduler replica that says that it lives.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaBeat {
    /// Its name. One process at a time has it.
    pub id: ReplicaId,
    /// Host name.
    pub host: String,
    /// Process id.
    pub pid: u32,
    /// rota's version.
    pub version: String,
    /// The version of its time zone data.
    pub zones: String,
    /// Its DAG directory, if it has one.
    pub dags_dir: Option<String>,
    /// What it does. [`ReplicaState::Gone`] as the last beat.
    pub state: ReplicaState,
    /// The epoch that it leads under, if it leads.
    pub epoch: Option<Epoch>,
    /// How long ago its planner completed its last turn, or began its term; `None` while it stands by.
    pub turned_ago: Option<Duration>,
    /// What keeps it from doing its part, in words; `None`: nothing does.
    pub trouble: Option<String>,
}

/// What a replica sees in its DAG directory: the file of a DAG, or a file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSeen {
    /// The DAG, whatever its file is called; `None` for a file that cannot be used, which goes by its path.
    pub dag: Option<DagId>,
    /// The file's path, relative to the replica's DAG directory.
    pub path: String,
    /// Hash of the content; `None`: no file defines the DAG any more, or the file is no longer unusable.
    pub hash: Option<String>,
}

/// What a replica saw last in its DAG directory. One record per DAG, and one per path of a file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// See [`FileSeen::dag`].
    pub dag: Option<DagId>,
    /// See [`FileSeen::path`].
    pub path: String,
    /// See [`FileSeen::hash`].
    pub hash: Option<String>,
    /// The last content here from which this replica moved away while the store had just that as the DAG's current
    /// version; empty for the absence of a file while the store had the DAG as gone. `None`: that never happened.
    pub prev_hash: Option<String>,
    /// When this replica first saw this content, by the store's clock. Grows with every change, and is later than
    /// [`DagRow::updated_at`] of the version that the change moved away from, whatever the clock did.
    pub seen_at: DateTime<Utc>,
}

/// Reads and writes of the leader.
#[async_trait]
pub trait Plans: Send + Sync {
    /// The store's clock, the one that due times and leases compare with.
    async fn now(&self) -> StoreResult<DateTime<Utc>>;
    /// Takes over: a new epoch, held by `holder`. From then on every older one is refused.
    async fn term_begin(&self, holder: &ReplicaId) -> StoreResult<Epoch>;
    /// Notes that the term was given away in good order. Nothing but pages reads it; an old epoch is left alone.
    async fn term_end(&self, epoch: Epoch) -> StoreResult<()>;
    /// Notes that a replica lives and, if it leads, that its term goes on. No fence: it is about the replica itself.
    async fn replica_beat(&self, beat: &ReplicaBeat) -> StoreResult<()>;
    /// Commits a batch under the fence.
    async fn batch_commit(&self, epoch: Epoch, batch: &Batch) -> StoreResult<Committed>;
    /// All DAGs, by id.
    async fn dags_load(&self) -> StoreResult<Vec<DagRow>>;
    /// The source of a DAG version.
    async fn version_source(&self, dag: &DagId, version: DagVersion) -> StoreResult<String>;
    /// Runs that are queued or running, oldest first, with ids above `after`, at most `limit`.
    async fn runs_active(&self, after: RunId, limit: usize) -> StoreResult<Vec<RunRow>>;
    /// One run.
    async fn run_load(&self, run: RunId) -> StoreResult<Option<RunRow>>;
    /// Runs in state `queued` with ids above `after` that the leader did not make itself for a slot, oldest first: those
    /// that it may not know yet.
    async fn runs_queued(&self, after: RunId, limit: usize) -> StoreResult<Vec<RunRow>>;
    /// Rows of these runs' tasks (current attempts), by key.
    async fn tasks_of_runs(&self, runs: &[RunId]) -> StoreResult<Vec<TaskRow>>;
    /// Rows of these tasks; those without a row are left out.
    async fn tasks_load(&self, keys: &[TaskKey]) -> StoreResult<Vec<TaskRow>>;
    /// Queued attempts that were queued before `before`, for publishing again, at most `limit`.
    async fn tasks_unclaimed(&self, before: DateTime<Utc>, limit: usize) -> StoreResult<Vec<QueuedTask>>;
    /// Intents that wait, oldest first.
    async fn intents_pending(&self, limit: usize) -> StoreResult<Vec<Intent>>;
    /// Marks workers whose lease ran out as dead, and names what was lost.
    async fn workers_reap(&self, epoch: Epoch) -> StoreResult<Reaped>;
    /// Broken files, by path.
    async fn files_broken(&self) -> StoreResult<Vec<super::FileErrorRow>>;
    /// Stores what a look at the DAG directory found. Returns the new current versions.
    async fn files_put(&self, epoch: Epoch, files: &FilesPut) -> StoreResult<Vec<(DagId, DagVersion)>>;
    /// Records what a replica sees in its DAG directory: what changed since it last said so. No fence: it is about the
    /// replica itself. One that says the same again changes nothing.
    async fn files_seen(&self, replica: &ReplicaId, seen: &[FileSeen]) -> StoreResult<()>;
    /// What a replica has recorded, in no order.
    async fn files_record(&self, replica: &ReplicaId) -> StoreResult<Vec<FileRecord>>;
    /// Those of these contents (hashes) that are or were a version of their DAG.
    async fn versions_known(&self, contents: &[(DagId, String)]) -> StoreResult<Vec<(DagId, String)>>;
    /// Deletes old history. Returns how many runs went; fewer than `runs_max` means done.
    async fn prune(&self, epoch: Epoch, request: PruneRequest) -> StoreResult<u32>;
}
