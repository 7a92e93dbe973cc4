//! The broker inside one process: queues, doorbell, nudges and changes as shared memory. Everything is bounded, and
//! nothing is kept when the process ends: messages are hints, the store knows better.

pub(crate) mod hints;
mod queues;

use std::sync::Arc;

use async_trait::async_trait;
use rota_core::id::{AttemptKey, QueueName, WorkerId};
use rota_core::port::{Bell, Bells, Broker, BrokerError, Change, Changes, Consumer, Dispatch, Nudges};

use hints::{ChangeFeed, Doorbell, NudgeBoard};
use queues::QueueBuffers;

/// The embedded broker. Clones share the queues.
#[derive(Clone, Default)]
pub struct InProcessBroker {
    queues: Arc<QueueBuffers>,
    doorbell: Arc<Doorbell>,
    nudges: Arc<NudgeBoard>,
    changes: Arc<ChangeFeed>,
}

impl InProcessBroker {
    /// A broker with empty queues.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Broker for InProcessBroker {
    async fn publish(&self, dispatches: &[Dispatch]) -> Result<Vec<AttemptKey>, BrokerError> {
        Ok(self.queues.publish(dispatches))
    }

    async fn consume(&self, queues: &[QueueName]) -> Result<Box<dyn Consumer>, BrokerError> {
        Ok(Box::new(QueueBuffers::consume(&self.queues, queues)))
    }

    async fn ring(&self, bell: Bell) -> Result<(), BrokerError> {
        self.doorbell.ring(bell);
        Ok(())
    }

    async fn bells(&self) -> Result<Box<dyn Bells>, BrokerError> {
        Ok(Box::new(self.doorbell.listen()))
    }

    async fn nudge(&self, worker: &WorkerId) -> Result<(), BrokerError> {
        self.nudges.nudge(worker);
        Ok(())
    }

    async fn nudges(&self, worker: &WorkerId) -> Result<Box<dyn Nudges>, BrokerError> {
        Ok(Box::new(self.nudges.listen(worker)))
    }

    async fn announce(&self, changes: &[Change]) -> Result<(), BrokerError> {
        self.changes.announce(changes);
        Ok(())
    }

    async fn changes(&self) -> Result<Box<dyn Changes>, BrokerError> {
        Ok(Box::new(self.changes.listen()))
    }
}
