//! What of `sql/` is Postgres's own.

use rota_core::port::StoreError;
use sqlx::postgres::{PgConnection, PgRow, Postgres};

use super::sql::Fault;

/// The database.
pub(crate) type Db = Postgres;
/// A connection to it.
pub(crate) type Conn = PgConnection;
/// A row from it.
pub(crate) type Row = PgRow;

/// The first parameter, a JSON list, as a table: one row per element, its column `value`.
macro_rules! each {
    () => {
        "jsonb_array_elements(cast($1 as jsonb)) as list(value)"
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
macro_rules! for_key_share {
    () => {
        " for key share"
    };
}

/// Waits for those who hold a life, looks at it again, and keeps others from holding it.
macro_rules! for_update {
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

/// What a SQLSTATE says. See the PostgreSQL manual, appendix A.
pub(crate) fn fault(code: &str) -> Fault {
    match code {
        "23505" => Fault::Taken,
        "53100" => Fault::Full,
        "XX001" | "XX002" => Fault::Damaged,
        // Data exceptions, violated constraints, limits of the program.
        _ if ["22", "23", "54"].iter().any(|class| code.starts_with(class)) => Fault::Data,
        _ => Fault::Other,
    }
}

/// What the server said, with its SQLSTATE: the words alone come in the server's language.
pub(crate) fn words(error: &sqlx::Error) -> String {
    match error.as_database_error().and_then(|database| database.code()) {
        Some(code) => format!("{error} (SQLSTATE {code})"),
        None => error.to_string(),
    }
}

/// The server undid a transaction that crossed another one: a deadlock, or what it takes for one.
const UNDONE: [&str; 2] = ["40P01", "40001"];

/// An error that says nothing about what was asked: an operation that was undone may be tried again at once.
pub(crate) fn outage(code: Option<&str>, words: String) -> StoreError {
    match code {
        Some(code) if UNDONE.contains(&code) => StoreError::Undone(words),
        _ => StoreError::Unavailable(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_told_by_its_class() {
        for (code, fault) in [
            ("XX001", Fault::Damaged),
            ("XX002", Fault::Damaged),
            ("XX000", Fault::Other),
            ("53100", Fault::Full),
            ("53200", Fault::Other),
            ("22003", Fault::Data),
            ("22P05", Fault::Data),
            ("23503", Fault::Data),
            ("23514", Fault::Data),
            ("54000", Fault::Data),
            ("23505", Fault::Taken),
            ("40P01", Fault::Other),
            ("57P01", Fault::Other),
        ] {
            assert_eq!(super::fault(code), fault, "{code}");
        }
    }

    #[test]
    fn a_deadlock_is_known_in_every_language() {
        let undone = |code, words: &str| matches!(outage(code, words.to_owned()), StoreError::Undone(_));
        assert!(undone(Some("40P01"), "Verklemmung entdeckt"));
        assert!(!undone(Some("42P01"), "deadlock detected in the name of a table (SQLSTATE 40P01)"));
        assert!(!undone(None, "deadlock detected"));
    }
}
