//! Tasks and their attempts: their rows, what the leader does to them, and the claim and the outcome of an attempt.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Object, StoreResult};
use crate::id::{
    AttemptKey, ClaimToken, DagId, DagVersion, Incarnation, QueueName, RunId, TaskKey, TaskName, TaskNo,
    WorkerId,
};
use crate::state::TaskState;

/// A task with its current attempt, or an earlier attempt of it. Tasks that wait have no row, unless a person cleared
/// them: then `attempt` is the last one so far.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRow {
    /// Which task.
    pub key: TaskKey,
    /// Its name.
    pub name: TaskName,
    /// 1 for the first attempt, 0 for a task that ended without one (skipped and the like).
    pub attempt: u32,
    /// Where it is.
    pub state: TaskState,
    /// Its queue.
    pub queue: QueueName,
    /// Higher first.
    pub priority: i32,
    /// Attempts so far that failed (they use up `retries`).
    pub failures: u32,
    /// Attempts so far that were lost with their worker.
    pub losses: u32,
    /// When this attempt was queued; `None` for a task that ended without an attempt.
    pub queued_at: Option<DateTime<Utc>>,
    /// When its claim was committed.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended; for `up_for_retry`, when the failed attempt ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// In `up_for_retry`: when the next attempt is due.
    pub retry_at: Option<DateTime<Utc>>,
    /// Who claimed it.
    pub worker: Option<WorkerId>,
    /// Which life of that worker.
    pub incarnation: Option<Incarnation>,
    /// The process's exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it failed, was skipped or cancelled, in words.
    pub error: Option<String>,
    /// What it wrote to `$ROTA_OUTPUT`.
    pub outputs: Option<Object>,
    /// Whether a running attempt is to be ended.
    pub cancel_requested: bool,
}

impl TaskRow {
    /// The row's attempt.
    pub fn attempt_key(&self) -> AttemptKey {
        self.key.attempt(self.attempt)
    }
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

/// A request to claim queued attempts.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimRequest {
    /// The worker.
    pub worker: WorkerId,
    /// Which life. A claim needs its lease to be live.
    pub incarnation: Incarnation,
    /// Random; identifies this claim if its reply is lost.
    pub nonce: u128,
    /// What to claim. Those that are not queued (any more) are left out of the answer.
    pub keys: Vec<AttemptKey>,
}

/// Claimed attempts that could not be started and may be claimed by others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivingBack {
    /// The worker.
    pub worker: WorkerId,
    /// The life that claimed them.
    pub incarnation: Incarnation,
    /// Which, and the token of each claim.
    pub claims: Vec<(AttemptKey, ClaimToken)>,
}

/// A claimed attempt with all that is needed to run it.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// What was claimed.
    pub key: AttemptKey,
    /// Guards the completion; exported as `ROTA_FENCE_TOKEN`.
    pub token: ClaimToken,
    /// The task's name.
    pub name: TaskName,
    /// The run's DAG.
    pub dag: DagId,
    /// The version the run is pinned to.
    pub version: DagVersion,
    /// The DAG file's path, relative to the DAG directory (for the working directory).
    pub path: String,
    /// The run's slot.
    pub slot: Option<DateTime<Utc>>,
    /// The slot before it.
    pub interval_start: Option<DateTime<Utc>>,
    /// When the run was created.
    pub created_at: DateTime<Utc>,
    /// The run's parameters.
    pub params: Object,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// Which attempt.
    pub key: AttemptKey,
    /// The token of its claim.
    pub token: ClaimToken,
    /// `Success`, `Failed` or `Cancelled`.
    pub state: TaskState,
    /// When its process was started, by the worker's clock; `None` if it never was. Kept apart from the claim's time.
    pub spawned_at: Option<DateTime<Utc>>,
    /// When its process ended.
    pub ended_at: DateTime<Utc>,
    /// The process's exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it did not succeed, in words.
    pub error: Option<String>,
    /// What it wrote to `$ROTA_OUTPUT`.
    pub outputs: Option<Object>,
}

/// What several roles read of tasks.
#[async_trait]
pub trait TaskReads: Send + Sync {
    /// Rows of these runs' tasks (current attempts), by key.
    async fn tasks_of_runs(&self, runs: &[RunId]) -> StoreResult<Vec<TaskRow>>;
}

/// What the leader reads of tasks.
#[async_trait]
pub trait TaskPlans: Send + Sync {
    /// Rows of these tasks; those without a row are left out.
    async fn tasks_load(&self, keys: &[TaskKey]) -> StoreResult<Vec<TaskRow>>;
    /// Queued attempts that were queued before `before`, for publishing again, at most `limit`.
    async fn tasks_unclaimed(&self, before: DateTime<Utc>, limit: usize) -> StoreResult<Vec<QueuedTask>>;
}

/// A worker's side of attempts.
#[async_trait]
pub trait TaskFacts: Send + Sync {
    /// Queued attempts in these queues, by priority, then age; for workers without a broker.
    async fn tasks_queued(&self, queues: &[QueueName], limit: usize) -> StoreResult<Vec<AttemptKey>>;
    /// Claims: queued -> running, for a live incarnation only, in one transaction. After a lost reply, calling again
    /// with the same nonce answers with what the first call claimed.
    async fn tasks_claim(&self, request: &ClaimRequest) -> StoreResult<Vec<Claimed>>;
    /// Records outcomes: running -> `state`, where the token still matches. The success of an attempt that was given up
    /// as lost still ends its task, as long as nobody has claimed the next attempt; the lost one keeps its state. Returns
    /// the attempts whose outcome came too late to count. A note is added to the error of an attempt that was given up.
    /// Calling again with the same finish is harmless and not late.
    async fn tasks_finish(&self, finishes: &[Finish]) -> StoreResult<Vec<AttemptKey>>;
    /// Gives claimed attempts back of which nothing was started: running -> queued, where the token still matches and no cancel
    /// is requested. `Conflict` for a life that the others have given up: what becomes of its attempts is the leader's to say.
    /// Returns those that stay with this worker because they are to be ended. Calling again is harmless.
    async fn tasks_give_back(&self, giving: &GivingBack) -> StoreResult<Vec<AttemptKey>>;
    /// The recorded outputs of tasks of a run (current attempts that succeeded).
    async fn outputs_load(&self, run: RunId, tasks: &[TaskNo]) -> StoreResult<Vec<(TaskNo, u32, Object)>>;
}

/// What pages read of tasks.
#[async_trait]
pub trait TaskViews: Send + Sync {
    /// All attempts of a task, oldest first. Where the task stands is in [`TaskReads::tasks_of_runs`]: one that was cleared and then
    /// settled ended without an attempt.
    async fn view_attempts(&self, task: TaskKey) -> StoreResult<Vec<TaskRow>>;
}
