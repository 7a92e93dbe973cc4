//! What is forgotten.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::StoreResult;
use crate::id::Epoch;

/// What to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneRequest {
    /// Finished runs (with tasks, attempts, logs) and ledger entries from before this go.
    pub before: DateTime<Utc>,
    /// At most this many runs in one call, so that the transaction stays short.
    pub runs_max: u32,
}

/// Forgetting.
#[async_trait]
pub trait HistoryPlans: Send + Sync {
    /// Deletes old history. Returns how many runs went; fewer than `runs_max` means done.
    async fn prune(&self, epoch: Epoch, request: PruneRequest) -> StoreResult<u32>;
}
