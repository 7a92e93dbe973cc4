//! The lease of a worker's life, in sixths. Every heartbeat that is answered renews it. A worker whose beats are not answered
//! must have ended its tasks before anyone starts them again elsewhere, so the points in time are said in one place:
//!
//! ```text
//! 0        1/6       2/6       3/6       4/6       5/6       6/6       7/6
//! beat     beat      beat      beat      TERM      KILL      end       given up
//! ```
//!
//! The worker counts from when it *sent* the last beat that was answered, the others from when the beat was *recorded*, which
//! is later: a slow answer makes the gap between KILL and giving up longer, never shorter. That gap, two sixths, is what a
//! worker has for its kills to take effect, and what clocks of different speed may take of it.

use std::time::Duration;

/// From one beat to the next.
pub fn beat_every(lease: Duration) -> Duration {
    lease / 6
}

/// From the sending of the last answered beat to when a worker tells its tasks to end.
pub fn term_after(lease: Duration) -> Duration {
    lease * 4 / 6
}

/// From the sending of the last answered beat to when a worker kills its tasks.
pub fn kill_after(lease: Duration) -> Duration {
    lease * 5 / 6
}

/// From the recording of the last beat to when others take over what the worker ran.
pub fn given_up_after(lease: Duration) -> Duration {
    lease.saturating_add(lease / 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_has_killed_everything_before_others_take_over() {
        for lease in [Duration::from_millis(600), Duration::from_secs(30), Duration::from_nanos(7)] {
            assert!(beat_every(lease) < term_after(lease));
            assert!(term_after(lease) < kill_after(lease));
            assert!(kill_after(lease) + lease / 6 < given_up_after(lease));
        }
    }
}
