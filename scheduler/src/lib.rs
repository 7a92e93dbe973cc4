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
mod ports;
mod replica;
mod status;
mod term;
mod turns;

pub use files::scan::{DagDirectory, DirectoryScan, FileState, ScannedFile};
pub use files::walk;
pub use options::{Options, RETENTION_DEFAULT};
pub use ports::Ports;
pub use replica::Scheduler;
pub use status::Status;
pub use turns::Turns;
