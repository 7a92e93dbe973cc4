//! What wakes the leader: doorbells, heard at the broker. A broker that is away is a leader that hears nothing and sweeps;
//! it never interrupts a term.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rota_core::port::{Bell, Bells, Broker, BrokerError};
use rota_kit::within::within;
use tokio::time::Instant;

/// Most doorbell hints taken at once.
const BELLS_MAX: usize = 256;
/// How long a subscription may take.
const OPEN_MAX: Duration = Duration::from_secs(5);
/// Between two tries to subscribe.
const PAUSE: Duration = Duration::from_millis(500);

type Opening = Pin<Box<dyn Future<Output = Result<Box<dyn Bells>, BrokerError>> + Send>>;

/// What there is to wake up for.
pub(crate) enum WakeupEvent {
    /// Hints.
    Bells(Vec<Bell>),
    /// It was not listened to for a while, and is again: whatever was rung meanwhile was not heard.
    Anew,
}

/// A subscription that is renewed for as long as it takes.
pub(crate) struct WakeupListener {
    broker: Arc<dyn Broker>,
    bells: Option<Box<dyn Bells>>,
    /// A try that is under way: it goes on when whoever waits looks elsewhere in between.
    opening: Option<Opening>,
    next_try: Instant,
    is_missed: bool,
}

impl WakeupListener {
    /// A listener that does not listen yet.
    pub(crate) fn new(broker: Arc<dyn Broker>) -> Self {
        Self { broker, bells: None, opening: None, next_try: Instant::now(), is_missed: false }
    }

    /// Subscribes, if that can be done within `patience`. If not, [`WakeupListener::next`] goes on trying.
    pub(crate) async fn open(&mut self, patience: Duration) {
        let _ = tokio::time::timeout(patience, async {
            while self.bells.is_none() {
                self.subscribe().await;
            }
        })
        .await;
    }

    /// Waits for something. Nothing is lost when it is given up half-way.
    pub(crate) async fn next(&mut self) -> WakeupEvent {
        loop {
            let Some(bells) = &mut self.bells else {
                self.subscribe().await;
                if self.bells.is_some() {
                    return WakeupEvent::Anew;
                }
                continue;
            };
            match bells.next(BELLS_MAX).await {
                Ok(heard) => return WakeupEvent::Bells(heard),
                Err(error) => {
                    self.bells = None;
                    self.next_try = Instant::now() + PAUSE;
                    self.missed(&error);
                }
            }
        }
    }

    /// One try, after a pause if the last one failed.
    async fn subscribe(&mut self) {
        if self.opening.is_none() {
            tokio::time::sleep_until(self.next_try).await;
        }
        let broker = &self.broker;
        let opening = self.opening.get_or_insert_with(|| {
            let broker = Arc::clone(broker);
            Box::pin(async move { within(OPEN_MAX, broker.bells()).await })
        });
        let opened = opening.await;
        self.opening = None;
        match opened {
            Ok(bells) => {
                if std::mem::take(&mut self.is_missed) {
                    tracing::info!("the doorbell is heard again");
                }
                self.bells = Some(bells);
            }
            Err(error) => {
                self.next_try = Instant::now() + PAUSE;
                self.missed(&error);
            }
        }
    }

    fn missed(&mut self, error: &BrokerError) {
        if !std::mem::replace(&mut self.is_missed, true) {
            tracing::warn!("the doorbell is not heard, sweeps find what it would tell: {error}");
        }
    }
}
