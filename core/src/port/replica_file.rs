//! What each scheduler replica saw in its DAG directory.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::StoreResult;
use crate::id::{DagId, ReplicaId};

/// What a replica sees in its DAG directory: the file of a DAG, or a file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSeen {
    /// The DAG, whatever its file is called; `None` for a file that cannot be used, which goes by its path.
    pub dag: Option<DagId>,
    /// The file's path, relative to the replica's DAG directory.
    pub path: String,
    /// Hash of the content; `None`: no file defines the DAG any more, or the file is no longer unusable.
    pub hash: Option<String>,
}

/// What a replica saw last in its DAG directory. One record per DAG, and one per path of a file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// See [`FileSeen::dag`].
    pub dag: Option<DagId>,
    /// See [`FileSeen::path`].
    pub path: String,
    /// See [`FileSeen::hash`].
    pub hash: Option<String>,
    /// The last content here from which this replica moved away while the store had just that as the DAG's current
    /// version; empty for the absence of a file while the store had the DAG as gone. `None`: that never happened.
    pub prev_hash: Option<String>,
    /// When this replica first saw this content, by the store's clock. Grows with every change, and is later than
    /// [`DagRow::updated_at`](super::DagRow::updated_at) of the version that the change moved away from, whatever the clock did.
    pub seen_at: DateTime<Utc>,
}

/// What a replica records about its own directory.
#[async_trait]
pub trait ReplicaFilePlans: Send + Sync {
    /// Records what a replica sees in its DAG directory: what changed since it last said so. No fence: it is about the
    /// replica itself. One that says the same again changes nothing.
    async fn files_seen(&self, replica: &ReplicaId, seen: &[FileSeen]) -> StoreResult<()>;
    /// What a replica has recorded, in no order.
    async fn files_record(&self, replica: &ReplicaId) -> StoreResult<Vec<FileRecord>>;
    /// Those of these contents (hashes) that are or were a version of their DAG.
    async fn versions_known(&self, contents: &[(DagId, String)]) -> StoreResult<Vec<(DagId, String)>>;
}
