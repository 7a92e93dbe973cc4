//! What SQLite does in its own way. Everything in `sql/` is written against these names.

use rota_core::port::StoreError;
use sqlx::{Sqlite, SqliteConnection, sqlite::SqliteRow};

use super::sql::Fault;

/// The database.
pub(crate) type Db = Sqlite;
/// A connection to it.
pub(crate) type Conn = SqliteConnection;
/// A row from it.
pub(crate) type Row = SqliteRow;

/// The first parameter, a JSON list, as a table: one row per element, its column `value`.
macro_rules! each {
    () => {
        "json_each($1)"
    };
}

/// The look at the epoch, inside the writer's transaction.
macro_rules! fence {
    () => {
        "select epoch from leader where id = 1"
    };
}

/// Keeps a worker's life from being ended until the commit, without being in the way of its heartbeats.
macro_rules! for_key_share {
    () => {
        ""
    };
}

/// Waits for those who hold a life, and keeps others from holding it.
macro_rules! for_update {
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

/// What a result code says. An extended one holds the code that it refines in its lowest byte.
pub(crate) fn fault(code: &str) -> Fault {
    const UNIQUE: u32 = 2067;
    const PRIMARY_KEY: u32 = 1555;
    const ROW_ID: u32 = 2579;
    /// The file of the log's index cannot grow.
    const INDEX_SIZE: u32 = 4874;
    const CORRUPT: u32 = 11;
    const FULL: u32 = 13;
    const TOO_BIG: u32 = 18;
    const CONSTRAINT: u32 = 19;
    const MISMATCH: u32 = 20;
    const NO_DATABASE: u32 = 26;
    let Ok(code) = code.parse::<u32>() else { return Fault::Other };
    match (code, code & 0xff) {
        (UNIQUE | PRIMARY_KEY | ROW_ID, _) => Fault::Taken,
        (INDEX_SIZE, _) | (_, FULL) => Fault::Full,
        (_, CONSTRAINT | MISMATCH | TOO_BIG) => Fault::Data,
        (_, CORRUPT | NO_DATABASE) => Fault::Damaged,
        _ => Fault::Other,
    }
}

/// An error that says nothing about what was asked. Nothing that was undone comes this far: there is one writer.
pub(crate) fn outage(_code: Option<&str>, words: String) -> StoreError {
    StoreError::Unavailable(words)
}

/// What SQLite said, with its code.
pub(crate) fn words(error: &sqlx::Error) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_told_by_what_it_refines() {
        for (code, fault) in [
            ("11", Fault::Damaged),
            ("267", Fault::Damaged),
            ("26", Fault::Damaged),
            ("13", Fault::Full),
            ("4874", Fault::Full),
            ("18", Fault::Data),
            ("20", Fault::Data),
            ("275", Fault::Data),
            ("1299", Fault::Data),
            ("2067", Fault::Taken),
            ("1555", Fault::Taken),
            ("5", Fault::Other),
            ("10", Fault::Other),
            ("strange", Fault::Other),
        ] {
            assert_eq!(super::fault(code), fault, "{code}");
        }
    }
}
