//! The statements, one file per group of verbs. Compiled inside an adapter's module, whose `dialect` says which
//! database it is; nothing here depends on that otherwise.
//!
//! Rules: a list goes to the database as one JSON text, whose columns the statement knows by name (`rowset.rs`), so that a
//! verb is a fixed number of statements however long its list is. Every write names the state it expects, and the number of rows that it
//! changed is compared with the number it was meant to change. Instants are microseconds.

#[macro_use]
pub(super) mod rowset;

mod audit;
mod batch;
mod call;
pub(super) mod cells;
mod dag_file;
mod fault;
mod history;
mod intent;
mod replica;
mod replica_file;
mod run;
mod run_views;
mod slot;
mod task;
pub(super) mod task_claim;
mod task_late;
pub(super) mod task_transitions;
mod term;
mod worker;

pub(super) use super::task_path::{tasks_claim, tasks_load};
pub(super) use audit::{audit_add, view_audit};
pub(super) use batch::batch_commit;
pub(super) use dag_file::{dags_load, file_errors, files_put, version_source};
pub(super) use fault::{Fault, failed, write_failed};
pub(super) use history::prune;
pub(super) use intent::{dag_pause, intent_add, intents_pending, run_by_key, run_trigger, worker_drain};
pub(super) use replica::{replica_beat, term_end, view_replicas, view_terms};
pub(super) use replica_file::{files_record, files_seen, versions_known};
pub(super) use run::{run_load, runs_active, runs_queued};
pub(super) use run_views::{
    view_active_runs, view_attempts, view_dag, view_failed_dags, view_log, view_log_extents,
    view_recent_runs, view_runs, view_source, view_workers,
};
pub(super) use slot::{view_outages, view_slot_counts, view_slot_steps, view_slots};
pub(super) use task::{tasks_of_runs, tasks_unclaimed};
pub(super) use task_claim::{log_append, outputs_load, tasks_finish, tasks_give_back, tasks_queued};
pub(super) use term::{fence_check, leader_load, term_begin};
pub(super) use worker::{worker_beat, worker_register, workers_reap};

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use rota_core::port::{StoreError, StoreResult};

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
