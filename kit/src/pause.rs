//! Pauses between tries: each twice as long as the one before it, up to a longest. Whoever waits says what for.

use std::time::Duration;

/// Doublings that are counted. More of them than any two sensible bounds are apart.
const DOUBLINGS_MAX: u32 = 16;

/// The pauses of one thing that is tried again and again.
#[derive(Debug, Clone)]
pub struct DoublingPause {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl DoublingPause {
    /// No failure yet; the pause after the first one is `first`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// Failures since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure. Returns how long to wait before the next try.
    pub fn after_failure(&mut self) -> Duration {
        let doublings = self.failures.min(DOUBLINGS_MAX);
        self.failures = self.failures.saturating_add(1);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }

    /// A try went well: the next failure is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_a_success() {
        let mut pause = DoublingPause::new(Duration::from_millis(50), Duration::from_millis(500));
        let pauses: Vec<u128> = (0..6).map(|_| pause.after_failure().as_millis()).collect();
        assert_eq!((pauses, pause.failures()), (vec![50, 100, 200, 400, 500, 500], 6));
        pause.reset();
        assert_eq!((pause.failures(), pause.after_failure()), (0, Duration::from_millis(50)));
    }

    #[test]
    fn a_thing_that_fails_for_days_still_has_its_longest_pause() {
        let mut pause = DoublingPause::new(Duration::from_millis(1), Duration::from_secs(2));
        let last = (0..100_000).map(|_| pause.after_failure()).last();
        assert_eq!(last, Some(Duration::from_secs(2)));
    }
}
