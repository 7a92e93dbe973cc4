//! DAG files as the leader finds them: good ones, broken ones, and those that are gone.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{SlotRow, StoreResult};
use crate::id::{DagId, DagVersion, Epoch};

/// A DAG file that was read and is good.
#[derive(Debug, Clone, PartialEq)]
pub struct DagPut {
    /// The DAG it defines.
    pub dag: DagId,
    /// Its path, relative to the DAG directory.
    pub path: String,
    /// Its text.
    pub source: String,
    /// SHA-256 of the text, lower-case hex. Equal to the current version's: no new version. Another one is audited.
    pub hash: String,
    /// Set when the schedule is new or was changed: where the cursor starts, so that an edit never fires a surprise run.
    /// A cursor that is further already stays.
    pub cursor: Option<DateTime<Utc>>,
    /// The next slot after the cursor, for pages.
    pub next_slot: Option<DateTime<Utc>>,
}

/// A DAG file that was read and cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub struct FileErrorPut {
    /// Its path, relative to the DAG directory.
    pub path: String,
    /// Its errors, as [`FileErrorRow::errors`].
    pub errors: serde_json::Value,
    /// Its text.
    pub source: String,
}

/// What a look at the DAG directory found, compared with what the store had. One transaction.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FilesPut {
    /// New or changed good files (also files that are back).
    pub dags: Vec<DagPut>,
    /// New or changed broken files. The last good version of their DAGs stays current.
    pub errors: Vec<FileErrorPut>,
    /// Paths whose errors are over (mended or gone).
    pub mended: Vec<String>,
    /// DAGs whose files are gone: nothing new starts.
    pub gone: Vec<DagId>,
    /// Ledger entries for slots that were due, and not decided yet, under schedules that end with this.
    pub slots: Vec<SlotRow>,
    /// When: becomes [`DagRow::updated_at`](super::DagRow::updated_at) of DAGs that have a new version, are gone or are back.
    pub at: DateTime<Utc>,
}

/// A file of the DAG directory that cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub struct FileErrorRow {
    /// Its path, relative to the DAG directory.
    pub path: String,
    /// The DAG whose last good version goes on, if the file had one.
    pub dag: Option<DagId>,
    /// Its errors, a JSON list as `rota dag validate -o json` prints them: {path, line, col, message, hint}.
    pub errors: serde_json::Value,
    /// The text that has the errors, cut to 1 MiB; invalid UTF-8 replaced.
    pub source: String,
    /// When it was first seen like this.
    pub seen_at: DateTime<Utc>,
}

/// What several roles read of DAG files.
#[async_trait]
pub trait DagFileReads: Send + Sync {
    /// Broken files, by path.
    async fn files_broken(&self) -> StoreResult<Vec<FileErrorRow>>;
}

/// What the leader takes in.
#[async_trait]
pub trait DagFilePlans: Send + Sync {
    /// Stores what a look at the DAG directory found. Returns the new current versions.
    async fn files_put(&self, epoch: Epoch, files: &FilesPut) -> StoreResult<Vec<(DagId, DagVersion)>>;
}
