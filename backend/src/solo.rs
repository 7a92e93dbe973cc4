//! Leadership without an election: the only replica leads whenever nobody in this process does.

use std::sync::Arc;

use async_trait::async_trait;
use rota_core::id::ReplicaId;
use rota_core::port::{Leadership, LeadershipError, Term};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The lonely form of an election. At most one term at a time; resigning (or dropping the term) lets the next begin.
#[derive(Debug, Clone)]
pub struct SoloLeadership {
    replica: ReplicaId,
    seat: Arc<Semaphore>,
}

impl SoloLeadership {
    /// An election with `replica` as the only one that takes part.
    pub fn new(replica: ReplicaId) -> Self {
        Self { replica, seat: Arc::new(Semaphore::new(1)) }
    }
}

#[async_trait]
impl Leadership for SoloLeadership {
    async fn campaign(&self) -> Result<Box<dyn Term>, LeadershipError> {
        let seat = Arc::clone(&self.seat).acquire_owned().await;
        let seat = seat.map_err(|closed| LeadershipError(closed.to_string()))?;
        Ok(Box::new(SoloTerm { _seat: seat }))
    }

    async fn participants(&self) -> Result<Vec<ReplicaId>, LeadershipError> {
        Ok(vec![self.replica.clone()])
    }
}

/// Lasts until it is given up: nobody else can take it.
struct SoloTerm {
    _seat: OwnedSemaphorePermit,
}

#[async_trait]
impl Term for SoloTerm {
    fn is_trusted(&self) -> bool {
        true
    }

    async fn ended(&self) {
        std::future::pending().await
    }

    async fn resign(self: Box<Self>) {}
}
