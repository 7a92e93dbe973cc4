//! Who is woken. Every message is a hint: it may be lost, doubled, late or out of order without any effect but
//! latency. Messages carry ids only, so a broker can never run a command.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::BrokerError;
use crate::id::{AttemptKey, DagId, QueueName, RunId, WorkerId};

/// A queued attempt on its way to a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// What to claim.
    pub key: AttemptKey,
    /// Where to publish it.
    pub queue: QueueName,
    /// Higher first, where the broker can.
    pub priority: i32,
}

/// A hint to the leader. The leader re-reads the rows that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bell {
    /// These attempts have an outcome.
    Finished(Vec<AttemptKey>),
    /// A person wrote an intent (trigger, pause, cancel, retry).
    Intent,
    /// A worker came or went: slots changed, or attempts may be lost.
    Workers,
}

/// A hint to the dashboard: something about this changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Change {
    /// A run or its tasks.
    Run {
        /// The run.
        run: RunId,
        /// Its DAG.
        dag: DagId,
    },
    /// A DAG: its file, version, pause switch or next slot.
    Dag(DagId),
    /// Workers or schedulers.
    Fleet,
}

/// The broker as leader, workers and web see it.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Publishes queued attempts. Returns those that are known not to have arrived.
    async fn publish(&self, dispatches: &[Dispatch]) -> Result<Vec<AttemptKey>, BrokerError>;
    /// Starts to consume from `queues`.
    async fn consume(&self, queues: &[QueueName]) -> Result<Box<dyn Consumer>, BrokerError>;
    /// Rings the leader's doorbell. Never waits for the leader.
    async fn ring(&self, bell: Bell) -> Result<(), BrokerError>;
    /// Listens to the doorbell. Subscribes before it returns.
    async fn bells(&self) -> Result<Box<dyn Bells>, BrokerError>;
    /// Tells workers that attempts of theirs are to be cancelled.
    async fn nudge(&self, worker: &WorkerId) -> Result<(), BrokerError>;
    /// Listens to the nudges of one worker. Subscribes before it returns.
    async fn nudges(&self, worker: &WorkerId) -> Result<Box<dyn Nudges>, BrokerError>;
    /// Tells dashboards that something changed.
    async fn announce(&self, changes: &[Change]) -> Result<(), BrokerError>;
    /// Listens to changes. Subscribes before it returns.
    async fn changes(&self) -> Result<Box<dyn Changes>, BrokerError>;
}

/// Deliveries from some queues. Dropping it gives unacknowledged deliveries back.
#[async_trait]
pub trait Consumer: Send {
    /// Waits for at least one delivery; returns at most `max` (the caller's free slots; the caller asks again as slots
    /// become free, so nothing waits behind a busy worker).
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BrokerError>;
    /// Acknowledges deliveries, after their claims are committed.
    async fn ack(&mut self, tags: &[u64]) -> Result<(), BrokerError>;
}

/// One message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What to claim.
    pub key: AttemptKey,
    /// For the acknowledgement.
    pub tag: u64,
}

/// The leader's end of the doorbell.
#[async_trait]
pub trait Bells: Send {
    /// Waits for at least one hint; returns all that have gathered, at most `max`.
    async fn next(&mut self, max: usize) -> Result<Vec<Bell>, BrokerError>;
}

/// A worker's end of the nudges.
#[async_trait]
pub trait Nudges: Send {
    /// Waits for a nudge.
    async fn next(&mut self) -> Result<(), BrokerError>;
}

/// A dashboard's end of the changes.
#[async_trait]
pub trait Changes: Send {
    /// Waits for at least one change. `None` in the list's place means that some were lost: re-read all.
    async fn next(&mut self) -> Result<Option<Vec<Change>>, BrokerError>;
}
