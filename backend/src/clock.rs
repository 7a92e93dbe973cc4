//! The system's clock. The only place that reads it.

use chrono::{DateTime, SubsecRound, Utc};
use rota_core::port::Clock;

/// Wall-clock time of this machine, in whole microseconds (what the store keeps), so that an instant survives the way
/// through the store unchanged.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock port's system adapter")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}
