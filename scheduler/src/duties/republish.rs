//! The duty that relays queued attempts to the broker. `queued` rows are the outbox: what was not claimed for a while is
//! published again, each attempt ever more rarely, because a long queue is honest work and no loss.

use std::collections::HashMap;
use std::time::Duration;

use rota_core::id::AttemptKey;
use rota_core::port::{Batch, Dispatch, QueuedTask};
use tokio::time::Instant;

use crate::term::{Leader, PAGE, Trouble, bounded};

/// Queued attempts that nobody claimed for this long are published again.
const REPUBLISH_AFTER: Duration = Duration::from_secs(15);
/// The longest wait between two publications of the same attempt.
const REPUBLISH_WAIT_MAX: Duration = Duration::from_secs(300);

/// Attempts that were published again: when they may be so next, and how long the wait after that is.
#[derive(Default)]
pub(crate) struct Relay {
    waits: HashMap<AttemptKey, (Instant, Duration)>,
}

impl Leader<'_> {
    /// Publishes what a batch queued.
    pub(crate) fn relay_batch(&self, batch: &Batch) {
        self.outbox.publish(batch.queues.iter().chain(&batch.requeues).map(dispatch));
    }

    /// Publishes again what lies unclaimed for long. Not while the broker is away: then nothing was published.
    pub(crate) async fn relay_sweep(&mut self) -> Result<(), Trouble> {
        if self.outbox.is_away() || rota_core::seeded::bug("sweep-off") {
            return Ok(());
        }
        let before = self.now().await? - chrono::Duration::from_std(REPUBLISH_AFTER).unwrap_or_default();
        let unclaimed = self.ports.plans.tasks_unclaimed(before, PAGE);
        let unclaimed = bounded(self.options.call_timeout, unclaimed).await?;
        let now = Instant::now();
        let mut waits = HashMap::new();
        let mut again = Vec::new();
        for task in &unclaimed {
            let (at, wait) = self.relay.waits.get(&task.key).copied().unwrap_or((now, REPUBLISH_AFTER));
            if at <= now {
                again.push(dispatch(task));
                waits.insert(task.key, (now + wait, (wait * 2).min(REPUBLISH_WAIT_MAX)));
            } else {
                waits.insert(task.key, (at, wait));
            }
        }
        // Attempts that are not in the list any more were claimed; forgetting them bounds the map.
        self.relay.waits = waits;
        self.outbox.publish(again);
        Ok(())
    }
}

fn dispatch(task: &QueuedTask) -> Dispatch {
    Dispatch { key: task.key, queue: task.queue.clone(), priority: task.priority }
}
