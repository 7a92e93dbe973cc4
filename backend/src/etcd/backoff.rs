//! How fast to try again. Randomness only spreads load here; nothing is safe because of it.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use rota_kit::pause::DoublingPause;

/// After the first failure.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// After many. Short, so that a leader whose etcd is back takes its seat again before a standby may.
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// A random time below `max`.
pub(super) fn jitter(max: Duration) -> Duration {
    max * u32::from(random() % 1024) / 1024
}

/// A random number.
pub(super) fn random() -> u16 {
    let [low, high, ..] = RandomState::new().hash_one(0_u8).to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// Longer and longer pauses.
#[derive(Debug)]
pub(super) struct ReconnectBackoff {
    pause: DoublingPause,
}

impl Default for ReconnectBackoff {
    fn default() -> Self {
        Self { pause: DoublingPause::new(PAUSE_MIN, PAUSE_MAX) }
    }
}

impl ReconnectBackoff {
    /// Waits after a failure.
    pub(super) async fn pause(&mut self) {
        let pause = self.pause.after_failure();
        tokio::time::sleep(pause / 2 + jitter(pause / 2)).await;
    }

    /// Starts with short pauses again.
    pub(super) fn reset(&mut self) {
        self.pause.reset();
    }
}
