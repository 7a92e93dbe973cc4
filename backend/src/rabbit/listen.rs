//! Listening to bells, nudges and changes. A listener lives in this process and never breaks: behind it a task subscribes
//! whenever there is a connection, and after each gap tells the listener that something may have been missed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use lapin::options::BasicConsumeOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer, Error};
use rota_core::id::WorkerId;
use rota_core::port::{Bell, Bells, BrokerError, Change, Changes, Nudges};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::connect::words;
use super::message::{read_bell, read_changes};
use super::session::{Session, SupervisedConnection};
use super::topology::Topology;
use crate::broker::hints::{
    ChangeFeed, ChangeListener, Doorbell, DoorbellListener, NudgeBoard, NudgeListener,
};

/// How long a new listener waits for its subscription. Then it goes on without, and is told once it stands.
const SUBSCRIBE_MAX: Duration = Duration::from_secs(2);
/// Between two attempts to subscribe on a connection that stands.
const RETRY: Duration = Duration::from_millis(250);

/// What takes in the messages of one subscription, in bounded memory.
trait HintSink: Send + Sync + 'static {
    /// Takes in one message, or says why it cannot be read.
    fn hear(&self, body: &[u8]) -> Result<(), String>;
    /// There was a time when nothing was heard.
    fn missed(&self);
}

/// What is listened to.
#[derive(Clone)]
struct HintSource {
    exchange: ShortString,
    key: ShortString,
}

/// A subscription that lasts as long as its listener.
struct HintSubscription {
    task: JoinHandle<()>,
}

impl Drop for HintSubscription {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens to the doorbell.
pub(super) async fn bells(connection: SupervisedConnection, topology: &Topology) -> Box<dyn Bells> {
    let doorbell = Doorbell::default();
    let listener = doorbell.listen();
    let source = HintSource { exchange: topology.bells.clone(), key: "".into() };
    let subscription = subscribe(connection, source, doorbell).await;
    Box::new(RabbitBells { listener, _subscription: subscription })
}

/// Listens to the nudges of one worker.
pub(super) async fn nudges(
    connection: SupervisedConnection,
    topology: &Topology,
    worker: &WorkerId,
) -> Box<dyn Nudges> {
    let board = NudgeBoard::default();
    let listener = board.listen(worker);
    let source = HintSource { exchange: topology.nudges.clone(), key: Topology::nudge_key(worker) };
    let subscription = subscribe(connection, source, OwnNudges { board, worker: worker.clone() }).await;
    Box::new(RabbitNudges { listener, _subscription: subscription })
}

/// Listens to changes.
pub(super) async fn changes(connection: SupervisedConnection, topology: &Topology) -> Box<dyn Changes> {
    let feed = ChangeFeed::default();
    let listener = feed.listen();
    let source = HintSource { exchange: topology.changes.clone(), key: "".into() };
    let subscription = subscribe(connection, source, feed).await;
    Box::new(RabbitChanges { listener, _subscription: subscription })
}

async fn subscribe(
    mut connection: SupervisedConnection,
    source: HintSource,
    ear: impl HintSink,
) -> HintSubscription {
    let is_down = connection.is_down();
    let (ready, is_ready) = oneshot::channel();
    let task = tokio::spawn(async move {
        let mut ready = Some(ready);
        // An error means that the adapter has ended.
        while let Ok(session) = connection.next_session().await {
            let error = match listen(&session, &source).await {
                Ok((_channel, heard)) => {
                    // Whoever does not wait for the subscription any more may have missed something before it.
                    if ready.take().is_none_or(|ready| ready.send(()).is_err()) {
                        ear.missed();
                    }
                    forward(heard, &ear).await
                }
                Err(error) => words(&error),
            };
            tracing::debug!("a subscription to {} ended, subscribing again: {error}", source.exchange);
            tokio::select! {
                () = session.lost.cancelled() => {}
                () = sleep(RETRY) => {}
            }
        }
    });
    if !is_down {
        // Without a subscription the listener goes on and hears of it later.
        let _ = timeout(SUBSCRIBE_MAX, is_ready).await;
    }
    HintSubscription { task }
}

async fn listen(session: &Arc<Session>, source: &HintSource) -> Result<(Channel, Consumer), Error> {
    let channel = session.connection.create_channel().await?;
    let queue = Topology::declare_own(&channel, source.exchange.clone(), source.key.clone()).await?;
    let options = BasicConsumeOptions { no_ack: true, exclusive: true, ..BasicConsumeOptions::default() };
    let consumer = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
    Ok((channel, consumer))
}

/// Hands over what arrives until the subscription ends: why.
async fn forward(mut heard: Consumer, ear: &impl HintSink) -> String {
    loop {
        match heard.next().await {
            Some(Ok(delivery)) => {
                if let Err(why) = ear.hear(&delivery.data) {
                    tracing::debug!("a hint that cannot be read was passed over: {why}");
                }
            }
            Some(Err(error)) => return words(&error),
            None => return "cancelled by the broker".to_owned(),
        }
    }
}

impl HintSink for Doorbell {
    fn hear(&self, body: &[u8]) -> Result<(), String> {
        self.ring(read_bell(body)?);
        Ok(())
    }

    fn missed(&self) {
        self.ring_all(&[Bell::Intent, Bell::Workers]);
    }
}

struct OwnNudges {
    board: NudgeBoard,
    worker: WorkerId,
}

impl HintSink for OwnNudges {
    fn hear(&self, _: &[u8]) -> Result<(), String> {
        self.board.nudge(&self.worker);
        Ok(())
    }

    fn missed(&self) {
        self.board.nudge(&self.worker);
    }
}

impl HintSink for ChangeFeed {
    fn hear(&self, body: &[u8]) -> Result<(), String> {
        self.announce(&read_changes(body)?);
        Ok(())
    }

    fn missed(&self) {
        self.lose();
    }
}

struct RabbitBells {
    listener: DoorbellListener,
    _subscription: HintSubscription,
}

#[async_trait]
impl Bells for RabbitBells {
    async fn next(&mut self, max: usize) -> Result<Vec<Bell>, BrokerError> {
        self.listener.next(max).await
    }
}

struct RabbitNudges {
    listener: NudgeListener,
    _subscription: HintSubscription,
}

#[async_trait]
impl Nudges for RabbitNudges {
    async fn next(&mut self) -> Result<(), BrokerError> {
        self.listener.next().await
    }
}

struct RabbitChanges {
    listener: ChangeListener,
    _subscription: HintSubscription,
}

#[async_trait]
impl Changes for RabbitChanges {
    async fn next(&mut self) -> Result<Option<Vec<Change>>, BrokerError> {
        self.listener.next().await
    }
}
