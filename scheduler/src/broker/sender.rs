//! What the leader has to say, said by a task of its own, so that the leader never waits for a broker. All of it is hints:
//! what is left out here is found by a sweep, by a worker's poll, or by the next leader.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rota_core::id::WorkerId;
use rota_core::port::{Broker, BrokerError, Change, Dispatch, QueuedTask};
use rota_core::sync::lock;
use rota_kit::within::within;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// Dispatches that may wait; those beyond are left to the sweep, which finds what nobody claims.
const DISPATCHES_MAX: usize = 100_000;
/// Changes that may wait. Pages that miss one read it with their next look.
const CHANGES_MAX: usize = 10_000;
/// Dispatches in one publication.
const PUBLISH_PAGE: usize = 2000;
/// The longest that one call of the broker may take.
const CALL_MAX: Duration = Duration::from_secs(2);
/// Between two tries while the broker is away.
const PAUSE: Duration = Duration::from_secs(1);

/// The leader's end. The task ends when it is dropped.
pub(crate) struct BrokerSender {
    waiting: Arc<SenderQueue>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct SenderQueue {
    pending: Mutex<Pending>,
    wake: Notify,
}

#[derive(Default)]
struct Pending {
    dispatches: VecDeque<Dispatch>,
    /// Dispatches that the broker refused one by one (their queue is not there, say); they do not hold up the others.
    refused: Vec<Dispatch>,
    nudges: BTreeSet<WorkerId>,
    changes: HashSet<Change>,
    is_away: bool,
}

impl SenderQueue {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        lock(&self.pending)
    }
}

impl BrokerSender {
    /// Starts the task. Needs a tokio runtime.
    pub(crate) fn start(broker: Arc<dyn Broker>) -> Self {
        let waiting = Arc::new(SenderQueue::default());
        let task = SenderTask { broker, waiting: Arc::clone(&waiting) };
        Self { waiting, _task: AbortOnDropHandle::new(tokio::spawn(task.run())) }
    }

    /// Publishes queued attempts.
    pub(crate) fn publish(&self, dispatches: impl IntoIterator<Item = Dispatch>) {
        let mut pending = self.waiting.pending();
        let room = DISPATCHES_MAX.saturating_sub(pending.dispatches.len());
        pending.dispatches.extend(dispatches.into_iter().take(room));
        self.wake(&pending);
    }

    /// Publishes what a batch queued.
    pub(crate) fn publish_queued<'t>(&self, tasks: impl IntoIterator<Item = &'t QueuedTask>) {
        let dispatch = |task: &QueuedTask| Dispatch {
            key: task.key,
            queue: task.queue.clone(),
            priority: task.priority,
        };
        self.publish(tasks.into_iter().map(dispatch));
    }

    /// Tells workers that attempts of theirs are to be cancelled.
    pub(crate) fn nudge(&self, workers: impl IntoIterator<Item = WorkerId>) {
        let mut pending = self.waiting.pending();
        pending.nudges.extend(workers);
        self.wake(&pending);
    }

    /// Tells dashboards that something changed.
    pub(crate) fn announce(&self, changes: impl IntoIterator<Item = Change>) {
        let mut pending = self.waiting.pending();
        let room = CHANGES_MAX.saturating_sub(pending.changes.len());
        pending.changes.extend(changes.into_iter().take(room));
        self.wake(&pending);
    }

    /// Whether the last publication failed.
    pub(crate) fn is_away(&self) -> bool {
        self.waiting.pending().is_away
    }

    fn wake(&self, pending: &Pending) {
        if !pending.is_empty() {
            self.waiting.wake.notify_one();
        }
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.dispatches.is_empty() && self.nudges.is_empty() && self.changes.is_empty()
    }
}

struct SenderTask {
    broker: Arc<dyn Broker>,
    waiting: Arc<SenderQueue>,
}

impl SenderTask {
    async fn run(self) {
        loop {
            self.wait().await;
            if !self.publish().await {
                self.drop_hints();
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            self.hint().await;
        }
    }

    /// Waits until there is something to say.
    async fn wait(&self) {
        let (is_empty, is_refused) = {
            let pending = self.waiting.pending();
            (pending.is_empty(), !pending.refused.is_empty())
        };
        if !is_empty {
            return;
        }
        let woken = self.waiting.wake.notified();
        if !is_refused {
            woken.await;
        } else if tokio::time::timeout(PAUSE, woken).await.is_err() {
            let mut pending = self.waiting.pending();
            let refused = std::mem::take(&mut pending.refused);
            pending.dispatches.extend(refused);
        }
    }

    /// Publishes what waits. False: the broker is away, and what did not arrive waits again.
    async fn publish(&self) -> bool {
        loop {
            let page: Vec<Dispatch> = {
                let mut pending = self.waiting.pending();
                let page = pending.dispatches.len().min(PUBLISH_PAGE);
                pending.dispatches.drain(..page).collect()
            };
            if page.is_empty() {
                return true;
            }
            match within(CALL_MAX, self.broker.publish(&page)).await {
                Ok(failed) => {
                    self.is_there();
                    let failed: HashSet<_> = failed.into_iter().collect();
                    let refused = page.into_iter().filter(|it| failed.contains(&it.key));
                    let mut pending = self.waiting.pending();
                    let room = DISPATCHES_MAX.saturating_sub(pending.refused.len());
                    pending.refused.extend(refused.take(room));
                }
                Err(error) => {
                    self.is_away(&error);
                    let mut pending = self.waiting.pending();
                    page.into_iter().rev().for_each(|dispatch| pending.dispatches.push_front(dispatch));
                    return false;
                }
            }
        }
    }

    /// Hints are of no use to those who do not hear them now.
    fn drop_hints(&self) {
        let mut pending = self.waiting.pending();
        pending.nudges.clear();
        pending.changes.clear();
    }

    async fn hint(&self) {
        let (nudges, changes) = {
            let mut pending = self.waiting.pending();
            (std::mem::take(&mut pending.nudges), std::mem::take(&mut pending.changes))
        };
        for worker in &nudges {
            log_hint(within(CALL_MAX, self.broker.nudge(worker)).await);
        }
        if !changes.is_empty() {
            let changes: Vec<Change> = changes.into_iter().collect();
            log_hint(within(CALL_MAX, self.broker.announce(&changes)).await);
        }
    }

    fn is_there(&self) {
        if std::mem::take(&mut self.waiting.pending().is_away) {
            tracing::info!("queued tasks are published again");
        }
    }

    fn is_away(&self, error: &BrokerError) {
        if !std::mem::replace(&mut self.waiting.pending().is_away, true) {
            tracing::warn!("queued tasks are not published, workers find them in the store: {error}");
        }
    }
}

fn log_hint(sent: Result<(), BrokerError>) {
    if let Err(error) = sent {
        tracing::debug!("a hint was not sent, a sweep will find what it was about: {error}");
    }
}
