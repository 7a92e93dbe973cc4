//! The leader's two ends at the broker: what it says and what it hears. Both are hints, and neither is ever waited for.

pub(crate) mod sender;
pub(crate) mod wakeups;
