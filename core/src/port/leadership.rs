//! Who tries to lead. An election decides who tries; only the store's epoch decides whose writes count.

use async_trait::async_trait;

use super::LeadershipError;
use crate::id::ReplicaId;

/// An election among scheduler replicas.
#[async_trait]
pub trait Leadership: Send + Sync {
    /// Waits until this replica may try to lead.
    async fn campaign(&self) -> Result<Box<dyn Term>, LeadershipError>;
    /// The replicas that take part, the current leader first if there is one.
    async fn participants(&self) -> Result<Vec<ReplicaId>, LeadershipError>;
}

/// One stretch of leadership.
#[async_trait]
pub trait Term: Send + Sync {
    /// Whether the local trust window is open. When it is not, only fenced work may go on.
    fn is_trusted(&self) -> bool;
    /// Completes when the term is known to be over.
    async fn ended(&self);
    /// Gives the lead away, so that another replica need not wait for a lease to run out.
    async fn resign(self: Box<Self>);
}
