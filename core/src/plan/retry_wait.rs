//! How long a retry waits; whether there is one is `run::attempt`'s to say. The jitter is drawn from a hash of the attempt, so that a leader that decides again after a
//! crash decides the same.

use std::time::Duration;

use crate::dag::{Backoff, BackoffKind};
use crate::id::AttemptKey;

/// The wait after the `failures`-th failure (from 1) that ended attempt `key`.
///
/// `fixed`: always `delay`. `exponential`: uniform in [0, min(delay_max, delay * 2^(failures-1))], which is the "full
/// jitter" of the AWS Architecture Blog, "Exponential Backoff And Jitter" (2015). Neither exceeds `delay_max`.
pub fn retry_wait(backoff: &Backoff, failures: u32, key: AttemptKey) -> Duration {
    match backoff.kind {
        BackoffKind::Fixed => backoff.delay.min(backoff.delay_max),
        BackoffKind::Exponential => {
            let factor = 2_u32.checked_pow(failures.saturating_sub(1)).unwrap_or(u32::MAX);
            let cap = backoff.delay.saturating_mul(factor).min(backoff.delay_max);
            cap.mul_f64(unit_interval(key))
        }
    }
}

/// A number in [0, 1) that depends on the attempt alone (splitmix64 over its parts).
fn unit_interval(key: AttemptKey) -> f64 {
    let mut hash = 0_u64;
    for part in
        [key.task.run.0 as u64, u64::from(key.task.task.0), u64::from(key.task.index), u64::from(key.attempt)]
    {
        hash = splitmix64(hash ^ part);
    }
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

fn splitmix64(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{RunId, TaskKey, TaskNo};

    fn key(run: i64, attempt: u32) -> AttemptKey {
        TaskKey::single(RunId(run), TaskNo(3)).attempt(attempt)
    }

    #[test]
    fn exponential_waits_are_jittered_within_a_doubling_bound() {
        let backoff = Backoff {
            kind: BackoffKind::Exponential,
            delay: Duration::from_secs(10),
            delay_max: Duration::from_secs(60),
        };
        for failures in 1..70 {
            let bound = (10.0 * 2_f64.powi(failures as i32 - 1)).min(60.0);
            let waits: Vec<f64> = (0..500)
                .map(|run| retry_wait(&backoff, failures, key(run, failures)).as_secs_f64())
                .collect();
            let mean = waits.iter().sum::<f64>() / 500.0;
            assert!(waits.iter().all(|wait| (0.0..=bound).contains(wait)));
            assert!(
                (mean / bound - 0.5).abs() < 0.1,
                "full jitter has its mean at half the bound, got {mean} of {bound}"
            );
        }
    }

    #[test]
    fn the_same_attempt_always_waits_equally_long() {
        let backoff = Backoff {
            kind: BackoffKind::Exponential,
            delay: Duration::from_secs(10),
            delay_max: Duration::from_secs(60),
        };
        assert_eq!(retry_wait(&backoff, 2, key(7, 2)), retry_wait(&backoff, 2, key(7, 2)));
        assert_ne!(retry_wait(&backoff, 2, key(7, 2)), retry_wait(&backoff, 2, key(8, 2)));
    }

    #[test]
    fn fixed_waits_do_not_grow() {
        let backoff = Backoff {
            kind: BackoffKind::Fixed,
            delay: Duration::from_secs(10),
            delay_max: Duration::from_secs(60),
        };
        assert_eq!(retry_wait(&backoff, 9, key(1, 9)), Duration::from_secs(10));
    }
}
