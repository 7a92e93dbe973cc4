//! Who leads, and who did.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::StoreResult;
use crate::id::{Epoch, ReplicaId};

/// Who leads.
#[derive(Debug, Clone, PartialEq)]
pub struct LeaderRow {
    /// The current epoch; 0 before the first term.
    pub epoch: Epoch,
    /// The replica that began it.
    pub holder: Option<String>,
    /// When it began.
    pub since: Option<DateTime<Utc>>,
}

/// One term of leadership.
#[derive(Debug, Clone, PartialEq)]
pub struct TermRow {
    /// Its epoch.
    pub epoch: Epoch,
    /// The replica that led.
    pub holder: ReplicaId,
    /// When it began.
    pub began_at: DateTime<Utc>,
    /// When the leader last said that it leads (once a second).
    pub seen_at: DateTime<Utc>,
    /// When the leader gave it away in good order; `None` while it leads, and for one that was killed or cut off.
    pub ended_at: Option<DateTime<Utc>>,
}

/// The beginning and the end of a term.
#[async_trait]
pub trait TermPlans: Send + Sync {
    /// Takes over: a new epoch, held by `holder`. From then on every older one is refused.
    async fn term_begin(&self, holder: &ReplicaId) -> StoreResult<Epoch>;
    /// Notes that the term was given away in good order. Nothing but pages reads it; an old epoch is left alone.
    async fn term_end(&self, epoch: Epoch) -> StoreResult<()>;
}

/// What pages read of terms.
#[async_trait]
pub trait TermViews: Send + Sync {
    /// Who leads.
    async fn view_leader(&self) -> StoreResult<LeaderRow>;
    /// The newest terms, newest first.
    async fn view_terms(&self, limit: usize) -> StoreResult<Vec<TermRow>>;
}
