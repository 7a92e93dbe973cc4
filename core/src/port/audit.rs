//! The audit log: who did what. Every verb of people writes one row of it in its own transaction; deeds that change nothing
//! have a verb here.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::StoreResult;
use crate::id::AuditId;

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
    /// One of [`AuditRow::action`].
    pub action: &'static str,
    /// What it was done to; empty if to nothing in particular.
    pub subject: String,
    /// What came of it.
    pub outcome: Option<String>,
}

/// A row of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Its number: grows with each row, never reused.
    pub id: AuditId,
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub actor: String,
    /// Where from.
    pub origin: String,
    /// `run_trigger`, `dag_pause`, `dag_unpause`, `run_cancel`, `run_retry`, `worker_drain`; `dag_version` (a scheduler stored
    /// a new version of a file); `sign_in`, `sign_in_failed`, `sign_out`, `write_refused`.
    pub action: String,
    /// The DAG, run, worker or address it was done to; empty if to none of those.
    pub subject: String,
    /// What came of it, once known.
    pub outcome: Option<String>,
}

impl AuditRow {
    /// Where it stands in the log.
    pub const fn place(&self) -> AuditPlace {
        AuditPlace { at: self.at, id: self.id }
    }
}

/// Where a row stands in the audit log. Two rows may have been written at the same instant, but never with one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditPlace {
    /// When.
    pub at: DateTime<Utc>,
    /// Its number.
    pub id: AuditId,
}

/// Deeds for the audit log alone.
#[async_trait]
pub trait AuditIntents: Send + Sync {
    /// Writes deeds into the audit log, in this order.
    async fn audit_add(&self, deeds: &[Deed]) -> StoreResult<()>;
}

/// What pages read of the audit log.
#[async_trait]
pub trait AuditViews: Send + Sync {
    /// Audit rows, newest first, from the one after that place on if one is given.
    async fn view_audit(&self, after: Option<AuditPlace>, limit: usize) -> StoreResult<Vec<AuditRow>>;
}
