//! The time of day, for stamps that other processes' stamps are compared with.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since 1970 UTC. One machine, one clock: stamps of different processes are comparable.
pub(crate) fn now_ns() -> i64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Nanoseconds as milliseconds.
pub(crate) fn ms(ns: i64) -> f64 {
    ns as f64 / 1e6
}
