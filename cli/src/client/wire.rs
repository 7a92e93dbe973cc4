//! The parts of the API's answers that commands read. Unknown members are ignored, so that an older command goes on
//! working with a newer server.

use rota_core::dag::FileError;
use serde::Deserialize;
use serde_json::{Map, Value};

/// One page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    /// Its entries.
    pub(super) items: Vec<Value>,
    /// Where the next page begins; none: this was the last.
    #[serde(default)]
    pub(super) next_cursor: Option<String>,
}

/// Whether a switch (pause, drain) had been thrown before, by the server's answer to it.
pub(crate) fn was_so(answer: &Value) -> bool {
    answer["changed"] == false
}

/// A DAG.
#[derive(Debug, Deserialize)]
pub(crate) struct Dag {
    /// Its name.
    pub(crate) dag: String,
    /// Whether its schedule is held.
    #[serde(default)]
    pub(crate) paused: bool,
    /// Whether its file is there.
    #[serde(default = "yes")]
    pub(crate) present: bool,
    /// Its schedule in words.
    #[serde(default)]
    pub(crate) schedule: Option<String>,
    /// RFC 3339.
    #[serde(default)]
    pub(crate) next_slot: Option<String>,
    /// Its file.
    #[serde(default)]
    pub(crate) path: String,
    /// Its parameters: by name, `{type, ..}`.
    #[serde(default)]
    pub(crate) params: Map<String, Value>,
}

/// A DAG file.
#[derive(Debug, Deserialize)]
pub(crate) struct ServerFile {
    /// Relative to the DAG directory.
    pub(crate) path: String,
    /// `good` or `broken`.
    pub(crate) state: String,
    /// The DAG that it defines, or did.
    #[serde(default)]
    pub(crate) dag: Option<String>,
    /// RFC 3339.
    #[serde(default)]
    pub(crate) since: String,
    /// Its errors.
    #[serde(default)]
    pub(crate) errors: Vec<FileError>,
}

/// A run. Instants are RFC 3339.
#[derive(Debug, Deserialize)]
pub(crate) struct Run {
    /// Its number.
    pub(crate) id: i64,
    /// Its DAG.
    pub(crate) dag: String,
    /// Its DAG's version.
    #[serde(default)]
    pub(crate) version: i64,
    /// Its slot.
    #[serde(default)]
    pub(crate) slot: Option<String>,
    /// Why it exists.
    #[serde(default)]
    pub(crate) trigger: String,
    /// Where it is.
    pub(crate) state: String,
    /// Its parameters.
    #[serde(default)]
    pub(crate) params: Map<String, Value>,
    /// Why it is there, in words.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// When it was asked for.
    #[serde(default)]
    pub(crate) created_at: Option<String>,
    /// When it started.
    #[serde(default)]
    pub(crate) started_at: Option<String>,
    /// When it ended.
    #[serde(default)]
    pub(crate) finished_at: Option<String>,
}

/// A task of a run. Instants are RFC 3339.
#[derive(Debug, Deserialize)]
pub(crate) struct Task {
    /// Its name.
    pub(crate) task: String,
    /// Which instance.
    #[serde(default)]
    pub(crate) index: u32,
    /// Where it is.
    pub(crate) state: String,
    /// Its current attempt.
    #[serde(default)]
    pub(crate) attempt: u32,
    /// When that started.
    #[serde(default)]
    pub(crate) started_at: Option<String>,
    /// When that ended.
    #[serde(default)]
    pub(crate) finished_at: Option<String>,
    /// Its process's exit code.
    #[serde(default)]
    pub(crate) exit_code: Option<i32>,
    /// Why it is not well, in words.
    #[serde(default)]
    pub(crate) error: Option<String>,
    /// Why it does not move, in words.
    #[serde(default)]
    pub(crate) why: Option<String>,
}

impl Run {
    /// Whether nothing more happens to it by itself.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "success" | "failed" | "cancelled")
    }
}

fn yes() -> bool {
    true
}

/// A scheduler replica.
#[derive(Debug, Deserialize)]
pub(crate) struct Scheduler {
    /// Its name.
    pub(crate) id: String,
    /// Host name.
    #[serde(default)]
    pub(crate) host: String,
    /// Process id.
    #[serde(default)]
    pub(crate) pid: u32,
    /// rota's version.
    #[serde(default)]
    pub(crate) version: String,
    /// The version of its time zone data.
    #[serde(default)]
    pub(crate) zones: String,
    /// `leader`, `standby`, `silent` or `gone`.
    #[serde(default)]
    pub(crate) state: String,
    /// Whether it holds the newest epoch.
    #[serde(default)]
    pub(crate) leader: bool,
    /// What keeps it from doing its part.
    #[serde(default)]
    pub(crate) trouble: Option<String>,
    /// RFC 3339.
    #[serde(default)]
    pub(crate) seen_at: String,
}

impl Scheduler {
    /// Whether it leads or stands by.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state.as_str(), "leader" | "standby")
    }
}

/// A term of leadership.
#[derive(Debug, Deserialize)]
pub(crate) struct Term {
    /// Its epoch.
    pub(crate) epoch: i64,
    /// RFC 3339.
    #[serde(default)]
    pub(crate) began_at: String,
    /// `leads` while it goes on.
    #[serde(default)]
    pub(crate) end: String,
}

/// A life of a worker.
#[derive(Debug, Deserialize)]
pub(crate) struct Worker {
    /// Its name.
    pub(crate) id: String,
    /// Host name.
    #[serde(default)]
    pub(crate) host: String,
    /// `live`, `draining`, `gone` or `dead`.
    #[serde(default)]
    pub(crate) state: String,
    /// Processes it runs at a time.
    #[serde(default)]
    pub(crate) slots: u32,
    /// Attempts it runs.
    #[serde(default)]
    pub(crate) running: u32,
    /// What keeps it from starting tasks.
    #[serde(default)]
    pub(crate) trouble: Option<String>,
    /// The queues it serves.
    #[serde(default)]
    pub(crate) queues: Vec<String>,
    /// Its labels.
    #[serde(default)]
    pub(crate) labels: Map<String, Value>,
    /// RFC 3339.
    #[serde(default)]
    pub(crate) heartbeat_at: String,
    /// Which life.
    #[serde(default)]
    pub(crate) incarnation: i64,
}
