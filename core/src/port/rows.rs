//! The rows that roles share.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{
    AttemptKey, DagId, DagVersion, Epoch, Incarnation, QueueName, ReplicaId, RunId, TaskKey, TaskName,
    WorkerId,
};
use crate::state::{RunState, TaskState, Trigger};

/// Parameters of a run, or outputs of a task: a JSON object.
pub type Object = Map<String, Value>;

/// A DAG as the store knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct DagRow {
    /// Its name.
    pub dag: DagId,
    /// Its current version.
    pub version: DagVersion,
    /// Its file's path, relative to the DAG directory.
    pub path: String,
    /// SHA-256 of the current version's source, lower-case hex.
    pub hash: String,
    /// Whether its schedule is held. Manual runs start all the same.
    pub paused: bool,
    /// Whether its file is in the DAG directory. If not, nothing new starts; its history stays.
    pub present: bool,
    /// Every slot up to here has its ledger entry. `None` before the first decision.
    pub cursor: Option<DateTime<Utc>>,
    /// When the next slot is due, as the leader computed it; `None`: never.
    pub next_slot: Option<DateTime<Utc>>,
    /// When the leader's DAG directory came to say this: the current version, or that its file is gone, or back.
    pub updated_at: DateTime<Utc>,
}

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

/// What became of a slot, or of a range of slots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlotRow {
    /// The DAG.
    pub dag: DagId,
    /// The slot, or the first of the range.
    pub slot: DateTime<Utc>,
    /// The last slot of the range; equal to `slot` for one slot.
    pub to: DateTime<Utc>,
    /// How many slots the range holds.
    pub count: u64,
    /// Fired, skipped or missed.
    pub outcome: SlotOutcome,
    /// Why it was skipped or missed, in words.
    pub reason: Option<String>,
    /// The run that was created for it.
    pub run: Option<RunId>,
    /// When this was decided; for a fired slot `decided_at - slot` is how late it was.
    pub decided_at: DateTime<Utc>,
}

/// What became of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotOutcome {
    /// It has a run.
    Fired,
    /// A policy or a pause said no.
    Skipped,
    /// It was older than `deadline` when it was looked at, and `catchup` said no.
    Missed,
}

impl SlotOutcome {
    /// The word used in the store, the API and on pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
        }
    }

    /// The value of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Fired, Self::Skipped, Self::Missed].into_iter().find(|outcome| outcome.as_str() == word)
    }
}

/// A file of the DAG directory that cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub struct FileErrorRow {
    /// Its path, relative to the DAG directory.
    pub path: String,
    /// The DAG whose last good version goes on, if the file had one.
    pub dag: Option<DagId>,
    /// Its errors, a JSON list as `rota dag validate -o json` prints them: {path, line, col, message, hint}.
    pub errors: Value,
    /// The text that has the errors, cut to 1 MiB; invalid UTF-8 replaced.
    pub source: String,
    /// When it was first seen like this.
    pub seen_at: DateTime<Utc>,
}

/// A worker incarnation.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerRow {
    /// Its name.
    pub id: WorkerId,
    /// Which life.
    pub incarnation: Incarnation,
    /// Host name.
    pub host: String,
    /// Process id on that host.
    pub pid: u32,
    /// rota's version.
    pub version: String,
    /// The queues it serves.
    pub queues: Vec<QueueName>,
    /// Its labels.
    pub labels: Object,
    /// Processes it runs at a time.
    pub slots: u32,
    /// Attempts it runs now.
    pub running: u32,
    /// Where it is.
    pub state: WorkerState,
    /// What keeps it from starting tasks, in words; it claims none meanwhile.
    pub trouble: Option<String>,
    /// When it last said that it lives.
    pub heartbeat_at: DateTime<Utc>,
    /// When it started.
    pub started_at: DateTime<Utc>,
}

impl WorkerRow {
    /// Whether it claims tasks.
    pub fn takes_tasks(&self) -> bool {
        self.state == WorkerState::Live && self.trouble.is_none()
    }
}

/// Where a worker incarnation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Its lease runs.
    Live,
    /// It finishes what it has and claims nothing more.
    Draining,
    /// It ended in good order.
    Gone,
    /// Its lease ran out, or its next incarnation said so; what it ran is lost.
    Dead,
}

impl WorkerState {
    /// The word used in the store, the API and on pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Draining => "draining",
            Self::Gone => "gone",
            Self::Dead => "dead",
        }
    }

    /// The value of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Live, Self::Draining, Self::Gone, Self::Dead].into_iter().find(|state| state.as_str() == word)
    }
}

/// Who leads.
#[derive(Debug, Clone, PartialEq)]
pub struct LeaderRow {
    /// The current epoch; 0 before the first term.
    pub epoch: Epoch,
    /// The replica that began it.
    pub holder: Option<String>,
    /// When it began.
    pub since: Option<DateTime<Utc>>,
}

/// A scheduler replica.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaRow {
    /// Its name.
    pub id: ReplicaId,
    /// Host name.
    pub host: String,
    /// Process id on that host.
    pub pid: u32,
    /// rota's version.
    pub version: String,
    /// The version of its time zone data: replicas with the same one find the same slots. Empty if it does not say it.
    pub zones: String,
    /// Its DAG directory; `None` for a replica that has none.
    pub dags_dir: Option<String>,
    /// What it last said that it does. One that is not seen any more says nothing: compare `seen_at`.
    pub state: ReplicaState,
    /// When its planner last completed a turn; `None` while it stands by.
    pub turned_at: Option<DateTime<Utc>>,
    /// What keeps it from doing its part, in words; `None`: nothing does.
    pub trouble: Option<String>,
    /// When its process started.
    pub started_at: DateTime<Utc>,
    /// When it last said that it lives.
    pub seen_at: DateTime<Utc>,
}

/// What a scheduler replica does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaState {
    /// It waits for its turn.
    Standby,
    /// It leads, or thinks so: whose writes count is told by [`LeaderRow`].
    Leader,
    /// It ended in good order.
    Gone,
}

impl ReplicaState {
    /// The word used in the store, the API and on pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::Leader => "leader",
            Self::Gone => "gone",
        }
    }

    /// The value of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Standby, Self::Leader, Self::Gone].into_iter().find(|state| state.as_str() == word)
    }
}

/// One term of leadership.
#[derive(Debug, Clone, PartialEq)]
pub struct TermRow {
    /// Its epoch.
    pub epoch: Epoch,
    /// The replica that led.
    pub holder: ReplicaId,
    /// When it began.
    pub began_at: DateTime<Utc>,
    /// When the leader last said that it leads (once a second).
    pub seen_at: DateTime<Utc>,
    /// When the leader gave it away in good order; `None` while it leads, and for one that was killed or cut off.
    pub ended_at: Option<DateTime<Utc>>,
}
