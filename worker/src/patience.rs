//! Waiting for a store that may be away: every call has a limit, every repetition a growing pause.

use std::future::Future;
use std::time::Duration;

use rota_core::port::StoreResult;
use rota_kit::pause::DoublingPause;
use rota_kit::within::within;

/// The longest a call may take. What is asked here is idempotent, so a call that was given up is asked again.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The call's answer, or that there was none in time.
pub(crate) async fn answered<T>(call: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
    within(ANSWER_MAX, call).await
}

/// As [`answered`], with a limit of its own.
pub(crate) async fn answered_within<T>(
    limit: Duration,
    call: impl Future<Output = StoreResult<T>>,
) -> StoreResult<T> {
    within(limit, call).await
}

/// Pauses between repetitions: 20 ms, doubling up to 2 s.
#[derive(Debug)]
pub(crate) struct Backoff {
    pause: DoublingPause,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { pause: DoublingPause::new(PAUSE_MIN, PAUSE_MAX) }
    }
}

impl Backoff {
    /// Waits before the next try. Says so once, so that an outage is one line and not hundreds.
    pub(crate) async fn pause(&mut self, what: &str, error: &str) {
        if self.pause.failures() == 1 {
            tracing::warn!("{what} wait for the store: {error}");
        }
        tokio::time::sleep(self.pause.after_failure()).await;
    }
}
