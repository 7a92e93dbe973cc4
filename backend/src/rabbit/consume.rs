//! A worker's subscription to queues of tasks, as the port sees it. What is not asked for stays at the broker for other
//! workers, although AMQP only pushes, and although a prefetch is fixed once a consumer stands (RabbitMQ's channel-wide
//! prefetch can be changed, but quorum queues refuse it):
//!
//! - A consumer stands with a prefetch of the free slots that the worker had. Deliveries use it up. An acknowledgement
//!   would pull in the next message, so acknowledgements are *held* until the worker asks again and says how many slots are
//!   free; then as many go out as there is room for, in one frame as a rule. A worker with short tasks, and the lane of
//!   `noop` tasks that always has room, thus never need another round trip.
//! - What was held for [`LINGER`] goes out anyway: the worker is busy. So that nothing is pulled in, the consumer is
//!   cancelled first, and stands anew, with a smaller prefetch, when the worker asks again (a round trip, for tasks that
//!   take longer than [`LINGER`]). Likewise what arrived and was not taken for as long is given back.
//! - Each queue has a channel and a prefetch of its own. A worker of several queues may thus be sent its free slots' worth
//!   from each; the surplus goes back after [`LINGER`].
//!
//! One task per subscription (`window.rs`) talks to the broker. The port's end only shares memory with it, so its calls
//! may be dropped at any time without losing a delivery.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use lapin::types::ShortString;
use rota_core::id::{AttemptKey, QueueName};
use rota_core::port::{BrokerError, Consumer, Delivery};
use rota_core::sync::lock;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::account::{Account, Settle};
use super::connect::words;
use super::session::{Session, Supervised};
use super::topology::Topology;
use super::window::Window;

/// How long acknowledgements are held back, and deliveries kept that nobody takes.
pub(super) const LINGER: Duration = Duration::from_millis(100);
/// The largest prefetch. The port's callers ask for at most this many.
const PREFETCH_MAX: usize = 1024;
/// How long declaring a queue and opening its channel may take.
const OPEN_MAX: Duration = Duration::from_secs(3);
/// Where a delivery's lane stands in the tag that the port's callers see.
const LANE_BITS: u32 = 8;

/// What both ends of a subscription share.
#[derive(Default)]
pub(super) struct Desk {
    state: Mutex<DeskState>,
    /// Something arrived, or the subscription ended.
    arrived: Notify,
    /// The window has something to do.
    pub(super) work: Notify,
    /// Messages that could not be read, in the whole process.
    pub(super) unreadable: Arc<AtomicU64>,
}

#[derive(Default)]
pub(super) struct DeskState {
    pub(super) lanes: Vec<Lane>,
    /// Arrived and not handed out, oldest first.
    pub(super) ready: VecDeque<Parcel>,
    /// What a call that waits has asked for.
    pub(super) wanted: Option<usize>,
    /// Since when acknowledgements are held, if any are.
    pub(super) held_since: Option<Instant>,
    /// Why no more will come.
    pub(super) ended: Option<String>,
    /// The port's end was dropped.
    pub(super) is_left: bool,
}

/// One queue.
pub(super) struct Lane {
    pub(super) channel: Channel,
    pub(super) queue: ShortString,
    pub(super) account: Account,
}

/// A delivery that waits to be handed out.
pub(super) struct Parcel {
    pub(super) lane: usize,
    pub(super) tag: u64,
    pub(super) key: AttemptKey,
    pub(super) since: Instant,
}

impl Desk {
    pub(super) fn lock(&self) -> MutexGuard<'_, DeskState> {
        lock(&self.state)
    }

    /// Puts deliveries on the desk.
    pub(super) fn put(&self, parcels: Vec<Parcel>) {
        let mut state = self.lock();
        for parcel in &parcels {
            state.lanes[parcel.lane].account.arrived(parcel.tag);
        }
        state.ready.extend(parcels);
        drop(state);
        self.arrived.notify_one();
    }

    pub(super) fn end(&self, why: String) {
        self.lock().ended.get_or_insert(why);
        self.arrived.notify_one();
    }

    /// Counts a message that cannot be read, and logs the first ones and then ever fewer.
    pub(super) fn count_unreadable(&self, queue: &ShortString, why: &str) {
        let count = self.unreadable.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            tracing::warn!(
                "a message in queue {queue} cannot be read and was put aside ({count} so far): {why}"
            );
        }
    }
}

impl DeskState {
    /// Tells the broker what may be told while `room` more messages are welcome.
    fn release(&mut self, room: usize) {
        let mut is_progress = false;
        for lane in &mut self.lanes {
            let frames = lane.account.release(room);
            is_progress |= !frames.is_empty();
            lane.settle(&frames);
        }
        if is_progress {
            // The oldest went; what is left came later.
            self.held_since = self.has_held().then(Instant::now);
        }
    }

    /// Tells the broker all that is held.
    pub(super) fn release_all(&mut self) {
        self.release(usize::MAX);
    }

    /// Gives back what nobody took.
    pub(super) fn give_back(&mut self) {
        let mut tags = vec![Vec::new(); self.lanes.len()];
        self.ready.drain(..).for_each(|parcel| tags[parcel.lane].push(parcel.tag));
        for (lane, tags) in self.lanes.iter().zip(tags) {
            for Settle { tag, multiple } in lane.account.frames(&tags) {
                let options = BasicNackOptions { multiple, requeue: true };
                // One poll queues the frame. If the channel is gone the broker has the message back already.
                let _ = lane.channel.basic_nack(tag, options).now_or_never();
            }
        }
    }

    pub(super) fn has_held(&self) -> bool {
        self.lanes.iter().any(|lane| lane.account.has_held())
    }

    fn take(&mut self, max: usize) -> Vec<Delivery> {
        let count = max.min(self.ready.len());
        let parcels: Vec<Parcel> = self.ready.drain(..count).collect();
        parcels
            .into_iter()
            .map(|Parcel { lane, tag, key, .. }| {
                self.lanes[lane].account.handed_out(tag);
                Delivery { key, tag: tag << LANE_BITS | lane as u64 }
            })
            .collect()
    }

    /// Whether the consumers' prefetch does not suit a worker that waits with `room` free slots.
    pub(super) fn is_unsuited(&self, room: usize) -> bool {
        let too_little = |lane: &Lane| lane.account.credit() * 2 < room;
        let too_much = |lane: &Lane| lane.account.credit() > room;
        // With several queues the surplus is no more than it would be with new consumers.
        self.lanes.iter().any(too_little) || (self.lanes.len() == 1 && self.lanes.iter().any(too_much))
    }
}

impl Lane {
    fn settle(&self, frames: &[Settle]) {
        for Settle { tag, multiple } in frames {
            // As above: if the channel is gone, the claims stand all the same.
            let _ = self.channel.basic_ack(*tag, BasicAckOptions { multiple: *multiple }).now_or_never();
        }
    }
}

/// Subscribes to `queues`.
pub(super) async fn consume(
    connection: &Supervised,
    topology: &Topology,
    queues: &[QueueName],
    unreadable: Arc<AtomicU64>,
) -> Result<Box<dyn Consumer>, BrokerError> {
    let session = connection.session().await?;
    let lanes = open(&session, topology, queues).await?;
    let state = Mutex::new(DeskState { lanes, ..DeskState::default() });
    let desk = Arc::new(Desk { state, unreadable, ..Desk::default() });
    tokio::spawn(Window::new(desk.clone(), session).run());
    Ok(Box::new(RabbitConsumer { desk }))
}

async fn open(
    session: &Session,
    topology: &Topology,
    queues: &[QueueName],
) -> Result<Vec<Lane>, BrokerError> {
    let mut lanes: Vec<Lane> = Vec::new();
    for queue in queues.iter().map(|queue| topology.tasks(queue)) {
        if lanes.len() < 1 << LANE_BITS && lanes.iter().all(|lane| lane.queue != queue) {
            let opened = async {
                topology.declare_tasks(&session.connection, &queue).await?;
                session.connection.create_channel().await
            };
            let opened = timeout(OPEN_MAX, opened).await;
            let opened =
                opened.map_err(|_| BrokerError(format!("queue {queue} of rabbitmq does not answer")))?;
            let channel = opened.map_err(|error| BrokerError(words(&error)))?;
            lanes.push(Lane { channel, queue, account: Account::default() });
        }
    }
    Ok(lanes)
}

struct RabbitConsumer {
    desk: Arc<Desk>,
}

/// Takes back a wish when the call that had it ends or is dropped.
struct Wish<'d>(&'d Desk);

impl Drop for Wish<'_> {
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
        let _wish = Wish(&self.desk);
        loop {
            let is_unsuited = {
                let mut state = self.desk.lock();
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
                self.desk.work.notify_one();
            }
            self.desk.arrived.notified().await;
        }
    }

    async fn ack(&mut self, tags: &[u64]) -> Result<(), BrokerError> {
        let mut state = self.desk.lock();
        for tag in tags {
            let lane = (tag & ((1 << LANE_BITS) - 1)) as usize;
            if let Some(lane) = state.lanes.get_mut(lane) {
                lane.account.acknowledged(tag >> LANE_BITS);
            }
        }
        // What counts against no prefetch pulls nothing in.
        state.release(0);
        if state.held_since.is_none() && state.has_held() {
            state.held_since = Some(Instant::now());
            self.desk.work.notify_one();
        }
        match &state.ended {
            Some(why) => Err(BrokerError(why.clone())),
            None => Ok(()),
        }
    }
}

impl Drop for RabbitConsumer {
    fn drop(&mut self) {
        self.desk.lock().is_left = true;
        self.desk.work.notify_one();
    }
}
