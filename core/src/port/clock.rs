//! Wall-clock time.

use chrono::{DateTime, Utc};

/// Where time comes from. One implementation reads the system, others belong to tests and simulations.
pub trait Clock: Send + Sync {
    /// The current instant.
    fn now(&self) -> DateTime<Utc>;
}
