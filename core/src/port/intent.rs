//! What people ask of runs: to be made, to end, to run again. Each is recorded with who asked, at once; the leader carries it
//! out.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Actor, Object, RunRow, StoreResult};
use crate::id::{DagId, DagVersion, IntentId, RunId, TaskName};
use crate::state::RunState;

/// A request for a manual run.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerRequest {
    /// The DAG.
    pub dag: DagId,
    /// The version that `params` were checked against; the run is pinned to it.
    pub version: DagVersion,
    /// Checked, defaults filled in.
    pub params: Object,
    /// A repeated request with the same key answers with the first one's run (unique per DAG).
    pub idempotency_key: Option<String>,
}

/// A run that a trigger created or found.
#[derive(Debug, Clone, PartialEq)]
pub struct Triggered {
    /// The run.
    pub run: RunRow,
    /// False when the idempotency key had been used before.
    pub created: bool,
}

/// Which tasks of a finished or running run to run again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetrySelection {
    /// All that failed, were cancelled or could not run because of those, with everything downstream of them.
    Failed,
    /// These, with everything downstream of them.
    Tasks(Vec<TaskName>),
}

/// What the leader is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentKind {
    /// End the run.
    Cancel,
    /// Run some of its tasks again.
    Retry(RetrySelection),
}

impl IntentKind {
    /// Why it makes no sense for a run in this state, in words; `None`: it does.
    pub fn refusal(&self, run: RunId, state: RunState) -> Option<String> {
        match self {
            Self::Cancel if state.is_terminal() => {
                Some(format!("run {run} has ended already ({state}): there is nothing to cancel"))
            }
            Self::Retry(_) if state == RunState::Queued => {
                Some(format!("run {run} has not started yet: there is nothing to run again"))
            }
            Self::Cancel | Self::Retry(_) => None,
        }
    }
}

/// An intent that waits for the leader.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// Its row.
    pub id: IntentId,
    /// The run it is about.
    pub run: RunId,
    /// What to do.
    pub kind: IntentKind,
    /// Who asked.
    pub actor: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// What people ask for.
#[async_trait]
pub trait RunIntents: Send + Sync {
    /// Creates a manual run in state `queued`. `NotFound` if the DAG is unknown or its file is gone.
    async fn run_trigger(&self, request: &TriggerRequest, actor: &Actor) -> StoreResult<Triggered>;
    /// Asks the leader to change a run. `NotFound` for an unknown run; `Refused` when the run's state makes it
    /// pointless (cancel of a finished run).
    async fn intent_add(&self, run: RunId, kind: &IntentKind, actor: &Actor) -> StoreResult<IntentId>;
}

/// What of that waits for the leader.
#[async_trait]
pub trait IntentPlans: Send + Sync {
    /// Intents that wait, oldest first.
    async fn intents_pending(&self, limit: usize) -> StoreResult<Vec<Intent>>;
}
