//! What the two ends of a subscription share: the port's (`consume.rs`) and the broker's (`consumer_task.rs`). Plain state behind
//! one lock; the only calls are those that queue a frame without waiting.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt;
use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use lapin::types::ShortString;
use rota_core::id::AttemptKey;
use rota_core::port::Delivery;
use rota_core::sync::lock;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::prefetch::{PrefetchCredit, SettleFrame};

/// How long acknowledgements are held back, and deliveries kept that nobody takes.
pub(super) const HOLD_MAX: Duration = Duration::from_millis(100);
/// Where a delivery's queue stands in the tag that the port's callers see.
pub(super) const QUEUE_BITS: u32 = 8;

/// What both ends of a subscription share.
pub(super) struct Subscription {
    state: Mutex<SubscriptionState>,
    /// Something arrived, or the subscription ended.
    pub(super) arrived: Notify,
    /// The consumer task has something to do.
    pub(super) work: Notify,
    /// Messages that could not be read, in the whole process.
    pub(super) unreadable: Arc<AtomicU64>,
}

#[derive(Default)]
pub(super) struct SubscriptionState {
    pub(super) queues: Vec<ConsumedQueue>,
    /// Arrived and not handed out, oldest first.
    pub(super) ready: VecDeque<PendingDelivery>,
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
pub(super) struct ConsumedQueue {
    pub(super) channel: Channel,
    pub(super) name: ShortString,
    pub(super) credit: PrefetchCredit,
}

/// A delivery that waits to be handed out.
pub(super) struct PendingDelivery {
    pub(super) queue_no: usize,
    pub(super) tag: u64,
    pub(super) key: AttemptKey,
    pub(super) since: Instant,
}

impl Subscription {
    /// Of these queues. `unreadable` counts for the whole process.
    pub(super) fn new(queues: Vec<ConsumedQueue>, unreadable: Arc<AtomicU64>) -> Self {
        let state = Mutex::new(SubscriptionState { queues, ..SubscriptionState::default() });
        Self { state, arrived: Notify::new(), work: Notify::new(), unreadable }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, SubscriptionState> {
        lock(&self.state)
    }

    /// Takes in deliveries.
    pub(super) fn put(&self, pending: Vec<PendingDelivery>) {
        let mut state = self.lock();
        for delivery in &pending {
            state.queues[delivery.queue_no].credit.arrived(delivery.tag);
        }
        state.ready.extend(pending);
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

impl SubscriptionState {
    /// Tells the broker what may be told while `room` more messages are welcome.
    pub(super) fn release(&mut self, room: usize) {
        let mut is_progress = false;
        for queue in &mut self.queues {
            let frames = queue.credit.release(room);
            is_progress |= !frames.is_empty();
            queue.settle(&frames);
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
        let mut tags = vec![Vec::new(); self.queues.len()];
        self.ready.drain(..).for_each(|delivery| tags[delivery.queue_no].push(delivery.tag));
        for (queue, tags) in self.queues.iter().zip(tags) {
            for SettleFrame { tag, multiple } in queue.credit.frames(&tags) {
                let options = BasicNackOptions { multiple, requeue: true };
                // One poll queues the frame. If the channel is gone the broker has the message back already.
                let _ = queue.channel.basic_nack(tag, options).now_or_never();
            }
        }
    }

    pub(super) fn has_held(&self) -> bool {
        self.queues.iter().any(|queue| queue.credit.has_held())
    }

    pub(super) fn take(&mut self, max: usize) -> Vec<Delivery> {
        let count = max.min(self.ready.len());
        let pending: Vec<PendingDelivery> = self.ready.drain(..count).collect();
        pending
            .into_iter()
            .map(|PendingDelivery { queue_no, tag, key, .. }| {
                self.queues[queue_no].credit.handed_out(tag);
                Delivery { key, tag: tag << QUEUE_BITS | queue_no as u64 }
            })
            .collect()
    }

    /// Whether the consumers' prefetch does not suit a worker that waits with `room` free slots.
    pub(super) fn is_unsuited(&self, room: usize) -> bool {
        let too_little = |queue: &ConsumedQueue| queue.credit.remaining() * 2 < room;
        let too_much = |queue: &ConsumedQueue| queue.credit.remaining() > room;
        // With several queues the surplus is no more than it would be with new consumers.
        self.queues.iter().any(too_little) || (self.queues.len() == 1 && self.queues.iter().any(too_much))
    }
}

impl ConsumedQueue {
    fn settle(&self, frames: &[SettleFrame]) {
        for SettleFrame { tag, multiple } in frames {
            // As above: if the channel is gone, the claims stand all the same.
            let _ = self.channel.basic_ack(*tag, BasicAckOptions { multiple: *multiple }).now_or_never();
        }
    }
}
