//! Tells leader and dashboards what happened, on the side: a broker that is slow or away must not hold up a result.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rota_core::id::AttemptKey;
use rota_core::port::{Bell, Broker, BrokerError, Change};
use tokio::sync::mpsc;

/// News that wait for the broker. What does not fit is dropped: leader and dashboards look by themselves now and then.
const WAITING_MAX: usize = 1024;
/// News that are told in one message.
const TOGETHER_MAX: usize = 64;
/// The longest a message may take.
const SEND_MAX: Duration = Duration::from_secs(2);

/// Something that happened.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Attempts with an outcome.
    pub(crate) finished: Vec<AttemptKey>,
    /// What dashboards should read again.
    pub(crate) changes: Vec<Change>,
    /// Whether a worker came or went.
    pub(crate) is_fleet: bool,
}

/// The sender's end. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ringer {
    news: mpsc::Sender<News>,
    is_broker_away: Arc<AtomicBool>,
}

impl Ringer {
    /// A ringer and the task that carries its news, which ends with the last clone.
    pub(crate) fn new(broker: Arc<dyn Broker>) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, news) = mpsc::channel(WAITING_MAX);
        let is_broker_away = Arc::new(AtomicBool::new(false));
        (Self { news: sender, is_broker_away: is_broker_away.clone() }, carry(broker, news, is_broker_away))
    }

    /// Tells it, some time soon, if it can be told.
    pub(crate) fn tell(&self, news: News) {
        let _ = self.news.try_send(news);
    }

    /// Whether the last that was heard of the broker was an error.
    pub(crate) fn is_broker_away(&self) -> bool {
        self.is_broker_away.load(Ordering::Relaxed)
    }

    /// What somebody else found out about the broker.
    pub(crate) fn set_broker_away(&self, is_away: bool) {
        self.is_broker_away.store(is_away, Ordering::Relaxed);
    }
}

async fn carry(broker: Arc<dyn Broker>, mut news: mpsc::Receiver<News>, is_away: Arc<AtomicBool>) {
    let mut gathered = Vec::new();
    while news.recv_many(&mut gathered, TOGETHER_MAX).await > 0 {
        let mut finished = Vec::new();
        let mut changes = HashSet::new();
        let mut is_fleet = false;
        for item in gathered.drain(..) {
            finished.extend(item.finished);
            changes.extend(item.changes);
            is_fleet |= item.is_fleet;
        }
        let mut answers = Vec::new();
        if !finished.is_empty() {
            answers.push(within(broker.ring(Bell::Finished(finished))).await);
        }
        if is_fleet {
            answers.push(within(broker.ring(Bell::Workers)).await);
        }
        if !changes.is_empty() {
            let changes: Vec<Change> = changes.into_iter().collect();
            answers.push(within(broker.announce(&changes)).await);
        }
        if let Some(Err(error)) = answers.into_iter().find(Result::is_err)
            && !is_away.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("the broker is away; leader and dashboards will notice by themselves: {error}");
        }
    }
}

async fn within(call: impl Future<Output = Result<(), BrokerError>>) -> Result<(), BrokerError> {
    let late = |_| Err(BrokerError(format!("no answer within {SEND_MAX:?}")));
    tokio::time::timeout(SEND_MAX, call).await.unwrap_or_else(late)
}
