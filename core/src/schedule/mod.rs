//! When a DAG is due. Placeholder until the schedule module lands.

/// A compiled schedule.
#[derive(Debug, Clone)]
pub struct Schedule;
