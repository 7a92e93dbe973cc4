//! The duty that carries out what [`crate::files::reconcile`] found: stores versions, tells the planner and people.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rota_core::port::{Change, FilesPut};

use crate::files::reconcile::{self as files, Compared, Current, Sight};
use crate::files::record::Record;
use crate::files::scan::{FileState, Scan};
use crate::term::{Leader, Trouble, bounded};

/// Files that are named one by one, of those that changed together.
const NAMED_MAX: usize = 3;
/// Files that are named one by one, of those that are behind.
const BEHIND_NAMED_MAX: usize = 20;

impl Leader<'_> {
    /// Takes in the DAG directory as it is now. What is due by then still belongs to the schedules as they were.
    pub(crate) async fn files_changed(&mut self) -> Result<(), Trouble> {
        let Some((scan, record)) = self.files_look().await? else { return Ok(()) };
        let now = self.now().await?;
        self.drive().await?;
        self.files_sync(&scan, &record, now).await
    }

    /// Waits until the DAG directory was read, so that texts that it has need not be fetched.
    pub(crate) async fn files_ready(&mut self) -> Result<(), Trouble> {
        let Some(files) = &mut self.memory.files else { return Ok(()) };
        if tokio::time::timeout(self.options.first_scan, files.first()).await.is_err() {
            tracing::error!("the DAG directory could not be read in time: going on with the stored versions");
            return Ok(());
        }
        self.files_look().await.map(drop)
    }

    /// Takes in the DAG directory before anything is fired: it may have changed while nobody led, and a slot that came due
    /// meanwhile must not run what was deleted or mended since.
    pub(crate) async fn files_first(&mut self) -> Result<(), Trouble> {
        let Some((scan, record)) = self.files_look().await? else { return Ok(()) };
        let now = self.now().await?;
        self.files_sync(&scan, &record, now).await
    }

    async fn files_look(&mut self) -> Result<Option<(Arc<Scan>, Arc<Record>)>, Trouble> {
        match &mut self.memory.files {
            Some(files) => Ok(files.look(&*self.ports.plans).await?),
            None => Ok(None),
        }
    }

    async fn files_sync(&mut self, scan: &Scan, record: &Record, now: DateTime<Utc>) -> Result<(), Trouble> {
        let limit = self.options.call_timeout;
        let compared = {
            let current = self.current();
            let differing = files::differing(scan, &current);
            let known = bounded(limit, self.ports.plans.versions_known(&differing)).await?;
            let known: BTreeSet<_> = known.into_iter().collect();
            let (current, known, broken) = (&current, &known, &self.broken);
            files::compare(&Sight { scan, record, current, known, broken, now })
        };
        for put in &compared.puts {
            self.files_put(scan, put).await?;
        }
        if !compared.puts.is_empty() {
            self.dags_look().await?;
            let broken = bounded(limit, self.ports.plans.files_broken()).await?;
            self.broken = broken.into_iter().map(|row| (row.path, row.errors)).collect();
        }
        self.report(scan, compared);
        Ok(())
    }

    /// What the store has, as far as the planner knows.
    fn current(&self) -> BTreeMap<rota_core::id::DagId, Current<'_>> {
        let read = self.dags.iter().map(|(id, (row, dag))| {
            let row = self.planner.dag_row(id).unwrap_or(row);
            (id.clone(), Current { row, dag: Some(dag) })
        });
        let unread = self.unread.iter().map(|(id, row)| (id.clone(), Current { row, dag: None }));
        read.chain(unread).collect()
    }

    async fn files_put(&mut self, scan: &Scan, put: &FilesPut) -> Result<(), Trouble> {
        let versions =
            bounded(self.options.call_timeout, self.ports.plans.files_put(self.epoch, put)).await?;
        let paths: BTreeMap<_, _> = put.dags.iter().map(|it| (&it.dag, &it.path)).collect();
        for (dag, version) in versions {
            let path = paths.get(&dag).copied();
            if let Some(found) = path.and_then(|path| scan.get(path))
                && let FileState::Good(parsed) = &found.state
            {
                self.memory.versions.put(&dag, version, parsed);
            }
        }
        log_put(put);
        let told = put.dags.iter().map(|it| &it.dag).chain(&put.gone);
        self.outbox.announce(told.map(|dag| Change::Dag(dag.clone())));
        Ok(())
    }

    fn report(&mut self, scan: &Scan, compared: Compared) {
        let new: Vec<&String> =
            compared.behind.iter().filter(|words| !self.warned.contains(*words)).collect();
        for words in new.iter().take(BEHIND_NAMED_MAX) {
            tracing::warn!("{words}: the directory of scheduler {} is old, update it", self.options.replica);
        }
        if new.len() > BEHIND_NAMED_MAX {
            tracing::warn!("{} more DAG files are behind the store", new.len() - BEHIND_NAMED_MAX);
        }
        self.warned = compared.behind.iter().cloned().collect();
        let broken = scan.iter().filter_map(|(path, found)| match &found.state {
            FileState::Good(_) => None,
            FileState::Broken(errors) => {
                Some(errors.first().map_or_else(|| path.clone(), ToString::to_string))
            }
        });
        let broken: Vec<String> = broken.collect();
        let good = scan.len() - broken.len();
        self.status.send_modify(|status| {
            status.dags = Some(good);
            status.broken = broken;
            status.behind = compared.behind;
        });
    }
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
