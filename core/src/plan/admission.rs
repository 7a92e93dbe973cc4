//! Which ready task is queued when. Each queue has a window of attempts that may be out at a time, so that priorities decide
//! when a slot is about to be free and not when a task became ready.

use std::collections::BTreeMap;

use super::active_runs::ActiveRuns;
use super::draft::Draft;
use super::ready_queue::ReadyQueue;
use super::run::RunWalk;
use crate::id::QueueName;
use crate::port::QueueCapacity;
use crate::state::IllegalTransition;

/// Queued tasks per worker slot that the leader keeps in a queue: enough that no slot waits for the leader, few enough
/// that priorities decide at dispatch time.
const WINDOW_PER_SLOT: u32 = 4;
/// The smallest window: what is let into a queue that no worker serves, so that people see the tasks wait.
const WINDOW_MIN: u32 = 64;
/// The window of the `noop` queue, whose tasks take no slot.
const WINDOW_NOOP: u32 = 2048;

/// All queues that a task or a worker has named.
#[derive(Debug, Default)]
pub(super) struct Admission {
    queues: BTreeMap<QueueName, ReadyQueue>,
}

impl Admission {
    /// Learns what live workers offer.
    pub(super) fn capacity_known(&mut self, capacity: &[QueueCapacity]) {
        for (name, queue) in &mut self.queues {
            queue.window = window(name, capacity);
        }
        for offered in capacity {
            self.queues.entry(offered.queue.clone()).or_default().window = window(&offered.queue, capacity);
        }
    }

    /// Counts what a run that was read from its rows has out.
    pub(super) fn take_back(&mut self, walk: &RunWalk) {
        for attempt in walk.outstanding() {
            self.queue(walk.dag().task(attempt.task.task).queue.clone()).outstanding += 1;
        }
    }

    /// An attempt is out no longer.
    pub(super) fn give_back(&mut self, queue: QueueName) {
        let queue = self.queue(queue);
        queue.outstanding = queue.outstanding.saturating_sub(1);
    }

    /// Lines up what has become ready, and queues as much as there is room for.
    pub(super) fn admit(
        &mut self,
        runs: &mut ActiveRuns,
        draft: &mut Draft<'_>,
    ) -> Result<(), IllegalTransition> {
        for key in draft.ready.drain(..) {
            let Some(walk) = runs.walk(key.run) else { continue };
            let task = walk.dag().task(key.task);
            self.queue(task.queue.clone()).push(task.priority, key);
        }
        for queue in self.queues.values_mut() {
            while queue.has_room()
                && let Some(key) = queue.pop()
            {
                // It may have ended since it became ready, or its run may have: nobody takes it out of line then.
                let Some(walk) = runs.walk_mut(key.run) else { continue };
                queue.outstanding += u32::from(walk.queue(key.node(), draft)?);
            }
        }
        Ok(())
    }

    fn queue(&mut self, name: QueueName) -> &mut ReadyQueue {
        self.queues.entry(name).or_insert_with_key(|name| ReadyQueue::new(window(name, &[])))
    }
}

/// How many attempts may be outstanding in a queue.
fn window(queue: &QueueName, capacity: &[QueueCapacity]) -> u32 {
    if queue.as_str() == QueueName::NOOP {
        return WINDOW_NOOP;
    }
    let slots = capacity.iter().find(|offered| offered.queue == *queue).map_or(0, |offered| offered.slots);
    slots.saturating_mul(WINDOW_PER_SLOT).max(WINDOW_MIN)
}
