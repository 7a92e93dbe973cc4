//! What workers write: that they live, what they claimed, how it ended, what it printed.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Object, StoreResult, WorkerState};
use crate::id::{
    AttemptKey, ClaimToken, DagId, DagVersion, Incarnation, QueueName, RunId, TaskName, TaskNo, WorkerId,
};
use crate::state::TaskState;

/// A worker that introduces itself.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerHello {
    /// Its name. Earlier incarnations of the same name are dead from now on: their attempts are lost.
    pub id: WorkerId,
    /// Host name.
    pub host: String,
    /// Process id.
    pub pid: u32,
    /// rota's version.
    pub version: String,
    /// The queues it serves.
    pub queues: Vec<QueueName>,
    /// Its labels.
    pub labels: Object,
    /// Processes it runs at a time.
    pub slots: u32,
    /// How long its lease lasts from each beat.
    pub lease: Duration,
}

/// A heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Beat {
    /// The worker.
    pub worker: WorkerId,
    /// Which life.
    pub incarnation: Incarnation,
    /// Attempts it runs now.
    pub running: u32,
    /// `Live`, `Draining` or, as the last beat, `Gone`.
    pub state: WorkerState,
    /// What keeps it from starting tasks now, in words. It claims none meanwhile.
    pub trouble: Option<String>,
    /// How long the lease lasts from now.
    pub lease: Duration,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BeatReply {
    /// The lease was extended. These attempts of this incarnation are to be ended.
    Live {
        /// Running attempts with a cancel request.
        cancel: Vec<AttemptKey>,
        /// Whether a person wants this life to claim nothing more.
        drain: bool,
    },
    /// The incarnation is dead to the others: end all tasks now, then start as a new one.
    Fenced,
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

/// A piece of an attempt's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// Which attempt.
    pub key: AttemptKey,
    /// From 0, growing; chunks are read in this order.
    pub seq: u32,
    /// Whole lines: `2026-11-20T13:00:00.123456Z out text\n`, with `out`, `err` or `sys` (a remark by rota). At most
    /// 64 KiB; bytes that are no UTF-8 were replaced.
    pub text: String,
}

/// Writes of workers.
#[async_trait]
pub trait Facts: Send + Sync {
    /// Registers a new incarnation, live at once.
    async fn worker_register(&self, hello: &WorkerHello) -> StoreResult<Incarnation>;
    /// Extends a lease and hears of cancels. `Gone` gives it up in good order.
    async fn worker_beat(&self, beat: &Beat) -> StoreResult<BeatReply>;
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
    /// The source of a DAG version.
    async fn source_load(&self, dag: &DagId, version: DagVersion) -> StoreResult<String>;
    /// Appends to logs. A chunk that is there already is left alone.
    async fn log_append(&self, chunks: &[LogChunk]) -> StoreResult<()>;
}
