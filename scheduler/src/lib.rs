//! The leader's loop and its duties: fire due slots, walk runs, relay queued tasks to the broker, reap dead workers, keep up
//! with the DAG directory, prune old history.
//!
//! Invariants: nothing here decides what comes next (that is `rota_core::plan`), and nothing here knows a database or a
//! broker. A duty re-reads what it needs, can be repeated without harm and knows nothing about elections. Every write
//! carries the epoch; a refused one ends the term.

mod broker;
mod duties;
mod files;
mod options;
mod replica;
mod term;

pub use files::scan::{Directory, FileState, Found, Scan};
pub use files::walk;
pub use options::Options;
pub use replica::turns::Turns;
pub use replica::{Ports, Scheduler, Status};
