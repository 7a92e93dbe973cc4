//! What people write: triggers, pause switches, cancels, retries. Each is recorded with who asked, at once; the leader
//! carries it out. Every verb writes one row of the audit log in the same transaction, and deeds that change nothing have a
//! verb of their own.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Object, RunRow, StoreResult};
use crate::id::{DagId, DagVersion, IntentId, RunId, TaskName, WorkerId};
use crate::state::RunState;

/// Who asks, for the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// `admin`, a user's name, or `cli`.
    pub name: String,
    /// Where from: an address, or empty for this process.
    pub origin: String,
}

/// Something that was done, or tried, and that no other verb records: for the audit log alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Who did it.
    pub actor: Actor,
    /// One of [`AuditRow::action`](super::AuditRow::action).
    pub action: &'static str,
    /// What it was done to; empty if to nothing in particular.
    pub subject: String,
    /// What came of it.
    pub outcome: Option<String>,
}

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

/// Writes of people.
#[async_trait]
pub trait Intents: Send + Sync {
    /// Creates a manual run in state `queued`. `NotFound` if the DAG is unknown or its file is gone.
    async fn run_trigger(&self, request: &TriggerRequest, actor: &Actor) -> StoreResult<Triggered>;
    /// Holds or releases a DAG's schedule. Returns whether that changed anything.
    async fn dag_pause(&self, dag: &DagId, paused: bool, actor: &Actor) -> StoreResult<bool>;
    /// Asks the leader to change a run. `NotFound` for an unknown run; `Refused` when the run's state makes it
    /// pointless (cancel of a finished run).
    async fn intent_add(&self, run: RunId, kind: &IntentKind, actor: &Actor) -> StoreResult<IntentId>;
    /// Asks the current life of a worker to claim nothing more and to finish what it has; it hears of it with its next
    /// heartbeat. A new start of the worker ends that. `NotFound` if no such worker lives. Returns whether that changed
    /// anything.
    async fn worker_drain(&self, worker: &WorkerId, actor: &Actor) -> StoreResult<bool>;
    /// Writes deeds into the audit log, in this order.
    async fn audit_add(&self, deeds: &[Deed]) -> StoreResult<()>;
}
