//! DAGs and their versions.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{Actor, StoreResult};
use crate::id::{DagId, DagVersion};

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

/// What several roles read of DAGs.
#[async_trait]
pub trait DagReads: Send + Sync {
    /// All DAGs, by id.
    async fn dags_load(&self) -> StoreResult<Vec<DagRow>>;
}

/// The texts of DAGs, for all who parse them.
#[async_trait]
pub trait DagSources: Send + Sync {
    /// The source of a DAG version.
    async fn version_source(&self, dag: &DagId, version: DagVersion) -> StoreResult<String>;
}

/// What pages read of DAGs.
#[async_trait]
pub trait DagViews: Send + Sync {
    /// One DAG.
    async fn view_dag(&self, dag: &DagId) -> StoreResult<Option<DagRow>>;
    /// The source of a DAG version and when it was stored.
    async fn view_source(
        &self,
        dag: &DagId,
        version: DagVersion,
    ) -> StoreResult<Option<(String, DateTime<Utc>)>>;
}

/// What people do to DAGs.
#[async_trait]
pub trait DagIntents: Send + Sync {
    /// Holds or releases a DAG's schedule. Returns whether that changed anything.
    async fn dag_pause(&self, dag: &DagId, paused: bool, actor: &Actor) -> StoreResult<bool>;
}
