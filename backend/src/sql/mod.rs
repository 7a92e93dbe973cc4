//! The statements, a file per table or per side of one, each beside the `impl` of the port's trait that it serves. Compiled
//! inside an adapter's module, whose `dialect` says which database it is; nothing here depends on that otherwise.
//!
//! Rules: a list goes to the database as one JSON text, whose columns the statement knows by name (`rowset.rs`), so that a
//! verb is a fixed number of statements however long its list is. Every write names the state it expects, and the number of
//! rows that it changed is compared with the number it was meant to change. Instants are microseconds.

#[macro_use]
mod call;
#[macro_use]
pub(super) mod rowset;

mod audit;
mod batch;
pub(super) mod cells;
mod dag;
mod dag_file;
mod fault;
mod history;
mod intent;
mod log;
mod replica;
mod replica_file;
mod run;
mod run_transitions;
mod run_views;
mod slot;
pub(super) mod task;
pub(super) mod task_claim;
mod task_finish;
mod task_late;
pub(super) mod task_outcome;
mod task_transitions;
mod term;
mod worker;

pub(super) use fault::{Fault, failed, write_failed};
pub(super) use term::fence_check;

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use rota_core::port::{StoreError, StoreResult};

use super::Store;
use super::dialect::{Conn, Db, Row};

/// A store that cannot do what it was asked, in words.
pub(super) fn unavailable(why: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(why.to_string())
}

/// Text as both databases can keep it: SQLite's JSON functions end a text at a NUL, Postgres refuses one.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{FFFD}")) } else { Cow::Borrowed(text) }
}

pub(super) fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

pub(super) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// A guard: exactly `expected` rows were changed, else nothing of the transaction counts.
fn all_changed(what: &str, expected: usize, changed: u64) -> StoreResult<()> {
    if changed == expected as u64 {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("{what}: {changed} of {expected} rows were in the state expected")))
}
