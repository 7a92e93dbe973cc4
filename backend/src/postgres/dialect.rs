//! What of `sql/` is Postgres's own.

use sqlx::postgres::{PgConnection, PgRow, Postgres};

/// The database.
pub(crate) type Db = Postgres;
/// A connection to it.
pub(crate) type Conn = PgConnection;
/// A row from it.
pub(crate) type Row = PgRow;

/// A JSON list as a table: one row per element, its column `item.value`.
macro_rules! each {
    ($param:literal) => {
        concat!("jsonb_array_elements(cast(", $param, " as jsonb)) as item(value)")
    };
}

/// The beginning of a leader's transaction: the look at the epoch, which nobody can change before its end.
macro_rules! fence {
    () => {
        "begin; select epoch from leader where id = 1 for share"
    };
}

/// Keeps a worker's life from being ended until the commit. A heartbeat, which changes no key, is not in the way of this
/// lock and does not wait for it, however many claims follow each other.
macro_rules! held {
    () => {
        " for key share"
    };
}

/// Waits for those who hold a life, looks at it again, and keeps others from holding it.
macro_rules! taken {
    () => {
        " for update"
    };
}

/// The instant that leases compare with: the database's clock when the row is looked at, after any wait for a lock.
/// The parameter is the caller's idea of it, which counts only where the database has no clock of its own.
macro_rules! clock {
    ($param:literal) => {
        concat!("(cast(extract(epoch from clock_timestamp()) * 1000000 as bigint) + 0 * ", $param, ")")
    };
}
