//! The broker over RabbitMQ (lapin). It may be away at any time: whoever publishes or consumes is told so at once, whoever
//! listens to hints goes on listening and hears of the gap afterwards. It never keeps work of its own: the store knows what
//! is queued.
//!
//! - `session.rs` keeps two connections standing, one to publish and one to consume, each with its channel and topology
//!   as one unit; `connect.rs` bounds an attempt; `health.rs` sums both up.
//! - `publish.rs` publishes attempts with confirms, and hints without.
//! - `consume.rs` says how a worker gets what it has room for and no more; `consumer_task.rs`, `subscription.rs` and
//!   `prefetch.rs` do it.
//! - `listen.rs` listens to bells, nudges and changes over any number of outages.
//! - `topology.rs` names and declares, `message.rs` says what goes over the wire.

mod connect;
mod consume;
mod consumer_task;
mod health;
mod listen;
mod message;
mod options;
mod prefetch;
mod publish;
mod session;
mod subscription;
mod topology;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use lapin::types::ShortString;
use rota_core::id::{AttemptKey, QueueName, WorkerId};
use rota_core::port::{Bell, Bells, Broker, BrokerError, Change, Changes, Consumer, Dispatch, Nudges};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::link::Link;
use health::{BrokerHealth, ConnectionPurpose};
use options::address;
pub use options::{QueueKind, RabbitOptions};
use publish::Publisher;
use session::{ConnectionSupervisor, SupervisedConnection};
use topology::Topology;

/// The clustered broker. Clones share the connections, which end with the last of them.
#[derive(Clone)]
pub struct RabbitBroker {
    inner: Arc<Inner>,
}

struct Inner {
    publisher: Publisher,
    consumers: SupervisedConnection,
    topology: Arc<Topology>,
    health: Arc<BrokerHealth>,
    unreadable: Arc<AtomicU64>,
    _shutdown: DropGuard,
}

impl RabbitBroker {
    /// Begins to connect in the background, for ever. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// If the options can never work: no or bad URLs, an unreadable file of authorities.
    pub fn start(options: RabbitOptions) -> Result<Self, BrokerError> {
        let checked = Arc::new(options.check()?);
        let topology = Arc::new(Topology::new(&options.prefix, options.kind));
        let health = Arc::new(BrokerHealth::new(&address(&checked.uris[0])));
        let shutdown = CancellationToken::new();
        let supervise = |purpose| {
            let parts = (checked.clone(), topology.clone(), health.clone());
            let (supervisor, connection) = ConnectionSupervisor::new(purpose, parts.0, parts.1, parts.2);
            tokio::spawn(supervisor.run(shutdown.clone()));
            connection
        };
        let publisher = Publisher::new(supervise(ConnectionPurpose::Publish), topology.clone());
        let consumers = supervise(ConnectionPurpose::Consume);
        let unreadable = Arc::default();
        let _shutdown = shutdown.clone().drop_guard();
        Ok(Self { inner: Arc::new(Inner { publisher, consumers, topology, health, unreadable, _shutdown }) })
    }

    /// Whether the broker can be used, and why not.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.inner.health.link()
    }

    /// Messages of tasks that this process could not read and put aside.
    pub fn unreadable(&self) -> u64 {
        self.inner.unreadable.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Broker for RabbitBroker {
    async fn publish(&self, dispatches: &[Dispatch]) -> Result<Vec<AttemptKey>, BrokerError> {
        self.inner.publisher.publish(dispatches).await
    }

    async fn consume(&self, queues: &[QueueName]) -> Result<Box<dyn Consumer>, BrokerError> {
        let Inner { consumers, topology, unreadable, .. } = &*self.inner;
        consume::consume(consumers, topology, queues, unreadable.clone()).await
    }

    async fn ring(&self, bell: Bell) -> Result<(), BrokerError> {
        let Inner { publisher, topology, .. } = &*self.inner;
        publisher.hint(&topology.bells, &ShortString::default(), &message::write_bell(&bell)).await
    }

    async fn bells(&self) -> Result<Box<dyn Bells>, BrokerError> {
        Ok(listen::bells(self.inner.consumers.clone(), &self.inner.topology).await)
    }

    async fn nudge(&self, worker: &WorkerId) -> Result<(), BrokerError> {
        let Inner { publisher, topology, .. } = &*self.inner;
        publisher.hint(&topology.nudges, &Topology::nudge_key(worker), &[message::write_nudge()]).await
    }

    async fn nudges(&self, worker: &WorkerId) -> Result<Box<dyn Nudges>, BrokerError> {
        Ok(listen::nudges(self.inner.consumers.clone(), &self.inner.topology, worker).await)
    }

    async fn announce(&self, changes: &[Change]) -> Result<(), BrokerError> {
        let Inner { publisher, topology, .. } = &*self.inner;
        publisher.hint(&topology.changes, &ShortString::default(), &message::write_changes(changes)).await
    }

    async fn changes(&self) -> Result<Box<dyn Changes>, BrokerError> {
        Ok(listen::changes(self.inner.consumers.clone(), &self.inner.topology).await)
    }
}
