//! What SQLite does in its own way. Everything in `sql/` is written against these names.

use sqlx::{Sqlite, SqliteConnection, sqlite::SqliteRow};

/// The database.
pub(crate) type Db = Sqlite;
/// A connection to it.
pub(crate) type Conn = SqliteConnection;
/// A row from it.
pub(crate) type Row = SqliteRow;

/// A JSON list as a table: one row per element, its column `item.value`.
macro_rules! each {
    ($param:literal) => {
        concat!("json_each(", $param, ") as item")
    };
}

/// The look at the epoch, inside the writer's transaction.
macro_rules! fence {
    () => {
        "select epoch from leader where id = 1"
    };
}

/// Keeps a worker's life from being ended until the commit, without being in the way of its heartbeats.
macro_rules! held {
    () => {
        ""
    };
}

/// Waits for those who hold a life, and keeps others from holding it.
macro_rules! taken {
    () => {
        ""
    };
}

/// The instant that leases compare with: the caller's, because it is this process that has the file.
macro_rules! clock {
    ($param:literal) => {
        $param
    };
}
