//! A worker's subscription to queues of tasks, as the port sees it. What is not asked for stays at the broker for other
//! workers, although AMQP only pushes, and although a prefetch is fixed once a consumer stands (RabbitMQ's channel-wide
//! prefetch can be changed, but quorum queues refuse it):
//!
//! - A consumer stands with a prefetch of the free slots that the worker had. Deliveries use it up. An acknowledgement
//!   would pull in the next message, so acknowledgements are *held* until the worker asks again and says how many slots are
//!   free; then as many go out as there is room for, in one frame as a rule. A worker with short tasks, and the lane of
//!   `noop` tasks that always has room, thus never need another round trip.
//! - What was held for [`HOLD_MAX`] goes out anyway: the worker is busy. So that nothing is pulled in, the consumer is
//!   cancelled first, and stands anew, with a smaller prefetch, when the worker asks again (a round trip, for tasks that
//!   take longer than [`HOLD_MAX`]). Likewise what arrived and was not taken for as long is given back.
//! - Each queue has a channel and a prefetch of its own. A worker of several queues may thus be sent its free slots' worth
//!   from each; the surplus goes back after [`HOLD_MAX`].
//!
//! One task per subscription (`consumer_task.rs`) talks to the broker. The port's end only shares memory with it, so its calls
//! may be dropped at any time without losing a delivery.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;
use rota_core::id::QueueName;
use rota_core::port::{BrokerError, Consumer, Delivery};
use tokio::time::{Instant, timeout};

use super::connect::words;
use super::consumer_task::ConsumerTask;
use super::prefetch::PrefetchCredit;
use super::session::{Session, SupervisedConnection};
#[cfg(doc)]
use super::subscription::HOLD_MAX;
use super::subscription::{ConsumedQueue, QUEUE_BITS, Subscription};
use super::topology::Topology;

/// The largest prefetch. The port's callers ask for at most this many.
const PREFETCH_MAX: usize = 1024;
/// How long declaring a queue and opening its channel may take.
const OPEN_MAX: Duration = Duration::from_secs(3);

/// Subscribes to `queues`.
pub(super) async fn consume(
    connection: &SupervisedConnection,
    topology: &Topology,
    queues: &[QueueName],
    unreadable: Arc<AtomicU64>,
) -> Result<Box<dyn Consumer>, BrokerError> {
    let session = connection.session().await?;
    let queues = open(&session, topology, queues).await?;
    let subscription = Arc::new(Subscription::new(queues, unreadable));
    tokio::spawn(ConsumerTask::new(subscription.clone(), session).run());
    Ok(Box::new(RabbitConsumer { subscription }))
}

async fn open(
    session: &Session,
    topology: &Topology,
    queues: &[QueueName],
) -> Result<Vec<ConsumedQueue>, BrokerError> {
    let mut consumed: Vec<ConsumedQueue> = Vec::new();
    for queue in queues.iter().map(|queue| topology.tasks(queue)) {
        if consumed.len() < 1 << QUEUE_BITS && consumed.iter().all(|other| other.name != queue) {
            let opened = async {
                topology.declare_tasks(&session.connection, &queue).await?;
                session.connection.create_channel().await
            };
            let opened = timeout(OPEN_MAX, opened).await;
            let opened =
                opened.map_err(|_| BrokerError(format!("queue {queue} of rabbitmq does not answer")))?;
            let channel = opened.map_err(|error| BrokerError(words(&error)))?;
            consumed.push(ConsumedQueue { channel, name: queue, credit: PrefetchCredit::default() });
        }
    }
    Ok(consumed)
}

struct RabbitConsumer {
    subscription: Arc<Subscription>,
}

/// Takes back what was asked for when the call that had it ends or is dropped.
struct DemandGuard<'d>(&'d Subscription);

impl Drop for DemandGuard<'_> {
    fn drop(&mut self) {
        self.0.lock().wanted = None;
    }
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BrokerError> {
        let room = max.min(PREFETCH_MAX);
        if room == 0 {
            return Ok(Vec::new());
        }
        let _demand = DemandGuard(&self.subscription);
        loop {
            let is_unsuited = {
                let mut state = self.subscription.lock();
                if let Some(why) = &state.ended {
                    return Err(BrokerError(why.clone()));
                }
                state.release(room);
                let deliveries = state.take(room);
                if !deliveries.is_empty() {
                    return Ok(deliveries);
                }
                state.wanted = Some(room);
                state.is_unsuited(room)
            };
            if is_unsuited {
                self.subscription.work.notify_one();
            }
            self.subscription.arrived.notified().await;
        }
    }

    async fn ack(&mut self, tags: &[u64]) -> Result<(), BrokerError> {
        let mut state = self.subscription.lock();
        for tag in tags {
            let queue_no = (tag & ((1 << QUEUE_BITS) - 1)) as usize;
            if let Some(queue) = state.queues.get_mut(queue_no) {
                queue.credit.acknowledged(tag >> QUEUE_BITS);
            }
        }
        // What counts against no prefetch pulls nothing in.
        state.release(0);
        if state.held_since.is_none() && state.has_held() {
            state.held_since = Some(Instant::now());
            self.subscription.work.notify_one();
        }
        match &state.ended {
            Some(why) => Err(BrokerError(why.clone())),
            None => Ok(()),
        }
    }
}

impl Drop for RabbitConsumer {
    fn drop(&mut self) {
        self.subscription.lock().is_left = true;
        self.subscription.work.notify_one();
    }
}
