//! What the API's objects look like.

use chrono::{DateTime, Utc};
use rota_core::dag::{Dag, Remark};
use rota_core::id::Epoch;
use rota_core::port::{DagRow, Object, ReplicaRow, RunRow, TaskRow, TermRow, WorkerRow};
use rota_core::state::TaskState;
use serde::Serialize;
use serde_json::{Value, json};

use crate::lead::{LeadershipState, TermEnd, is_silent, vacancy};

/// A DAG: its row, and what its current version says.
#[derive(Debug, Serialize)]
pub(crate) struct DagShape {
    dag: String,
    version: i64,
    path: String,
    hash: String,
    paused: bool,
    /// Whether its file is there.
    present: bool,
    description: Option<String>,
    owner: Option<String>,
    tags: Vec<String>,
    /// For people; null for manual DAGs.
    schedule: Option<String>,
    timezone: Option<String>,
    next_slot: Option<DateTime<Utc>>,
    max_active_runs: Option<u32>,
    tasks: Vec<String>,
    /// By name: {type, default, enum, min, max, description}.
    params: Value,
    /// What may not mean what its writer meant: [{line, col, message, hint}].
    remarks: Vec<Remark>,
    updated_at: DateTime<Utc>,
}

impl DagShape {
    pub(crate) fn new(row: DagRow, dag: Option<&Dag>) -> Self {
        let schedule = dag.and_then(|dag| dag.schedule.as_ref());
        Self {
            dag: row.dag.to_string(),
            version: row.version.0,
            path: row.path,
            hash: row.hash,
            paused: row.paused,
            present: row.present,
            description: dag.and_then(|dag| dag.description.clone()),
            owner: dag.and_then(|dag| dag.owner.clone()),
            tags: dag.map(|dag| dag.tags.clone()).unwrap_or_default(),
            schedule: schedule.map(|schedule| schedule.describe()),
            timezone: schedule.map(|schedule| schedule.spec().timezone.name().to_owned()),
            next_slot: row.next_slot,
            max_active_runs: dag.map(|dag| dag.max_active_runs),
            tasks: dag
                .map(|dag| dag.tasks.iter().map(|task| task.name.to_string()).collect())
                .unwrap_or_default(),
            params: dag.map_or_else(|| json!({}), params),
            remarks: dag.map(|dag| dag.remarks.clone()).unwrap_or_default(),
            updated_at: row.updated_at,
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.dag
    }
}

fn params(dag: &Dag) -> Value {
    let entries = dag.params.iter().map(|(name, param)| {
        let shape = json!({
            "type": param.kind, "default": param.default, "enum": param.choices, "min": param.min, "max": param.max,
            "description": param.description, "required": param.default.is_none(),
        });
        (name.clone(), shape)
    });
    Value::Object(entries.collect())
}

/// The text of a DAG's current version.
#[derive(Debug, Serialize)]
pub(crate) struct SourceShape {
    pub(crate) dag: String,
    pub(crate) version: i64,
    /// Its file's, relative to the DAG directory.
    pub(crate) path: String,
    pub(crate) source: String,
}

/// A run.
#[derive(Debug, Serialize)]
pub(crate) struct RunShape {
    id: i64,
    dag: String,
    version: i64,
    slot: Option<DateTime<Utc>>,
    trigger: &'static str,
    state: &'static str,
    params: Object,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    /// Why it is in its state, where there is something to say.
    reason: Option<String>,
}

impl RunShape {
    pub(crate) fn id(&self) -> i64 {
        self.id
    }
}

impl From<RunRow> for RunShape {
    fn from(run: RunRow) -> Self {
        Self {
            id: run.id.0,
            dag: run.dag.to_string(),
            version: run.version.0,
            slot: run.slot,
            trigger: run.trigger.as_str(),
            state: run.state.as_str(),
            params: run.params,
            created_at: run.created_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
            reason: run.reason,
        }
    }
}

/// A task with its current attempt; `attempt` 0 before the first.
#[derive(Debug, Serialize)]
pub(crate) struct TaskShape {
    task: String,
    index: u32,
    state: &'static str,
    attempt: u32,
    worker: Option<String>,
    queued_at: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    error: Option<String>,
    outputs: Option<Object>,
    /// Why it does not move, where it does not.
    why: Option<String>,
}

impl TaskShape {
    /// A task that has no row yet.
    pub(crate) fn waiting(name: &str) -> Self {
        Self {
            task: name.to_owned(),
            index: 0,
            state: TaskState::Waiting.as_str(),
            attempt: 0,
            worker: None,
            queued_at: None,
            started_at: None,
            finished_at: None,
            exit_code: None,
            signal: None,
            error: None,
            outputs: None,
            why: None,
        }
    }

    /// The same, with the reason why it does not move.
    pub(crate) fn with_why(self, why: Option<String>) -> Self {
        Self { why, ..self }
    }
}

impl From<TaskRow> for TaskShape {
    fn from(task: TaskRow) -> Self {
        Self {
            index: task.key.index,
            state: task.state.as_str(),
            attempt: task.attempt,
            worker: task.worker.map(|worker| worker.to_string()),
            queued_at: task.queued_at,
            started_at: task.started_at,
            finished_at: task.finished_at,
            exit_code: task.exit_code,
            signal: task.signal,
            error: task.error,
            outputs: task.outputs,
            ..Self::waiting(task.name.as_str())
        }
    }
}

/// A worker.
#[derive(Debug, Serialize)]
pub(crate) struct WorkerShape {
    id: String,
    host: String,
    pid: u32,
    version: String,
    queues: Vec<String>,
    labels: Object,
    slots: u32,
    running: u32,
    state: &'static str,
    /// What keeps a live one from starting tasks; it claims none meanwhile.
    trouble: Option<String>,
    heartbeat_at: DateTime<Utc>,
    /// Which life: a restarted worker is a new one.
    incarnation: i64,
    started_at: DateTime<Utc>,
}

impl From<WorkerRow> for WorkerShape {
    fn from(worker: WorkerRow) -> Self {
        Self {
            id: worker.id.to_string(),
            host: worker.host,
            pid: worker.pid,
            version: worker.version,
            queues: worker.queues.iter().map(ToString::to_string).collect(),
            labels: worker.labels,
            slots: worker.slots,
            running: worker.running,
            state: worker.state.as_str(),
            trouble: worker.trouble,
            heartbeat_at: worker.heartbeat_at,
            incarnation: worker.incarnation.0,
            started_at: worker.started_at,
        }
    }
}

/// A scheduler replica.
#[derive(Debug, Serialize)]
pub(crate) struct SchedulerShape {
    id: String,
    host: String,
    pid: u32,
    version: String,
    /// The version of its time zone data.
    zones: String,
    dags_dir: Option<String>,
    /// `standby`, `leader`, `gone`, or `silent` when it was not seen for ten seconds.
    state: &'static str,
    /// Whether the newest term is its.
    leader: bool,
    /// The epoch of that term; null for others.
    epoch: Option<i64>,
    /// When that term began; null for others.
    since: Option<DateTime<Utc>>,
    /// When its planner last completed a turn; null while it stands by.
    turned_at: Option<DateTime<Utc>>,
    /// What keeps it from doing its part; null: nothing does.
    trouble: Option<String>,
    started_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
}

impl SchedulerShape {
    /// A replica that does not lead.
    pub(crate) fn new(replica: ReplicaRow, now: DateTime<Utc>) -> Self {
        Self {
            state: if is_silent(&replica, now) { "silent" } else { replica.state.as_str() },
            id: replica.id.to_string(),
            host: replica.host,
            pid: replica.pid,
            version: replica.version,
            zones: replica.zones,
            dags_dir: replica.dags_dir,
            leader: false,
            epoch: None,
            since: None,
            turned_at: replica.turned_at,
            trouble: replica.trouble,
            started_at: replica.started_at,
            seen_at: replica.seen_at,
        }
    }

    /// The same as the holder of the newest term.
    pub(crate) fn leading(self, epoch: Epoch, since: Option<DateTime<Utc>>, lead: &LeadershipState) -> Self {
        let trouble = match lead {
            LeadershipState::Stuck { why } => Some(why.clone()),
            LeadershipState::Held => None,
            LeadershipState::Vacant { .. } | LeadershipState::Never => self.trouble,
        };
        Self { leader: true, epoch: Some(epoch.0), since, trouble, ..self }
    }
}

/// A term of leadership.
#[derive(Debug, Serialize)]
pub(crate) struct TermShape {
    epoch: i64,
    holder: String,
    began_at: DateTime<Utc>,
    /// When its leader last said that it leads; it says so once a second.
    seen_at: DateTime<Utc>,
    /// When it was given away in good order; null if it was not.
    ended_at: Option<DateTime<Utc>>,
    /// `leads`, `silent`, `handed_over`, `lost` or `replaced`.
    end: &'static str,
    /// How long nobody had led when it began, at most; null for the first one.
    vacant_ms: Option<i64>,
}

impl TermShape {
    /// A term between the one after it and the one before it.
    pub(crate) fn new(
        term: &TermRow,
        next: Option<&TermRow>,
        before: Option<&TermRow>,
        lead: &LeadershipState,
    ) -> Self {
        Self {
            epoch: term.epoch.0,
            holder: term.holder.to_string(),
            began_at: term.began_at,
            seen_at: term.seen_at,
            ended_at: term.ended_at,
            end: TermEnd::of(term, next, lead).as_str(),
            vacant_ms: before.map(|before| vacancy(before, term).num_milliseconds()),
        }
    }
}
