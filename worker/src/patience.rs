//! Waiting for a store that may be away: every call has a limit, every repetition a growing pause.

use std::future::Future;
use std::time::Duration;

use rota_core::port::{StoreError, StoreResult};

/// The longest a call may take. What is asked here is idempotent, so a call that was given up is asked again.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The call's answer, or that there was none in time.
pub(crate) async fn answered<T>(call: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
    answered_within(ANSWER_MAX, call).await
}

/// As [`answered`], with a limit of its own.
pub(crate) async fn answered_within<T>(
    limit: Duration,
    call: impl Future<Output = StoreResult<T>>,
) -> StoreResult<T> {
    let late = |_| Err(StoreError::Unavailable(format!("no answer within {limit:?}")));
    tokio::time::timeout(limit, call).await.unwrap_or_else(late)
}

/// Pauses between repetitions: 20 ms, doubling up to 2 s.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// Waits before the next try. Says so once, so that an outage is one line and not hundreds.
    pub(crate) async fn pause(&mut self, what: &str, error: &str) {
        if self.tries == 1 {
            tracing::warn!("{what} wait for the store: {error}");
        }
        let pause = PAUSE_MIN.saturating_mul(1 << self.tries.min(16)).min(PAUSE_MAX);
        self.tries += 1;
        tokio::time::sleep(pause).await;
    }
}
