//! What several parts of rota need and none of them owns: a limit on calls, pauses that double, the clock of leases, this
//! machine's name, and the parsed versions of DAGs.
//!
//! Invariants of this crate: it knows the ports and the async runtime, and names no adapter, no role and no setting. It
//! never logs: what a wait or a failure means is known to whoever waits.

pub mod boottime;
pub mod host;
pub mod pause;
pub mod timed;
pub mod versions;
pub mod within;
