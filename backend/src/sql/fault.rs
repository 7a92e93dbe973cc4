//! What an error of the database means to who asked. Told by its code (`dialect::fault`), never by its words, which come in
//! the server's language.

use std::borrow::{Borrow, Cow};

use rota_core::port::StoreError;

use super::super::dialect;
use super::unavailable;

/// A kind of error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A row that must be unique is there already.
    Taken,
    /// A value that the database does not take.
    Data,
    /// What it holds is damaged.
    Damaged,
    /// No room is left on its disk.
    Full,
    /// Anything else, an outage for example.
    Other,
}

/// Opens the words of a store without room.
const FULL: &str = "its disk is full, make room and rota goes on by itself";

/// An error of the database, as the port knows it.
pub(crate) fn failed(error: impl Borrow<sqlx::Error>) -> StoreError {
    let error = error.borrow();
    let words = dialect::words(error);
    let code = code(error);
    match code.as_deref().map_or(Fault::Other, dialect::fault) {
        Fault::Data | Fault::Taken => StoreError::Data(words),
        Fault::Damaged => StoreError::Damaged(words),
        Fault::Full => unavailable(format!("{FULL}: {words}")),
        Fault::Other => dialect::outage(code.as_deref(), words),
    }
}

/// An error of a write: a row that must be unique and is there already is a conflict.
pub(crate) fn write_failed(error: sqlx::Error) -> StoreError {
    let is_taken = code(&error).is_some_and(|code| dialect::fault(&code) == Fault::Taken);
    match error.as_database_error() {
        Some(database) if is_taken => StoreError::Conflict(database.message().to_owned()),
        _ => failed(error),
    }
}

fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(|database| database.code())
}
