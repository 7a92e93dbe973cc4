//! What a DAG file says, once it is known to be valid. Shapes only; `parse` fills them, `plan` walks them.

use std::collections::BTreeMap;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{DagId, QueueName, TaskName, TaskNo};
use crate::schedule::Schedule;
use crate::state::TaskState;

use super::error::Remark;

/// One valid DAG version. Task numbers are places in `tasks`, in file order.
#[derive(Debug, Clone)]
pub struct Dag {
    /// Its name: `dag:`, else the file's stem.
    pub id: DagId,
    /// `description:`.
    pub description: Option<String>,
    /// `owner:`.
    pub owner: Option<String>,
    /// `tags:`.
    pub tags: Vec<String>,
    /// When it is due; `None` is `@manual`.
    pub schedule: Option<Schedule>,
    /// Most runs that are active (queued runs not counted) at a time.
    pub max_active_runs: u32,
    /// What becomes of a slot that is due while `max_active_runs` are active.
    pub overlap: Overlap,
    /// The run's time limit, from its start.
    pub timeout: Option<Duration>,
    /// Typed parameters in file order.
    pub params: IndexMap<String, Param>,
    /// Environment of every task (templates).
    pub env: BTreeMap<String, String>,
    /// The tasks in file order.
    pub tasks: Vec<Task>,
    /// The edges between them.
    pub graph: Graph,
    /// What may not mean what its writer meant, by position.
    pub remarks: Vec<Remark>,
}

/// The dependencies, as places in [`Dag::tasks`]. Acyclic.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// Per task: those it needs, ascending.
    pub up: Vec<Vec<TaskNo>>,
    /// Per task: those that need it, ascending.
    pub down: Vec<Vec<TaskNo>>,
    /// One topological order of all tasks (upstream first; file order among equals).
    pub order: Vec<TaskNo>,
}

impl Graph {
    /// The tasks that this one needs, ascending.
    pub fn up_of(&self, task: TaskNo) -> &[TaskNo] {
        &self.up[task.place()]
    }

    /// The tasks that need this one, ascending.
    pub fn down_of(&self, task: TaskNo) -> &[TaskNo] {
        &self.down[task.place()]
    }
}

/// One task.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its key in the file.
    pub name: TaskName,
    /// The line of that key in the file, from 1.
    pub line: u32,
    /// What it does.
    pub action: Action,
    /// `when:`, the text of a template or bare expression; a false result skips the task.
    pub when: Option<String>,
    /// Which upstream states start it.
    pub trigger_rule: TriggerRule,
    /// Attempts after the first that a failure may use.
    pub retries: u32,
    /// How long a retry waits.
    pub backoff: Backoff,
    /// Time limit of one attempt.
    pub timeout: Option<Duration>,
    /// From TERM to KILL.
    pub grace: Duration,
    /// The queue it is published to.
    pub queue: QueueName,
    /// Higher first.
    pub priority: i32,
    /// Its own environment (templates), over the DAG's.
    pub env: BTreeMap<String, String>,
    /// Working directory, relative to the DAG file's folder (template).
    pub cwd: Option<String>,
    /// `shell:` for `run:` strings, as argv that takes the script as its last argument; `None` is the default shell.
    pub shell: Option<Vec<String>>,
    /// What becomes of an attempt whose worker is gone.
    pub on_lost: OnLost,
    /// Output keys that the task promises; a successful attempt that lacks one has failed.
    pub outputs: Vec<String>,
    /// The upstream tasks whose outputs its command, environment or directory reads, ascending.
    pub reads_outputs_of: Vec<TaskNo>,
    /// The upstream tasks whose outputs its `when` reads, ascending.
    pub when_reads_outputs_of: Vec<TaskNo>,
}

/// What a task does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A shell script (template; values placed into it are shell-quoted).
    Script(String),
    /// A program and its arguments (each a template, each one argument).
    Argv(Vec<String>),
    /// Nothing: succeeds when a worker claims it.
    Noop,
}

/// What an attempt takes of its worker while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// One of its slots.
    Slot,
    /// Nothing that is counted.
    Nothing,
}

impl Action {
    /// One word for it, for people.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Script(_) => "script",
            Self::Argv(_) => "command",
            Self::Noop => "noop",
        }
    }

    /// What it takes of a worker. Tasks that take nothing have a queue of their own, which every worker serves.
    pub const fn cost(&self) -> Cost {
        match self {
            Self::Script(_) | Self::Argv(_) => Cost::Slot,
            Self::Noop => Cost::Nothing,
        }
    }

    /// Whether it can end in a failure of its own.
    pub const fn can_fail(&self) -> bool {
        match self {
            Self::Script(_) | Self::Argv(_) => true,
            Self::Noop => false,
        }
    }

    /// Its texts as they stand in the file: a script, or the words of a command.
    pub fn texts(&self) -> &[String] {
        match self {
            Self::Script(script) => std::slice::from_ref(script),
            Self::Argv(argv) => argv,
            Self::Noop => &[],
        }
    }
}

/// `retry_delay`, `retry_backoff`, `retry_max_delay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// `fixed` waits `delay` each time; `exponential` draws from 0 to `delay * 2^(n-1)` (full jitter).
    pub kind: BackoffKind,
    /// The first delay.
    pub delay: Duration,
    /// No delay is longer.
    pub delay_max: Duration,
}

/// How delays grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackoffKind {
    /// Always `delay`.
    Fixed,
    /// Doubles with each retry, full jitter.
    Exponential,
}

/// What becomes of an attempt whose worker is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    /// Started again, without using up `retries`, at most [`LOSSES_MAX`] times: at least once.
    Retry,
    /// Never started again: at most once, a person decides.
    Fail,
}

/// How often a lost attempt is started again.
pub const LOSSES_MAX: u32 = 5;

/// What becomes of a due slot while `max_active_runs` are active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The run waits its turn.
    Queue,
    /// The slot is skipped, with the reason in the ledger.
    Skip,
    /// The oldest active run is cancelled to make room.
    CancelPrevious,
}

/// Airflow's trigger rules with their exact meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "each variant is Airflow's rule of that name; `plan::rule` says what it does"
)]
pub enum TriggerRule {
    AllSuccess,
    AllFailed,
    AllDone,
    AllDoneMinOneSuccess,
    AllDoneSetupSuccess,
    OneSuccess,
    OneFailed,
    OneDone,
    NoneFailed,
    NoneFailedMinOneSuccess,
    NoneSkipped,
    AllSkipped,
    Always,
}

impl TriggerRule {
    /// Every rule, in the order of declaration.
    pub const ALL: &[Self] = &[
        Self::AllSuccess,
        Self::AllFailed,
        Self::AllDone,
        Self::AllDoneMinOneSuccess,
        Self::AllDoneSetupSuccess,
        Self::OneSuccess,
        Self::OneFailed,
        Self::OneDone,
        Self::NoneFailed,
        Self::NoneFailedMinOneSuccess,
        Self::NoneSkipped,
        Self::AllSkipped,
        Self::Always,
    ];

    /// The word used in DAG files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllSuccess => "all_success",
            Self::AllFailed => "all_failed",
            Self::AllDone => "all_done",
            Self::AllDoneMinOneSuccess => "all_done_min_one_success",
            Self::AllDoneSetupSuccess => "all_done_setup_success",
            Self::OneSuccess => "one_success",
            Self::OneFailed => "one_failed",
            Self::OneDone => "one_done",
            Self::NoneFailed => "none_failed",
            Self::NoneFailedMinOneSuccess => "none_failed_min_one_success",
            Self::NoneSkipped => "none_skipped",
            Self::AllSkipped => "all_skipped",
            Self::Always => "always",
        }
    }

    /// Whether a task with this rule over `above` tasks is sure to be `upstream_failed` once one of them ended as `end`,
    /// failed or upstream_failed, whatever becomes of the others.
    pub fn passes_on(self, end: TaskState, above: usize) -> bool {
        match self {
            Self::AllSuccess | Self::NoneFailed | Self::NoneFailedMinOneSuccess => true,
            Self::OneSuccess | Self::AllDoneMinOneSuccess => above == 1,
            Self::OneDone => above == 1 && end == TaskState::UpstreamFailed,
            Self::AllFailed
            | Self::AllDone
            | Self::AllDoneSetupSuccess
            | Self::OneFailed
            | Self::NoneSkipped
            | Self::AllSkipped
            | Self::Always => false,
        }
    }
}

/// One parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Its type.
    pub kind: ParamKind,
    /// Used when a trigger gives none; `None` makes the parameter required.
    pub default: Option<Value>,
    /// The only values allowed, if not empty.
    pub choices: Vec<Value>,
    /// For people.
    pub description: Option<String>,
    /// Smallest number, or shortest text or list.
    pub min: Option<f64>,
    /// Largest number, or longest text or list.
    pub max: Option<f64>,
}

/// A parameter's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "JSON Schema's names for JSON's types")]
pub enum ParamKind {
    String,
    Integer,
    Number,
    Boolean,
    Array,
    Object,
}

impl Dag {
    /// The task of that number.
    pub fn task(&self, task: TaskNo) -> &Task {
        &self.tasks[task.place()]
    }

    /// The number of the task of that name.
    pub fn task_no(&self, name: &str) -> Option<TaskNo> {
        self.tasks.iter().position(|task| task.name.as_str() == name).map(|no| TaskNo(no as u32))
    }

    /// All task numbers, in file order.
    pub fn task_nos(&self) -> impl Iterator<Item = TaskNo> + use<> {
        (0..self.tasks.len() as u32).map(TaskNo)
    }
}
