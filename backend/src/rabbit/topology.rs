//! The names of queues and exchanges, and their declaration. Declaring what exists is free, so it is done anew with each
//! connection and whenever a queue turns out to be missing. A queue that exists with other settings is used as it is:
//! its messages are hints like any others.

use std::collections::HashSet;
use std::sync::Mutex;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, Error, ErrorKind, ExchangeKind};
use rota_core::id::{QueueName, WorkerId};
use rota_core::sync::lock;

use super::options::QueueKind;

/// Unreadable messages that are kept for a look at them.
const DEAD_MAX: i32 = 10_000;
/// Hints that wait for a listener at the broker; then the oldest go.
const HINTS_MAX: i32 = 10_000;
/// How often a task's message may be given back before the broker takes it for poison. Giving back is ordinary here, and
/// RabbitMQ 4 would stop at 20.
const RETURNS_MAX: i32 = 1_000_000;
/// AMQP's code for a declaration that differs from what exists.
const PRECONDITION_FAILED: u16 = 406;

/// Everything that is declared.
pub(super) struct Topology {
    prefix: String,
    kind: QueueKind,
    pub(super) bells: ShortString,
    pub(super) nudges: ShortString,
    pub(super) changes: ShortString,
    dead: ShortString,
    /// Queues whose other settings were told about.
    differing: Mutex<HashSet<String>>,
    /// One declaration at a time: RabbitMQ 3.10 says of a quorum queue that it exists while another declaration still
    /// starts it, and closes the connection of whoever then consumes.
    turn: tokio::sync::Mutex<()>,
}

impl Topology {
    pub(super) fn new(prefix: &str, kind: QueueKind) -> Self {
        let name = |what: &str| ShortString::from(format!("{prefix}{what}"));
        Self {
            prefix: prefix.to_owned(),
            kind,
            bells: name("bells"),
            nudges: name("nudges"),
            changes: name("changes"),
            dead: name("dead"),
            differing: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// The broker's name for a queue of tasks.
    pub(super) fn tasks(&self, queue: &QueueName) -> ShortString {
        ShortString::from(format!("{}tasks.{queue}", self.prefix))
    }

    /// What a worker's nudges are addressed with.
    pub(super) fn nudge_key(worker: &WorkerId) -> ShortString {
        ShortString::from(worker.as_str())
    }

    /// Declares what does not depend on the names of queues.
    pub(super) async fn declare(&self, connection: &Connection, channel: &Channel) -> Result<(), Error> {
        let exchanges = [
            (&self.bells, ExchangeKind::Fanout),
            (&self.nudges, ExchangeKind::Direct),
            (&self.changes, ExchangeKind::Fanout),
            (&self.dead, ExchangeKind::Fanout),
        ];
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let declared = exchanges
            .map(|(name, kind)| channel.exchange_declare(name.clone(), kind, durable, FieldTable::default()));
        futures_util::future::try_join_all(declared).await?;
        self.declare_queue(connection, &self.dead, self.arguments(&[("x-max-length", DEAD_MAX)])).await?;
        let (queue, exchange) = (self.dead.clone(), self.dead.clone());
        channel
            .queue_bind(queue, exchange, "".into(), QueueBindOptions::default(), FieldTable::default())
            .await
    }

    /// Declares a queue of tasks.
    pub(super) async fn declare_tasks(
        &self,
        connection: &Connection,
        name: &ShortString,
    ) -> Result<(), Error> {
        let mut arguments = match self.kind {
            QueueKind::Quorum => self.arguments(&[("x-delivery-limit", RETURNS_MAX)]),
            QueueKind::Classic => self.arguments(&[]),
        };
        arguments.insert("x-dead-letter-exchange".into(), text(self.dead.as_str()));
        self.declare_queue(connection, name, arguments).await
    }

    /// Declares a queue that ends with the connection, bound to `exchange`: its name.
    pub(super) async fn declare_own(
        channel: &Channel,
        exchange: ShortString,
        key: ShortString,
    ) -> Result<ShortString, Error> {
        let own =
            QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(HINTS_MAX));
        arguments.insert("x-overflow".into(), text("drop-head"));
        let queue = channel.queue_declare("".into(), own, arguments).await?;
        let name = queue.name().clone();
        let options = QueueBindOptions::default();
        channel.queue_bind(name.clone(), exchange, key, options, FieldTable::default()).await?;
        Ok(name)
    }

    fn arguments(&self, limits: &[(&str, i32)]) -> FieldTable {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), text(self.kind.as_str()));
        if self.kind == QueueKind::Classic {
            // Twice the messages per second of version 1, and none of its pauses. The only one since RabbitMQ 4.
            arguments.insert("x-queue-version".into(), AMQPValue::LongInt(2));
        }
        for (name, limit) in limits {
            arguments.insert((*name).into(), AMQPValue::LongInt(*limit));
        }
        arguments
    }

    /// On a channel of its own, because a refusal closes the channel.
    async fn declare_queue(
        &self,
        connection: &Connection,
        name: &ShortString,
        arguments: FieldTable,
    ) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let channel = connection.create_channel().await?;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        match channel.queue_declare(name.clone(), durable, arguments).await {
            Ok(_) => Ok(()),
            Err(error) if is_differing(&error) => {
                let mut differing = lock(&self.differing);
                if differing.insert(name.to_string()) {
                    tracing::warn!(
                        "queue {name} exists with other settings and is used as it is; delete it to have it as \
                         configured: {error}"
                    );
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn is_differing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error) if error.get_id() == PRECONDITION_FAILED)
}
