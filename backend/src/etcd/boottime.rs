//! The clock of trust: `CLOCK_BOOTTIME`, which goes on while the machine sleeps and never steps.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine's boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BootTime(u64);

impl BootTime {
    /// The current instant.
    pub(super) fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        Self(now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs())
    }

    /// This instant and `by` more.
    pub(super) fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Whether this instant is over.
    pub(super) fn is_past(self) -> bool {
        Self::now() >= self
    }
}
