//! The leader's loop and its duties: fire due slots, walk runs, relay queued tasks to the broker, reap dead workers, keep up
//! with the DAG directory, prune old history.
//!
//! Invariants: nothing here decides what comes next (that is `rota_core::plan`), and nothing here knows a database or a
//! broker. A duty re-reads what it needs, can be repeated without harm and knows nothing about elections. Every write
//! carries the epoch; a refused one ends the term.

mod beats;
mod directory;
mod door;
mod duties;
mod files;
mod leader;
mod load;
mod options;
mod outbox;
mod relay;
mod scheduler;
mod seen;
mod sync;
mod troubles;
mod turns;
mod versions;
pub mod walk;
mod watch_dir;

pub use directory::{Directory, FileState, Found, Scan};
pub use options::Options;
pub use scheduler::{Ports, Scheduler, Status};
pub use turns::Turns;
