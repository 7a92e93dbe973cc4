//! The duty that publishes queued attempts again. `queued` rows are what is to be published: what was not claimed for a while
//! is published again, each attempt ever more rarely, because a long queue is honest work and no loss.

use std::collections::HashMap;
use std::time::Duration;

use rota_core::id::AttemptKey;
use rota_core::port::QueuedTask;
use tokio::time::Instant;

use crate::term::failures::TermError;
use crate::term::{LeaderTerm, PAGE};

/// Queued attempts that nobody claimed for this long are published again.
const REPUBLISH_AFTER: Duration = Duration::from_secs(15);
/// The longest wait between two publications of the same attempt.
const REPUBLISH_WAIT_MAX: Duration = Duration::from_secs(300);

/// Attempts that were published again: when they may be so next, and how long the wait after that is.
#[derive(Default)]
pub(crate) struct Republisher {
    waits: HashMap<AttemptKey, (Instant, Duration)>,
}

impl Republisher {
    /// Publishes again what lies unclaimed for long. Returns how many attempts. Not while the broker is away: then nothing was
    /// published.
    pub(crate) async fn run(&mut self, term: &LeaderTerm<'_>) -> Result<usize, TermError> {
        if term.sender.is_away() || rota_core::failpoint::is_on("sweep-off") {
            return Ok(0);
        }
        let before =
            term.context.now().await? - chrono::Duration::from_std(REPUBLISH_AFTER).unwrap_or_default();
        let unclaimed = term.context.store.ask(|plans| plans.tasks_unclaimed(before, PAGE)).await?;
        let again = self.due(&unclaimed, Instant::now());
        let count = again.len();
        term.sender.publish_queued(again);
        Ok(count)
    }

    /// Those that may be published again now.
    fn due<'t>(&mut self, unclaimed: &'t [QueuedTask], now: Instant) -> Vec<&'t QueuedTask> {
        let mut waits = HashMap::new();
        let mut due = Vec::new();
        for task in unclaimed {
            let (at, wait) = self.waits.get(&task.key).copied().unwrap_or((now, REPUBLISH_AFTER));
            if at <= now {
                due.push(task);
                waits.insert(task.key, (now + wait, (wait * 2).min(REPUBLISH_WAIT_MAX)));
            } else {
                waits.insert(task.key, (at, wait));
            }
        }
        // Attempts that are not in the list any more were claimed; forgetting them bounds the map.
        self.waits = waits;
        due
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use rota_core::id::{QueueName, RunId, TaskKey, TaskName, TaskNo};

    use super::*;

    fn task() -> QueuedTask {
        QueuedTask {
            key: TaskKey::single(RunId(1), TaskNo(0)).attempt(1),
            name: TaskName::trusted("a"),
            queue: QueueName::trusted(QueueName::DEFAULT),
            priority: 0,
            at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn an_attempt_that_nobody_claims_is_published_ever_more_rarely() {
        let (mut republisher, task, began) = (Republisher::default(), [task()], Instant::now());
        let mut times = Vec::new();
        for second in 0..1000 {
            if !republisher.due(&task, began + Duration::from_secs(second)).is_empty() {
                times.push(second);
            }
        }
        assert_eq!(times, [0, 15, 45, 105, 225, 465, 765]);
    }

    #[test]
    fn what_was_claimed_is_forgotten() {
        let (mut republisher, now) = (Republisher::default(), Instant::now());
        assert_eq!(republisher.due(&[task()], now).len(), 1);
        assert_eq!(republisher.due(&[], now).len(), 0);
        assert_eq!(republisher.due(&[task()], now).len(), 1, "it was queued anew");
    }
}
