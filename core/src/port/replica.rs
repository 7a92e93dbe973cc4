//! Scheduler replicas.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::StoreResult;
use crate::id::{Epoch, ReplicaId};

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
    /// It leads, or thinks so: whose writes count is told by [`LeaderRow`](super::LeaderRow).
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

/// What a replica says of itself.
#[async_trait]
pub trait ReplicaPlans: Send + Sync {
    /// Notes that a replica lives and, if it leads, that its term goes on. No fence: it is about the replica itself.
    async fn replica_beat(&self, beat: &ReplicaBeat) -> StoreResult<()>;
}

/// What pages read of replicas.
#[async_trait]
pub trait ReplicaViews: Send + Sync {
    /// Scheduler replicas seen within the last day, by id.
    async fn view_replicas(&self) -> StoreResult<Vec<ReplicaRow>>;
}
