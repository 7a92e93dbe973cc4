//! Queues of attempts: by priority, then first in first out. A consumer that goes away gives back what it had not
//! acknowledged.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use async_trait::async_trait;
use rota_core::id::{AttemptKey, QueueName};
use rota_core::port::{BrokerError, Consumer, Delivery, Dispatch};
use rota_core::sync::lock;
use tokio::sync::Notify;

/// Most attempts that wait in one queue. The leader keeps far fewer queued; this bounds memory if it does not.
const WAITING_MAX: usize = 65_536;

/// All queues.
#[derive(Default)]
pub(super) struct QueueBuffers {
    state: Mutex<BufferState>,
}

#[derive(Default)]
struct BufferState {
    buffers: HashMap<QueueName, QueueBuffer>,
    published: u64,
}

#[derive(Default)]
struct QueueBuffer {
    waiting: BTreeMap<QueuePlace, AttemptKey>,
    /// The keys in `waiting`: publishing one of them again changes nothing.
    keys: HashSet<AttemptKey>,
    consumers: Vec<Weak<Notify>>,
}

/// Where an attempt stands in its queue.
type QueuePlace = (Reverse<i32>, u64);

/// One consumer's view of some queues.
pub(super) struct BufferConsumer {
    buffers: Arc<QueueBuffers>,
    queues: Vec<QueueName>,
    wake: Arc<Notify>,
    unacked: HashMap<u64, (QueueName, QueuePlace, AttemptKey)>,
}

impl QueueBuffers {
    /// Queues what fits and wakes those who wait for it. Returns what did not fit.
    pub(super) fn publish(&self, dispatches: &[Dispatch]) -> Vec<AttemptKey> {
        let mut refused = Vec::new();
        let mut state = self.lock();
        let mut touched: Vec<&QueueName> = Vec::new();
        for dispatch in dispatches {
            state.published += 1;
            let place = (Reverse(dispatch.priority), state.published);
            if !state.buffer(&dispatch.queue).put(place, dispatch.key) {
                refused.push(dispatch.key);
            } else if touched.last() != Some(&&dispatch.queue) {
                touched.push(&dispatch.queue);
            }
        }
        for queue in touched {
            state.buffer(queue).wake();
        }
        refused
    }

    pub(super) fn consume(buffers: &Arc<Self>, queues: &[QueueName]) -> BufferConsumer {
        let wake = Arc::new(Notify::new());
        let mut state = buffers.lock();
        for queue in queues {
            state.buffer(queue).consumers.push(Arc::downgrade(&wake));
        }
        drop(state);
        BufferConsumer {
            buffers: Arc::clone(buffers),
            queues: queues.to_vec(),
            wake,
            unacked: HashMap::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BufferState> {
        lock(&self.state)
    }
}

impl BufferState {
    fn buffer(&mut self, queue: &QueueName) -> &mut QueueBuffer {
        self.buffers.entry(queue.clone()).or_default()
    }

    /// The queue among `queues` whose first attempt goes first, and that attempt's place.
    fn first(&self, queues: &[QueueName]) -> Option<(QueueName, QueuePlace)> {
        let heads = queues.iter().filter_map(|queue| {
            let (place, _) = self.buffers.get(queue)?.waiting.first_key_value()?;
            Some((*place, queue))
        });
        heads.min_by_key(|(place, _)| *place).map(|(place, queue)| (queue.clone(), place))
    }
}

impl QueueBuffer {
    /// False if there is no room. An attempt that waits already keeps its place.
    fn put(&mut self, place: QueuePlace, key: AttemptKey) -> bool {
        if self.keys.contains(&key) {
            return true;
        }
        if self.waiting.len() >= WAITING_MAX {
            return false;
        }
        self.keys.insert(key);
        self.waiting.insert(place, key);
        true
    }

    fn take(&mut self, place: QueuePlace) -> Option<AttemptKey> {
        let key = self.waiting.remove(&place)?;
        self.keys.remove(&key);
        Some(key)
    }

    fn wake(&mut self) {
        self.consumers.retain(|consumer| match consumer.upgrade() {
            Some(wake) => {
                wake.notify_one();
                true
            }
            None => false,
        });
    }
}

impl BufferConsumer {
    fn take(&mut self, max: usize) -> Vec<Delivery> {
        let mut state = self.buffers.lock();
        let mut deliveries = Vec::new();
        while deliveries.len() < max {
            let Some((queue, place)) = state.first(&self.queues) else { break };
            let Some(key) = state.buffer(&queue).take(place) else { break };
            let tag = place.1;
            self.unacked.insert(tag, (queue, place, key));
            deliveries.push(Delivery { key, tag });
        }
        deliveries
    }
}

#[async_trait]
impl Consumer for BufferConsumer {
    /// Cancel safe: whatever is taken is returned without another await.
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BrokerError> {
        loop {
            let deliveries = self.take(max);
            if !deliveries.is_empty() {
                return Ok(deliveries);
            }
            // A publish between the look and this line has left a permit, so it is not missed.
            self.wake.notified().await;
        }
    }

    async fn ack(&mut self, tags: &[u64]) -> Result<(), BrokerError> {
        for tag in tags {
            self.unacked.remove(tag);
        }
        Ok(())
    }
}

impl Drop for BufferConsumer {
    fn drop(&mut self) {
        let mut state = self.buffers.lock();
        for (_, (queue, place, key)) in self.unacked.drain() {
            let buffer = state.buffer(&queue);
            if buffer.keys.insert(key) {
                buffer.waiting.insert(place, key);
            }
        }
        // Its wake-up may have been meant for work that is still there: pass it on.
        for queue in &self.queues {
            state.buffer(queue).wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rota_core::id::{RunId, TaskKey, TaskNo};

    fn dispatch(number: u32, priority: i32) -> Dispatch {
        let key = TaskKey::single(RunId(1), TaskNo(number)).attempt(1);
        Dispatch { key, queue: QueueName::trusted("a"), priority }
    }

    fn consumer(buffers: &Arc<QueueBuffers>) -> BufferConsumer {
        QueueBuffers::consume(buffers, &[QueueName::trusted("a")])
    }

    fn numbers(deliveries: &[Delivery]) -> Vec<u32> {
        deliveries.iter().map(|delivery| delivery.key.task.task.0).collect()
    }

    #[test]
    fn higher_priority_goes_first_and_equals_keep_their_order() {
        let buffers = Arc::new(QueueBuffers::default());
        buffers.publish(&[dispatch(0, 0), dispatch(1, 5), dispatch(2, -1), dispatch(3, 5), dispatch(4, 0)]);
        assert_eq!(numbers(&consumer(&buffers).take(10)), [1, 3, 0, 4, 2]);
    }

    #[test]
    fn an_attempt_that_waits_already_is_not_queued_again() {
        let buffers = Arc::new(QueueBuffers::default());
        buffers.publish(&[dispatch(0, 0), dispatch(1, 0)]);
        assert_eq!(buffers.publish(&[dispatch(0, 9)]), vec![]);
        let mut consumer = consumer(&buffers);
        assert_eq!(numbers(&consumer.take(10)), [0, 1]);
        buffers.publish(&[dispatch(0, 0)]);
        assert_eq!(numbers(&consumer.take(10)), [0], "once delivered it may be published again");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let buffers = Arc::new(QueueBuffers::default());
        let most = u32::try_from(WAITING_MAX).unwrap();
        let all: Vec<Dispatch> = (0..most + 2).map(|number| dispatch(number, 0)).collect();
        let refused = buffers.publish(&all);
        assert_eq!(refused, [dispatch(most, 0).key, dispatch(most + 1, 0).key]);
        assert_eq!(consumer(&buffers).take(usize::MAX).len(), WAITING_MAX);
        assert_eq!(buffers.publish(&all[..2]), vec![]);
    }

    #[test]
    fn what_is_given_back_has_its_old_place() {
        let buffers = Arc::new(QueueBuffers::default());
        buffers.publish(&[dispatch(0, 0), dispatch(1, 0)]);
        let mut first = consumer(&buffers);
        assert_eq!(numbers(&first.take(1)), [0]);
        drop(first);
        assert_eq!(numbers(&consumer(&buffers).take(10)), [0, 1]);
    }
}
