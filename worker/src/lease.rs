//! A life's right to run tasks, as the worker itself has to see it: it ends before the others may think it has.
//!
//! Counted from the *start* of the last heartbeat that was answered, TERM goes out at 4/6 of the lease and KILL at 5/6;
//! the leader looks for another worker at 7/6.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::boottime::BootTime;

/// One incarnation's lease.
#[derive(Debug)]
pub(crate) struct Lease {
    length: Duration,
    /// Start of the last beat that was answered, in nanoseconds since boot.
    renewed: AtomicU64,
}

impl Lease {
    pub(crate) fn new(length: Duration, registered: BootTime) -> Self {
        Self { length, renewed: AtomicU64::new(registered.0) }
    }

    pub(crate) fn length(&self) -> Duration {
        self.length
    }

    /// Between beats.
    pub(crate) fn beat_every(&self) -> Duration {
        self.length / 6
    }

    /// A beat that was sent then has been answered.
    pub(crate) fn renew(&self, sent: BootTime) {
        self.renewed.fetch_max(sent.0, Ordering::Relaxed);
    }

    /// When tasks are told to end.
    pub(crate) fn end_at(&self) -> BootTime {
        self.renewed().after(self.length * 4 / 6)
    }

    /// When tasks are killed.
    pub(crate) fn kill_at(&self) -> BootTime {
        self.renewed().after(self.length * 5 / 6)
    }

    fn renewed(&self) -> BootTime {
        BootTime(self.renewed.load(Ordering::Relaxed))
    }
}
