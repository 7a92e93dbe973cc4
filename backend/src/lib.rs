//! The adapters: everything that rota needs from the outside, once embedded (SQLite, this process) and once clustered
//! (Postgres, RabbitMQ, etcd). The only crate that names their clients, and it decides nothing: every rule is in `core`, every
//! verb here is a guarded write or a bounded read.
//!
//! - [`SqliteStore`] and [`PostgresStore`] implement all four roles of the store. Their statements stand in `sql/`, which is
//!   compiled inside each adapter's module, against its connection type; what differs between the two databases is a
//!   handful of macros and types in `dialect.rs` and the few statements of `task_path.rs` that every task passes through.
//! - SQLite: all writes go through one connection and one task, which commits whatever is waiting in one transaction
//!   (`sqlite/writer.rs`): many callers share one fsync, a lone caller pays for one.
//! - Postgres: a lane of connections per role (`postgres/lane.rs`), each with settings that free the locks of a process that
//!   is stopped or cut off.
//! - [`RabbitBroker`] is the clustered broker, with a supervisor of its own over lapin.
//! - [`InProcessBroker`], [`SoloLeadership`] and [`SystemClock`] are the other embedded ports. [`DataDir`] holds the
//!   lock that keeps a second process away from the files.
//! - [`EtcdLeadership`] is the election among replicas, on a thread of its own.

#![expect(clippy::duplicate_mod, reason = "sql/ is compiled once for each database")]

mod broker;
mod clock;
mod damage;
mod data_dir;
mod etcd;
mod link;
mod postgres;
mod rabbit;
mod solo;
mod sqlite;
mod zone_files;

pub use broker::InProcessBroker;
pub use clock::SystemClock;
pub use data_dir::{DataDir, DataDirError, Holder};
pub use etcd::{EtcdLeadership, EtcdOptions, EtcdTls, PeerOptions};
pub use link::Link;
pub use postgres::{PostgresOptions, PostgresStore, postgres_migrate};
pub use rabbit::{QueueKind, RabbitBroker, RabbitOptions};
pub use solo::SoloLeadership;
pub use sqlite::SqliteStore;
pub use zone_files::zone_files;
