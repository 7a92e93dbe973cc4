//! The clock of leases: `CLOCK_BOOTTIME`, which goes on while a process is stopped or the machine sleeps, and never steps.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine's boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct BootTime(pub u64);

impl BootTime {
    /// An instant that does not come.
    pub const NEVER: Self = Self(u64::MAX);

    /// The current instant.
    #[must_use]
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        Self(now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs())
    }

    /// This instant and `by` more.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long it is from `earlier` to this instant; zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// How long it is from now to this instant; zero if it is over.
    #[must_use]
    pub fn left(self) -> Duration {
        self.since(Self::now())
    }

    /// Whether this instant is over.
    #[must_use]
    pub fn is_past(self) -> bool {
        Self::now() >= self
    }
}
