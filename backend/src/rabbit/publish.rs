//! Publishing with confirms. A batch is written as a whole and its confirms are awaited afterwards, within one deadline.
//! Batches go one after another, for two reasons in lapin: tags are given out before frames are queued, so two writers
//! could swap them; and a returned message may be handed over with another message's confirm. Within one batch that does
//! not matter, because a returned message is known by the ids in its body.

use std::collections::{HashMap, HashSet};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Result};
use rota_core::id::{AttemptKey, QueueName};
use rota_core::port::{BrokerError, Dispatch};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::connect::words;
use super::message::{read_task, write_task};
use super::session::{Session, SupervisedConnection};
use super::topology::Topology;

/// How long one call may take, confirms included. The leader does nothing else meanwhile.
const PUBLISH_MAX: Duration = Duration::from_secs(5);
/// How long the declaration of one queue may take.
const DECLARE_MAX: Duration = Duration::from_secs(3);
/// How long a link that works may take to open a channel.
const PROBE_MAX: Duration = Duration::from_secs(2);
/// How long a queue that took nothing is left alone.
const QUEUE_PAUSE: Duration = Duration::from_secs(15);
/// Messages that await their confirms at a time.
const IN_FLIGHT_MAX: usize = 1024;
/// How long a hint may take to be written.
const HINT_MAX: Duration = Duration::from_secs(1);
/// AMQP's delivery mode for messages that survive a restart of the broker.
const PERSISTENT: u8 = 2;

type BrokerResult<T> = std::result::Result<T, BrokerError>;
/// What became of a message.
type Verdict = Result<Confirmation>;
/// A message on its way.
type Confirm = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// How the wait for a batch ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BatchEnd {
    /// Every message has its verdict.
    Complete,
    /// The deadline passed.
    Late,
    /// The link broke, or the broker blocks publishers.
    Halted,
}

/// Everything that goes out.
pub(super) struct Publisher {
    connection: SupervisedConnection,
    topology: Arc<Topology>,
    confirms: Mutex<Option<ConfirmChannel>>,
}

/// What one session's batches share.
struct ConfirmChannel {
    session: Arc<Session>,
    /// In confirm mode.
    channel: Channel,
    declared: HashSet<QueueName>,
    /// Queues that took nothing, and when they are tried again.
    paused: HashMap<QueueName, Instant>,
    /// A batch was left before all of its confirms had come.
    is_unfinished: bool,
}

impl Publisher {
    pub(super) fn new(connection: SupervisedConnection, topology: Arc<Topology>) -> Self {
        Self { connection, topology, confirms: Mutex::default() }
    }

    /// Publishes; the keys that are known not to have arrived.
    pub(super) async fn publish(&self, dispatches: &[Dispatch]) -> BrokerResult<Vec<AttemptKey>> {
        let deadline = Instant::now() + PUBLISH_MAX;
        let session = self.connection.session().await?;
        let late = || BrokerError(format!("rabbitmq took no messages within {} s", PUBLISH_MAX.as_secs()));
        let mut confirms = timeout_at(deadline, self.confirms.lock()).await.map_err(|_| late())?;
        let prepared = tokio::select! {
            prepared = timeout_at(deadline, self.prepare(&mut confirms, session.clone(), dispatches)) => prepared,
            () = self.connection.halted(&session) => return Err(self.refusal().await),
        };
        let confirms = match prepared {
            Ok(Ok(confirms)) => confirms,
            Ok(Err(error)) => {
                *confirms = None;
                return Err(BrokerError(words(&error)));
            }
            Err(_) => {
                *confirms = None;
                session.lost.cancel();
                return Err(late());
            }
        };
        let (welcome, paused): (Vec<&Dispatch>, Vec<&Dispatch>) =
            dispatches.iter().partition(|dispatch| !confirms.paused.contains_key(&dispatch.queue));
        let mut failed = paused.iter().map(|dispatch| dispatch.key).collect();
        let mut batches = welcome.chunks(IN_FLIGHT_MAX);
        for batch in &mut batches {
            if self.publish_batch(confirms, batch, deadline, &mut failed).await != BatchEnd::Complete {
                break;
            }
        }
        failed.extend(batches.flatten().map(|dispatch| dispatch.key));
        Ok(failed)
    }

    /// Sends hints, unconfirmed, to whoever listens.
    pub(super) async fn hint(
        &self,
        exchange: &ShortString,
        key: &ShortString,
        bodies: &[Vec<u8>],
    ) -> BrokerResult<()> {
        let session = self.connection.session().await?;
        let send = async {
            for body in bodies {
                let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
                let channel = &session.channel;
                channel.basic_publish(exchange.clone(), key.clone(), options, body, properties).await?;
            }
            Ok::<_, lapin::Error>(())
        };
        match timeout(HINT_MAX, send).await {
            Ok(sent) => sent.map_err(|error| BrokerError(words(&error))),
            Err(_) => Err(BrokerError(format!("a hint was not sent within {} s", HINT_MAX.as_secs()))),
        }
    }

    /// Why nothing can be published.
    async fn refusal(&self) -> BrokerError {
        match self.connection.session().await {
            Ok(_) => BrokerError("the connection to rabbitmq was replaced".to_owned()),
            Err(error) => error,
        }
    }

    /// A channel in confirm mode, on which nothing is under way, and the queues of `dispatches`.
    async fn prepare<'t>(
        &self,
        confirms: &'t mut Option<ConfirmChannel>,
        session: Arc<Session>,
        dispatches: &[Dispatch],
    ) -> Result<&'t mut ConfirmChannel> {
        let is_current = |confirms: &ConfirmChannel| {
            Arc::ptr_eq(&confirms.session, &session) && confirms.channel.status().connected()
        };
        let mut ready = match confirms.take().filter(is_current) {
            Some(ready) => ready,
            None => ConfirmChannel {
                channel: confirming(&session).await?,
                session,
                declared: HashSet::new(),
                paused: HashMap::new(),
                is_unfinished: false,
            },
        };
        if ready.is_unfinished {
            // Their keys were reported as failed; late returns must not be mistaken for those of the next batch.
            ready.channel.wait_for_confirms().await?;
            ready.is_unfinished = false;
        }
        let now = Instant::now();
        ready.paused.retain(|_, until| *until > now);
        let mut last = None;
        for queue in dispatches.iter().map(|dispatch| &dispatch.queue) {
            if last.replace(queue) != Some(queue) {
                self.declare(&mut ready, queue).await?;
            }
        }
        Ok(confirms.insert(ready))
    }

    /// Declares a queue unless that was done. One that does not answer is paused.
    async fn declare(&self, confirms: &mut ConfirmChannel, queue: &QueueName) -> Result<()> {
        if confirms.declared.contains(queue) || confirms.paused.contains_key(queue) {
            return Ok(());
        }
        let name = self.topology.tasks(queue);
        match timeout(DECLARE_MAX, self.topology.declare_tasks(&confirms.session.connection, &name)).await {
            Ok(declared) => {
                declared?;
                confirms.declared.insert(queue.clone());
            }
            Err(_) => confirms.pause(queue),
        }
        Ok(())
    }

    async fn publish_batch(
        &self,
        confirms: &mut ConfirmChannel,
        batch: &[&Dispatch],
        deadline: Instant,
        failed: &mut Vec<AttemptKey>,
    ) -> BatchEnd {
        confirms.is_unfinished = true;
        let (verdicts, end) =
            self.await_all(&confirms.session, self.write(&confirms.channel, batch), deadline).await;
        confirms.is_unfinished = verdicts.iter().any(Option::is_none);
        let mut returned = Vec::new();
        let mut silent: HashSet<&QueueName> = batch.iter().map(|dispatch| &dispatch.queue).collect();
        for (dispatch, verdict) in batch.iter().zip(verdicts) {
            let is_taken = matches!(verdict, Some(Ok(Confirmation::Ack(_))));
            if verdict.is_some() {
                silent.remove(&dispatch.queue);
            }
            if let Some(Ok(Confirmation::Ack(Some(message)) | Confirmation::Nack(Some(message)))) = verdict {
                returned.push(message);
            }
            if !is_taken {
                failed.push(dispatch.key);
            }
        }
        if end == BatchEnd::Late && confirms.is_unfinished {
            confirms.tell_apart(silent).await;
        }
        self.take_returned(confirms, batch, returned, failed).await;
        end
    }

    /// What became of each message; `None` if that was not known at the end.
    async fn await_all(
        &self,
        session: &Arc<Session>,
        confirms: Vec<(Confirm, Option<Verdict>)>,
        deadline: Instant,
    ) -> (Vec<Option<Verdict>>, BatchEnd) {
        let mut halt = pin!(async {
            tokio::select! {
                () = sleep_until(deadline) => BatchEnd::Late,
                () = self.connection.halted(session) => BatchEnd::Halted,
            }
        });
        let mut end = BatchEnd::Complete;
        let mut verdicts = Vec::with_capacity(confirms.len());
        for (mut confirm, early) in confirms {
            let verdict = match early {
                Some(verdict) => Some(verdict),
                None if end != BatchEnd::Complete => confirm.now_or_never(),
                None => tokio::select! {
                    biased;
                    verdict = &mut confirm => Some(verdict),
                    halted = &mut halt => {
                        end = halted;
                        None
                    }
                },
            };
            verdicts.push(verdict);
        }
        (verdicts, end)
    }

    /// Queues a batch for the socket, in order: each message's confirm, or its verdict if that is known at once.
    fn write(&self, channel: &Channel, batch: &[&Dispatch]) -> Vec<(Confirm, Option<Verdict>)> {
        let mut last: Option<(&QueueName, ShortString)> = None;
        batch
            .iter()
            .map(|dispatch| {
                let name = match &last {
                    Some((queue, name)) if *queue == &dispatch.queue => name.clone(),
                    _ => self.topology.tasks(&dispatch.queue),
                };
                last = Some((&dispatch.queue, name.clone()));
                let mut confirm = confirm(channel.clone(), name, write_task(&dispatch.key));
                // The first poll queues the frames, so this decides the order on the wire.
                let early = (&mut confirm).now_or_never();
                (confirm, early)
            })
            .collect()
    }

    /// Messages that no queue took: their queue is gone. It is declared anew, and the leader publishes again.
    async fn take_returned(
        &self,
        confirms: &mut ConfirmChannel,
        batch: &[&Dispatch],
        returned: Vec<BasicReturnMessage>,
        failed: &mut Vec<AttemptKey>,
    ) {
        if returned.is_empty() {
            return;
        }
        let keys: HashSet<AttemptKey> =
            returned.iter().filter_map(|message| read_task(&message.delivery.data).ok()).collect();
        let mut gone = HashSet::new();
        for dispatch in batch.iter().filter(|dispatch| keys.contains(&dispatch.key)) {
            if !failed.contains(&dispatch.key) {
                failed.push(dispatch.key);
            }
            gone.insert(&dispatch.queue);
        }
        for queue in gone {
            tracing::warn!("queue {queue} was gone from rabbitmq, declaring it again");
            confirms.declared.remove(queue);
            if let Err(error) = self.declare(confirms, queue).await {
                tracing::debug!(
                    "queue {queue} was not declared, trying again with its next task: {}",
                    words(&error)
                );
            }
        }
    }
}

impl ConfirmChannel {
    /// Not all was confirmed in time, and nothing at all by the `silent` queues. Either the link is as good as gone, or
    /// only they are: a quorum queue without a majority, or one that lost its log, takes messages and never says so.
    async fn tell_apart(&mut self, silent: HashSet<&QueueName>) {
        match timeout(PROBE_MAX, confirming(&self.session)).await {
            Ok(Ok(channel)) => {
                // What comes on the old channel is of no interest any more.
                self.channel = channel;
                self.is_unfinished = false;
                silent.into_iter().for_each(|queue| self.pause(queue));
            }
            Ok(Err(_)) | Err(_) => self.session.lost.cancel(),
        }
    }

    fn pause(&mut self, queue: &QueueName) {
        tracing::warn!(
            "queue {queue} of rabbitmq takes no messages; its tasks are found in the store meanwhile, and it is tried \
             again in {} s",
            QUEUE_PAUSE.as_secs()
        );
        self.paused.insert(queue.clone(), Instant::now() + QUEUE_PAUSE);
    }
}

async fn confirming(session: &Session) -> Result<Channel> {
    let channel = session.connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

fn confirm(channel: Channel, queue: ShortString, body: Vec<u8>) -> Confirm {
    Box::pin(async move {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        channel.basic_publish("".into(), queue, options, &body, properties).await?.await
    })
}
