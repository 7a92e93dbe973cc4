//! The rule that keeps the store in step with the leader's DAG directory: what was found, compared with what the store has,
//! becomes transactions. Slots that an edited or deleted schedule leaves undecided become missed in the same one. Pure: data in,
//! data out.
//!
//! *A directory speaks through its changes.* Every replica may have a directory, and one that takes over may have an old
//! one. A DAG in the store has a state, the hash of its current version or its absence, and that state has a time. Where
//! the leader's directory differs, it counts only if it came to differ after that time, and
//! - its content was never a version of the DAG: an edit; or
//! - it had just that state and was changed from it: a revert, a deletion, or a file that is back.
//!
//! Anything else is a directory that is behind: it is left alone and reported. A DAG that the store does not know is new.
//! What is adopted takes the time at which it was first seen, so times only grow, and of several edits the last one wins.
//!
//! An edit of a schedule moves the cursor to now, so that it never fires a surprise run; what the old schedule had left
//! undecided until then goes into the ledger as missed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use rota_core::dag::{Dag, FileError};
use rota_core::id::DagId;
use rota_core::port::{DagPut, DagRow, FileErrorPut, FileRecord, FilesPut, SlotOutcome, SlotRow};
use rota_core::schedule;

use crate::files::record::DirectoryRecord;
use crate::files::scan::{DirectoryScan, FileState, ScannedFile, error_above};

/// DAGs, and bytes of their texts, that are stored in one transaction.
const PUT_DAGS_MAX: usize = 200;
const PUT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What the leader knows of a DAG before the reconciliation.
pub(crate) struct KnownDag<'a> {
    pub(crate) row: &'a DagRow,
    /// `None` if this rota cannot read its current version.
    pub(crate) dag: Option<&'a Arc<Dag>>,
}

/// What is compared.
pub(crate) struct DirectoryView<'a> {
    /// What the directory holds.
    pub(crate) scan: &'a DirectoryScan,
    /// Since when, and what it held before.
    pub(crate) record: &'a DirectoryRecord,
    /// What the store has.
    pub(crate) current: &'a BTreeMap<DagId, KnownDag<'a>>,
    /// Of the contents that [`differing`] names, those that are or were versions.
    pub(crate) known: &'a BTreeSet<(DagId, String)>,
    /// The errors that the store has, by path.
    pub(crate) broken: &'a BTreeMap<String, serde_json::Value>,
    /// From before the slots were last looked at, so that none that came due in between is passed over.
    pub(crate) now: DateTime<Utc>,
}

/// What a comparison came to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Reconciled {
    /// What is to be stored, in this order.
    pub(crate) puts: Vec<FilesPut>,
    /// Where the directory is behind, in words.
    pub(crate) behind: Vec<String>,
}

/// The contents that differ from what the store has of DAGs that it knows.
pub(crate) fn differing(
    scan: &DirectoryScan,
    current: &BTreeMap<DagId, KnownDag<'_>>,
) -> Vec<(DagId, String)> {
    let contents = scan.values().filter_map(|found| match &found.state {
        FileState::Good(dag) => Some((&dag.id, &found.hash)),
        FileState::Broken(_) => None,
    });
    let differs = |dag: &DagId, hash: &str| current.get(dag).is_some_and(|known| state(known.row) != hash);
    contents.filter(|(dag, hash)| differs(dag, hash)).map(|(dag, hash)| (dag.clone(), hash.clone())).collect()
}

/// Compares a directory with what the store has.
pub(crate) fn reconcile(view: &DirectoryView<'_>) -> Reconciled {
    let mut reconciliation =
        Reconciliation { view, puts: BTreeMap::new(), full: Vec::new(), behind: Vec::new() };
    let mut mended = Vec::new();
    let mut defined = BTreeSet::new();
    for (path, found) in view.scan {
        match &found.state {
            FileState::Good(dag) => {
                defined.insert(&dag.id);
                reconciliation.good(path, found, dag);
                if view.broken.contains_key(path) {
                    mended.push(path.clone());
                }
            }
            FileState::Broken(errors) => reconciliation.broken(path, found, errors),
        }
    }
    mended.extend(view.broken.keys().filter(|path| !view.scan.contains_key(*path)).cloned());
    for (id, known) in view.current.iter().filter(|(id, known)| known.row.present && !defined.contains(id)) {
        reconciliation.missing(id, known);
    }
    let Reconciliation { puts, full, behind, .. } = reconciliation;
    let mut puts: Vec<FilesPut> = full.into_iter().chain(puts.into_values()).collect();
    if !mended.is_empty() && puts.is_empty() {
        puts.push(empty(view.now));
    }
    if let Some(last) = puts.last_mut() {
        last.mended = mended;
    }
    Reconciled { puts, behind }
}

/// A DAG's state in the store, as records name it.
fn state(row: &DagRow) -> &str {
    if row.present { &row.hash } else { "" }
}

fn empty(at: DateTime<Utc>) -> FilesPut {
    FilesPut { at, ..FilesPut::default() }
}

struct Reconciliation<'a> {
    view: &'a DirectoryView<'a>,
    /// By the time of what they tell.
    puts: BTreeMap<DateTime<Utc>, FilesPut>,
    /// Those that hold enough for one transaction.
    full: Vec<FilesPut>,
    behind: Vec<String>,
}

impl Reconciliation<'_> {
    fn put(&mut self, at: DateTime<Utc>) -> &mut FilesPut {
        let put = self.puts.entry(at).or_insert_with(|| empty(at));
        let bytes: usize = put.dags.iter().map(|dag| dag.source.len()).sum();
        if put.dags.len() >= PUT_DAGS_MAX || bytes >= PUT_BYTES_MAX {
            self.full.push(std::mem::replace(put, empty(at)));
        }
        put
    }

    fn good(&mut self, path: &str, found: &ScannedFile, dag: &Arc<Dag>) {
        let view = self.view;
        let known = view.current.get(&dag.id);
        let record = view.record.dags.get(&dag.id);
        let at = match known {
            None => record.map_or(view.now, |record| record.seen_at),
            Some(known) if state(known.row) == found.hash => {
                if known.row.path == path {
                    return;
                }
                view.now
            }
            Some(known) => {
                let is_new = !view.known.contains(&(dag.id.clone(), found.hash.clone()));
                match record
                    .filter(|record| is_ahead(record, known.row) && (is_new || had(record, known.row)))
                {
                    Some(record) => record.seen_at,
                    None => return self.behind.push(behind(path, known.row)),
                }
            }
        };
        let ends = known.filter(|known| !keeps_schedule(dag, known));
        let reason = "the schedule was changed before a leader had looked";
        let left = ends.and_then(|known| left_undecided(known, reason, view.now));
        let put = self.put(at);
        put.dags.push(dag_put(path, found, dag, known, view.now));
        put.slots.extend(left);
    }

    /// A broken file counts unless it is older than what the store has of the DAG that it defines, or used to define here.
    fn broken(&mut self, path: &str, found: &ScannedFile, errors: &[FileError]) {
        let view = self.view;
        let defines = |id: &DagId, known: &KnownDag<'_>| {
            known.row.path == path || view.record.dags.get(id).is_some_and(|record| record.path == path)
        };
        let known = view.current.iter().filter(|(id, known)| defines(id, known)).map(|(_, known)| known.row);
        let record = view.record.files.get(path);
        let at = record.map_or(view.now, |record| record.seen_at);
        if let Some(newest) = known.max_by_key(|row| row.updated_at)
            && at <= newest.updated_at
        {
            return self.behind.push(behind(path, newest));
        }
        let errors = serde_json::to_value(errors).unwrap_or_default();
        if view.broken.get(path) != Some(&errors) {
            let error = FileErrorPut { path: path.to_owned(), errors, source: found.source.clone() };
            self.put(at).errors.push(error);
        }
    }

    /// A DAG whose file is broken keeps running its last good version; one whose file is gone starts nothing new.
    fn missing(&mut self, id: &DagId, known: &KnownDag<'_>) {
        let record = self.view.record.dags.get(id);
        let is_hidden = record.is_some_and(|record| record.hash.is_some())
            || error_above(self.view.scan, &known.row.path).is_some();
        if is_hidden {
            return;
        }
        match record.filter(|record| is_ahead(record, known.row) && had(record, known.row)) {
            Some(record) => {
                let reason = "the DAG's file was gone before a leader had looked";
                let left = left_undecided(known, reason, self.view.now);
                let put = self.put(record.seen_at);
                put.gone.push(id.clone());
                put.slots.extend(left);
            }
            None => self.behind.push(behind(&known.row.path, known.row)),
        }
    }
}

/// Whether a directory came to say what it says after the store did.
fn is_ahead(record: &FileRecord, row: &DagRow) -> bool {
    record.seen_at > row.updated_at
}

/// Whether a directory had what the store has, and was changed from that.
fn had(record: &FileRecord, row: &DagRow) -> bool {
    record.prev_hash.as_deref() == Some(state(row))
}

fn behind(path: &str, row: &DagRow) -> String {
    let (dag, version) = (&row.dag, row.version);
    let at = row.updated_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let store = match row.present {
        true => format!("the store has version {version} from {at}"),
        false => format!("its file was deleted at {at}"),
    };
    format!("{path} is behind the store: of DAG {dag} {store}")
}

/// The ledger entry for slots that came due under a schedule that ends now, and that nobody decided.
fn left_undecided(known: &KnownDag<'_>, reason: &str, now: DateTime<Utc>) -> Option<SlotRow> {
    let row = known.row;
    let (schedule, cursor) = (known.dag?.schedule.as_ref()?, row.cursor.filter(|_| row.present)?);
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
fn keeps_schedule(dag: &Dag, known: &KnownDag<'_>) -> bool {
    let Some(before) = known.dag else { return false };
    before.schedule.as_ref().map(|schedule| schedule.spec())
        == dag.schedule.as_ref().map(|schedule| schedule.spec())
}

fn dag_put(
    path: &str,
    found: &ScannedFile,
    dag: &Arc<Dag>,
    known: Option<&KnownDag<'_>>,
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

/// Where the cursor of a new, changed or returned schedule starts; `None` leaves it where it is. Only a new DAG may look
/// back.
fn start_of_cursor(dag: &Dag, known: Option<&KnownDag<'_>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let schedule = dag.schedule.as_ref()?;
    match known {
        None => Some(schedule::first_cursor(schedule, now)),
        Some(known) => {
            let keeps = keeps_schedule(dag, known) && known.row.present && known.row.cursor.is_some();
            (!keeps).then(|| known.row.cursor.map_or(now, |cursor| cursor.max(now)))
        }
    }
}

#[cfg(test)]
mod tests;
