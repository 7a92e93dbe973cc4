//! What the leader has to say, said by a task of its own, so that the leader never waits for a broker. All of it is hints:
//! what is left out here is found by a sweep, by a worker's poll, or by the next leader.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rota_core::id::WorkerId;
use rota_core::port::{Broker, BrokerError, Change, Dispatch};
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
pub(crate) struct Outbox {
    waiting: Arc<Waiting>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Waiting {
    mail: Mutex<Mail>,
    wake: Notify,
}

#[derive(Default)]
struct Mail {
    dispatches: VecDeque<Dispatch>,
    /// Dispatches that the broker refused one by one (their queue is not there, say); they do not hold up the others.
    refused: Vec<Dispatch>,
    nudges: BTreeSet<WorkerId>,
    changes: HashSet<Change>,
    is_away: bool,
}

impl Waiting {
    fn mail(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox {
    /// Starts the task. Needs a tokio runtime.
    pub(crate) fn start(broker: Arc<dyn Broker>) -> Self {
        let waiting = Arc::new(Waiting::default());
        let postman = Postman { broker, waiting: Arc::clone(&waiting) };
        Self { waiting, _task: AbortOnDropHandle::new(tokio::spawn(postman.run())) }
    }

    /// Publishes queued attempts.
    pub(crate) fn publish(&self, dispatches: impl IntoIterator<Item = Dispatch>) {
        let mut mail = self.waiting.mail();
        let room = DISPATCHES_MAX.saturating_sub(mail.dispatches.len());
        mail.dispatches.extend(dispatches.into_iter().take(room));
        self.wake(&mail);
    }

    /// Tells workers that attempts of theirs are to be cancelled.
    pub(crate) fn nudge(&self, workers: impl IntoIterator<Item = WorkerId>) {
        let mut mail = self.waiting.mail();
        mail.nudges.extend(workers);
        self.wake(&mail);
    }

    /// Tells dashboards that something changed.
    pub(crate) fn announce(&self, changes: impl IntoIterator<Item = Change>) {
        let mut mail = self.waiting.mail();
        let room = CHANGES_MAX.saturating_sub(mail.changes.len());
        mail.changes.extend(changes.into_iter().take(room));
        self.wake(&mail);
    }

    /// Whether the last publication failed.
    pub(crate) fn is_away(&self) -> bool {
        self.waiting.mail().is_away
    }

    fn wake(&self, mail: &Mail) {
        if !mail.is_empty() {
            self.waiting.wake.notify_one();
        }
    }
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.dispatches.is_empty() && self.nudges.is_empty() && self.changes.is_empty()
    }
}

struct Postman {
    broker: Arc<dyn Broker>,
    waiting: Arc<Waiting>,
}

impl Postman {
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
            let mail = self.waiting.mail();
            (mail.is_empty(), !mail.refused.is_empty())
        };
        if !is_empty {
            return;
        }
        let woken = self.waiting.wake.notified();
        if !is_refused {
            woken.await;
        } else if tokio::time::timeout(PAUSE, woken).await.is_err() {
            let mut mail = self.waiting.mail();
            let refused = std::mem::take(&mut mail.refused);
            mail.dispatches.extend(refused);
        }
    }

    /// Publishes what waits. False: the broker is away, and what did not arrive waits again.
    async fn publish(&self) -> bool {
        loop {
            let page: Vec<Dispatch> = {
                let mut mail = self.waiting.mail();
                let page = mail.dispatches.len().min(PUBLISH_PAGE);
                mail.dispatches.drain(..page).collect()
            };
            if page.is_empty() {
                return true;
            }
            match bounded(self.broker.publish(&page)).await {
                Ok(failed) => {
                    self.is_there();
                    let failed: HashSet<_> = failed.into_iter().collect();
                    let refused = page.into_iter().filter(|it| failed.contains(&it.key));
                    let mut mail = self.waiting.mail();
                    let room = DISPATCHES_MAX.saturating_sub(mail.refused.len());
                    mail.refused.extend(refused.take(room));
                }
                Err(error) => {
                    self.is_away(&error);
                    let mut mail = self.waiting.mail();
                    page.into_iter().rev().for_each(|dispatch| mail.dispatches.push_front(dispatch));
                    return false;
                }
            }
        }
    }

    /// Hints are of no use to those who do not hear them now.
    fn drop_hints(&self) {
        let mut mail = self.waiting.mail();
        mail.nudges.clear();
        mail.changes.clear();
    }

    async fn hint(&self) {
        let (nudges, changes) = {
            let mut mail = self.waiting.mail();
            (std::mem::take(&mut mail.nudges), std::mem::take(&mut mail.changes))
        };
        for worker in &nudges {
            log_hint(bounded(self.broker.nudge(worker)).await);
        }
        if !changes.is_empty() {
            let changes: Vec<Change> = changes.into_iter().collect();
            log_hint(bounded(self.broker.announce(&changes)).await);
        }
    }

    fn is_there(&self) {
        if std::mem::take(&mut self.waiting.mail().is_away) {
            tracing::info!("queued tasks are published again");
        }
    }

    fn is_away(&self, error: &BrokerError) {
        if !std::mem::replace(&mut self.waiting.mail().is_away, true) {
            tracing::warn!("queued tasks are not published, workers find them in the store: {error}");
        }
    }
}

async fn bounded<T>(call: impl Future<Output = Result<T, BrokerError>>) -> Result<T, BrokerError> {
    let late = |_| BrokerError(format!("no answer within {} s", CALL_MAX.as_secs()));
    tokio::time::timeout(CALL_MAX, call).await.map_err(late)?
}

fn log_hint(sent: Result<(), BrokerError>) {
    if let Err(error) = sent {
        tracing::debug!("a hint was not sent, a sweep will find what it was about: {error}");
    }
}
