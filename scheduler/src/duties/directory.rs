//! The duty that takes in what [`crate::files`] found in the DAG directory: stores versions, tells the planner and people.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rota_core::id::DagId;
use rota_core::port::{Change, FilesPut};

use crate::files::reconcile::{DirectoryView, KnownDag, Reconciled, differing, reconcile};
use crate::files::record::DirectoryRecord;
use crate::files::scan::{DirectoryScan, FileState};
use crate::term::LeaderTerm;
use crate::term::failures::TermError;
use crate::term::load::LoadedState;

/// Files that are named one by one, of those that changed together.
const NAMED_MAX: usize = 3;
/// Files that are named one by one, of those that are behind.
const BEHIND_NAMED_MAX: usize = 20;

/// What was said already about a directory that is behind.
#[derive(Default)]
pub(crate) struct DirectoryDuty {
    said: BTreeSet<String>,
}

/// What the directory holds, once it was taken in.
#[derive(Debug, PartialEq)]
pub(crate) struct DirectoryReport {
    /// Files that are good.
    pub(crate) good: usize,
    /// Files that cannot be used: path and first error, in words.
    pub(crate) broken: Vec<String>,
    /// Files that are older than what the store has, in words.
    pub(crate) behind: Vec<String>,
}

impl DirectoryDuty {
    /// Takes in the DAG directory before anything is fired: it may have changed while nobody led, and a slot that came due
    /// meanwhile must not run what was deleted or mended since. `None`: there is none, or it was not read yet.
    pub(crate) async fn take_in_first(
        &mut self,
        term: &mut LeaderTerm<'_>,
    ) -> Result<Option<DirectoryReport>, TermError> {
        let Some((scan, record)) = record_scan(term).await? else { return Ok(None) };
        let now = term.context.now().await?;
        self.take_in(term, &scan, &record, now).await.map(Some)
    }

    /// Takes in the DAG directory as it is now. What is due by then still belongs to the schedules as they were.
    pub(crate) async fn take_in_changes(
        &mut self,
        term: &mut LeaderTerm<'_>,
    ) -> Result<Option<DirectoryReport>, TermError> {
        let Some((scan, record)) = record_scan(term).await? else { return Ok(None) };
        let now = term.context.now().await?;
        term.drive().await?;
        self.take_in(term, &scan, &record, now).await.map(Some)
    }

    async fn take_in(
        &mut self,
        term: &mut LeaderTerm<'_>,
        scan: &DirectoryScan,
        record: &DirectoryRecord,
        now: DateTime<Utc>,
    ) -> Result<DirectoryReport, TermError> {
        let reconciled = {
            let current = known_dags(&term.state);
            let differing = differing(scan, &current);
            let known = term.context.store.ask(|plans| plans.versions_known(&differing)).await?;
            let known: BTreeSet<_> = known.into_iter().collect();
            let (current, known, broken) = (&current, &known, &term.state.broken);
            reconcile(&DirectoryView { scan, record, current, known, broken, now })
        };
        for put in &reconciled.puts {
            store_files(term, scan, put).await?;
        }
        if !reconciled.puts.is_empty() {
            term.state.look_at_dags(term.context, term.cache).await?;
            term.state.look_at_broken(term.context).await?;
        }
        self.say_behind(term, &reconciled);
        Ok(report(scan, reconciled))
    }

    /// Says once of each file that it is behind.
    fn say_behind(&mut self, term: &LeaderTerm<'_>, reconciled: &Reconciled) {
        let new: Vec<&String> =
            reconciled.behind.iter().filter(|words| !self.said.contains(*words)).collect();
        let replica = &term.context.options.replica;
        for words in new.iter().take(BEHIND_NAMED_MAX) {
            tracing::warn!("{words}: the directory of scheduler {replica} is old, update it");
        }
        if new.len() > BEHIND_NAMED_MAX {
            tracing::warn!("{} more DAG files are behind the store", new.len() - BEHIND_NAMED_MAX);
        }
        self.said = reconciled.behind.iter().cloned().collect();
    }
}

/// Waits until the DAG directory was read, so that texts that it has need not be fetched.
pub(crate) async fn wait_first_scan(term: &mut LeaderTerm<'_>) -> Result<(), TermError> {
    let Some(directory) = &mut term.cache.directory else { return Ok(()) };
    let first = directory.first_scan();
    if tokio::time::timeout(term.context.options.first_scan, first).await.is_err() {
        tracing::error!("the DAG directory could not be read in time: going on with the stored versions");
        return Ok(());
    }
    record_scan(term).await.map(drop)
}

async fn record_scan(
    term: &mut LeaderTerm<'_>,
) -> Result<Option<(Arc<DirectoryScan>, Arc<DirectoryRecord>)>, TermError> {
    match &mut term.cache.directory {
        Some(directory) => Ok(directory.record_scan(term.context.store).await?),
        None => Ok(None),
    }
}

/// What the store has, as far as the planner knows.
fn known_dags(state: &LoadedState) -> BTreeMap<DagId, KnownDag<'_>> {
    let read = state.dags.iter().map(|(id, (row, dag))| {
        let row = state.planner.dag_row(id).unwrap_or(row);
        (id.clone(), KnownDag { row, dag: Some(dag) })
    });
    let unreadable = state.unreadable.iter().map(|(id, row)| (id.clone(), KnownDag { row, dag: None }));
    read.chain(unreadable).collect()
}

async fn store_files(
    term: &mut LeaderTerm<'_>,
    scan: &DirectoryScan,
    put: &FilesPut,
) -> Result<(), TermError> {
    let context = term.context;
    let versions = context.store.ask(|plans| plans.files_put(context.epoch, put)).await?;
    let paths: BTreeMap<_, _> = put.dags.iter().map(|it| (&it.dag, &it.path)).collect();
    for (dag, version) in versions {
        let path = paths.get(&dag).copied();
        if let Some(found) = path.and_then(|path| scan.get(path))
            && let FileState::Good(parsed) = &found.state
        {
            term.cache.versions.put(&dag, version, parsed);
        }
    }
    log_put(put);
    let told = put.dags.iter().map(|it| &it.dag).chain(&put.gone);
    term.sender.announce(told.map(|dag| Change::Dag(dag.clone())));
    Ok(())
}

fn report(scan: &DirectoryScan, reconciled: Reconciled) -> DirectoryReport {
    let broken = scan.iter().filter_map(|(path, found)| match &found.state {
        FileState::Good(_) => None,
        FileState::Broken(errors) => Some(errors.first().map_or_else(|| path.clone(), ToString::to_string)),
    });
    let broken: Vec<String> = broken.collect();
    DirectoryReport { good: scan.len() - broken.len(), broken, behind: reconciled.behind }
}

fn log_put(put: &FilesPut) {
    if put.dags.len() > NAMED_MAX {
        tracing::info!("{} DAG files are new or changed", put.dags.len());
    } else {
        for dag in &put.dags {
            tracing::info!("DAG {} is new or changed ({})", dag.dag, dag.path);
        }
    }
    for error in &put.errors {
        tracing::error!("{} cannot be used: {}", error.path, first(&error.errors));
    }
    for dag in &put.gone {
        tracing::warn!("the file of DAG {dag} is gone: nothing new starts");
    }
}

fn first(errors: &serde_json::Value) -> String {
    let text = |key: &str| errors[0][key].to_string();
    format!(
        "line {}, column {}: {}",
        text("line"),
        text("col"),
        errors[0]["message"].as_str().unwrap_or_default()
    )
}
