//! Pure decisions and data: what rota schedules, when it is due and what comes next.
//!
//! Invariants of this crate: it never does I/O, never reads a clock, never draws a random number and never names
//! a database, a broker or an async runtime. Time and randomness come in as arguments. Everything that touches the
//! outside is a trait in [`port`], implemented by other crates.

pub mod dag;
pub mod failpoint;
pub mod hex;
pub mod id;
pub mod late_result;
pub mod lease;
pub mod plan;
pub mod port;
pub mod schedule;
pub mod state;
pub mod sync;
