//! The duty that keeps the store in step with the DAG directory: what was found, compared with what the store has, becomes
//! one transaction. An edit of a schedule moves the cursor to now, so that it never fires a surprise run; what the old
//! schedule had left undecided until then goes into the ledger as missed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rota_core::dag::Dag;
use rota_core::id::DagId;
use rota_core::port::{DagPut, DagRow, FileErrorPut, FilesPut, SlotOutcome, SlotRow};
use rota_core::schedule::{self, Catchup};

use crate::directory::{FileState, Found, Scan};

/// What the leader knows of a DAG before the comparison.
pub(crate) struct Current<'a> {
    pub(crate) row: &'a DagRow,
    pub(crate) dag: &'a Arc<Dag>,
}

/// Compares a scan with what the store has. `broken`: the errors that the store has, by path.
pub(crate) fn compare(
    scan: &Scan,
    current: &BTreeMap<DagId, Current<'_>>,
    broken: &BTreeMap<String, serde_json::Value>,
    now: DateTime<Utc>,
) -> FilesPut {
    let mut put = FilesPut { at: now, ..FilesPut::default() };
    let mut claimed = BTreeSet::new();
    for (path, found) in scan {
        match &found.state {
            FileState::Good(dag) => {
                claimed.insert(dag.id.clone());
                let known = current.get(&dag.id);
                if known.is_none_or(|known| {
                    known.row.hash != found.hash || !known.row.present || known.row.path != *path
                }) {
                    put.dags.push(dag_put(path, found, dag, known, now));
                    let ends = known.filter(|known| !keeps_schedule(dag, known));
                    let reason = "the schedule was changed before a leader had looked";
                    put.slots.extend(ends.and_then(|known| left_undecided(known, reason, now)));
                }
                if broken.contains_key(path) {
                    put.mended.push(path.clone());
                }
            }
            FileState::Broken(errors) => {
                let errors = serde_json::to_value(errors).unwrap_or_default();
                if broken.get(path) != Some(&errors) {
                    put.errors.push(FileErrorPut {
                        path: path.clone(),
                        errors,
                        source: found.source.clone(),
                    });
                }
            }
        }
    }
    put.mended.extend(broken.keys().filter(|path| !scan.contains_key(*path)).cloned());
    // A DAG whose file is broken keeps running its last good version; one whose file is gone starts nothing new.
    let gone = current.iter().filter(|(id, known)| {
        known.row.present && !claimed.contains(*id) && !is_hidden_by_an_error(scan, &known.row.path)
    });
    for (id, known) in gone {
        put.gone.push(id.clone());
        put.slots.extend(left_undecided(known, "the DAG's file was gone before a leader had looked", now));
    }
    put
}

/// The ledger entry for slots that came due under a schedule that ends now, and that nobody decided.
fn left_undecided(known: &Current<'_>, reason: &str, now: DateTime<Utc>) -> Option<SlotRow> {
    let row = known.row;
    let (schedule, cursor) = (known.dag.schedule.as_ref()?, row.cursor.filter(|_| row.present)?);
    let range = schedule::passed(schedule, cursor, now)?;
    let (outcome, reason) = match row.paused {
        true => (SlotOutcome::Skipped, "the DAG was paused"),
        false => (SlotOutcome::Missed, reason),
    };
    Some(SlotRow {
        dag: row.dag.clone(),
        slot: range.from,
        to: range.to,
        count: range.count,
        outcome,
        reason: Some(reason.to_owned()),
        run: None,
        decided_at: now,
    })
}

/// Whether a new text says the same about when the DAG is due.
fn keeps_schedule(dag: &Dag, known: &Current<'_>) -> bool {
    let before = known.dag.schedule.as_ref().map(|schedule| schedule.spec());
    before == dag.schedule.as_ref().map(|schedule| schedule.spec())
}

/// Whether the file, or a directory that it is in, is there but cannot be used.
fn is_hidden_by_an_error(scan: &Scan, path: &str) -> bool {
    Path::new(path)
        .ancestors()
        .filter_map(Path::to_str)
        .any(|above| scan.get(above).is_some_and(|found| matches!(found.state, FileState::Broken(_))))
}

fn dag_put(
    path: &str,
    found: &Found,
    dag: &Arc<Dag>,
    known: Option<&Current<'_>>,
    now: DateTime<Utc>,
) -> DagPut {
    let cursor = start_of_cursor(dag, known, now);
    let from = cursor.or(known.and_then(|known| known.row.cursor));
    let next_slot = dag.schedule.as_ref().zip(from).and_then(|(schedule, from)| schedule.next_after(from));
    DagPut {
        dag: dag.id.clone(),
        path: path.to_owned(),
        source: found.source.clone(),
        hash: found.hash.clone(),
        cursor,
        next_slot,
    }
}

/// Where the cursor of a new, changed or returned schedule starts; `None` leaves it where it is. Only a new DAG with
/// `catchup: all` looks back, to its `start:`.
fn start_of_cursor(dag: &Dag, known: Option<&Current<'_>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let schedule = dag.schedule.as_ref()?;
    match known {
        None => {
            let start = schedule.spec().start.filter(|start| *start < now);
            let looks_back = schedule.spec().catchup == Catchup::All;
            // The cursor stands just before `start`, so that a slot at `start` itself is still to be decided.
            start.filter(|_| looks_back).map(|start| start - chrono::Duration::microseconds(1)).or(Some(now))
        }
        Some(known) => {
            let keeps = keeps_schedule(dag, known) && known.row.present && known.row.cursor.is_some();
            (!keeps).then(|| known.row.cursor.map_or(now, |cursor| cursor.max(now)))
        }
    }
}
