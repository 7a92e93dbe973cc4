//! A life's right to run tasks, as the worker itself has to see it: it ends before the others may think it has.
//!
//! Counted from the *start* of the last heartbeat that was answered; [`rota_core::lease`] says when what happens. Where there
//! are no others, it ends with the process only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rota_kit::boottime::BootTime;

use crate::options::Tenure;

/// Between the beats of a worker that is alone: they bring cancels that no nudge told of, and show people that it lives.
const BEAT_ALONE: Duration = Duration::from_secs(5);
/// What the store is told of a right that no time ends: a hundred years from each beat, so that no pause and no step of
/// a clock reaches it.
const LENGTH_ALONE: Duration = Duration::from_secs(100 * 365 * 86_400);

/// One incarnation's lease.
#[derive(Debug)]
pub(crate) struct Lease {
    tenure: Tenure,
    /// Start of the last beat that was answered, in nanoseconds since boot.
    renewed: AtomicU64,
}

impl Lease {
    pub(crate) fn new(tenure: Tenure, registered: BootTime) -> Self {
        Self { tenure, renewed: AtomicU64::new(registered.0) }
    }

    /// How long the store may count on this life from a beat.
    pub(crate) fn length(&self) -> Duration {
        length(self.tenure)
    }

    /// Between beats.
    pub(crate) fn beat_every(&self) -> Duration {
        match self.tenure {
            Tenure::Lease(length) => rota_core::lease::beat_every(length),
            Tenure::Process => BEAT_ALONE,
        }
    }

    /// A beat that was sent then has been answered.
    pub(crate) fn renew(&self, sent: BootTime) {
        self.renewed.fetch_max(sent.0, Ordering::Relaxed);
    }

    /// When tasks are told to end.
    pub(crate) fn end_at(&self) -> BootTime {
        self.after(rota_core::lease::term_after)
    }

    /// When tasks are killed.
    pub(crate) fn kill_at(&self) -> BootTime {
        self.after(rota_core::lease::kill_after)
    }

    fn after(&self, time: fn(Duration) -> Duration) -> BootTime {
        match self.tenure {
            Tenure::Lease(length) => BootTime(self.renewed.load(Ordering::Relaxed)).after(time(length)),
            Tenure::Process => BootTime::NEVER,
        }
    }
}

/// How long the store may count on a life of that tenure from a beat.
pub(crate) fn length(tenure: Tenure) -> Duration {
    match tenure {
        Tenure::Lease(length) => length,
        Tenure::Process => LENGTH_ALONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_is_not_renewed_ends_and_a_worker_that_is_alone_has_none() {
        let long_ago = BootTime(0);
        let lease = Lease::new(Tenure::Lease(Duration::from_nanos(6)), long_ago);
        assert_eq!((lease.end_at(), lease.kill_at()), (BootTime(4), BootTime(5)));
        assert!(lease.end_at().is_past());
        let alone = Lease::new(Tenure::Process, long_ago);
        assert!(!alone.end_at().is_past() && !alone.kill_at().is_past());
        alone.renew(BootTime::now());
        assert!(!alone.end_at().is_past() && alone.length() > Duration::from_secs(3_000_000_000));
    }
}
