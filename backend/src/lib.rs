//! The adapters: everything that rota needs from the outside, once embedded (SQLite, this process) and later once
//! clustered. The only crate that names sqlx, and it decides nothing: every rule is in `core`, every verb here is a
//! guarded write or a bounded read.
//!
//! - [`SqliteStore`] implements all four roles of the store. Its statements stand in `sql/`, written so that they run on
//!   Postgres as well; what differs between the two databases is a handful of macros and types in `sqlite/dialect.rs`.
//!   `sql/` is compiled inside the adapter's module, against the adapter's connection type.
//! - All writes go through one connection and one task, which commits whatever is waiting in one transaction
//!   (`sqlite/writer.rs`): many callers share one fsync, a lone caller pays for one.
//! - [`InProcessBroker`], [`SoloLeadership`] and [`SystemClock`] are the other embedded ports. [`DataDir`] holds the
//!   lock that keeps a second process away from the files.

mod broker;
mod clock;
mod data_dir;
mod link;
mod postgres;
mod solo;
mod sqlite;

pub use broker::InProcessBroker;
pub use clock::SystemClock;
pub use data_dir::{DataDir, DataDirError, Holder};
pub use link::Link;
pub use postgres::{PostgresOptions, PostgresStore, postgres_migrate};
pub use solo::SoloLeadership;
pub use sqlite::SqliteStore;
