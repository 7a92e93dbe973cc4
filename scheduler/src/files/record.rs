//! A replica's own DAG directory, watched all its life, leader or not. What changes in it is recorded in the store, so that
//! whoever leads knows since when a directory has held what it holds, and what it held before. It never changes a DAG.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rota_core::id::{DagId, ReplicaId};
use rota_core::port::{FileRecord, FileSeen, Plans, StoreResult};
use rota_kit::timed::Timed;

use crate::files::scan::{DirectoryScan, FileState, error_above, refuse_doubles};
use crate::files::watch::{self, DirWatch};

/// What the store has on record for this replica.
#[derive(Debug, Clone, Default)]
pub(crate) struct DirectoryRecord {
    /// By DAG.
    pub(crate) dags: BTreeMap<DagId, FileRecord>,
    /// Of files that cannot be used, by path.
    pub(crate) files: BTreeMap<String, FileRecord>,
}

/// A directory, and the record of it.
pub(crate) struct WatchedDirectory {
    replica: ReplicaId,
    watch: DirWatch,
    /// The file that defines each DAG: a copy of it does not take the DAG over. `None` before the first look.
    owners: Option<BTreeMap<DagId, String>>,
    /// `None` while it is not known what the store has.
    record: Option<Arc<DirectoryRecord>>,
    /// The scan that was looked at last, as it was found and with doubles refused.
    looked: Option<(Arc<DirectoryScan>, Arc<DirectoryScan>)>,
}

impl WatchedDirectory {
    /// Starts to watch.
    pub(crate) fn watch(root: &Path, rescan: Duration, replica: ReplicaId) -> std::io::Result<Self> {
        let watch = watch::start(root, rescan)?;
        Ok(Self { replica, watch, owners: None, record: None, looked: None })
    }

    /// Waits until there is something to look at that was not looked at yet.
    pub(crate) async fn changed(&mut self) {
        if self.watch.scans.changed().await.is_err() {
            // The thread is gone, which only ends with this process or by a fault that was logged.
            std::future::pending::<()>().await;
        }
    }

    /// Waits for the first scan.
    pub(crate) async fn first_scan(&mut self) {
        if self.watch.scans.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The newest scan that was recorded.
    pub(crate) fn scan(&self) -> Option<&Arc<DirectoryScan>> {
        self.looked.as_ref().map(|(_, scan)| scan)
    }

    /// Records what the newest scan shows. Returns it with the record of it; `None` before the first scan. Given up half-way,
    /// it is simply done again.
    pub(crate) async fn record_scan(
        &mut self,
        store: &Timed<dyn Plans>,
    ) -> StoreResult<Option<(Arc<DirectoryScan>, Arc<DirectoryRecord>)>> {
        let Some(found) = self.watch.scans.borrow_and_update().clone() else { return Ok(None) };
        // While a write is under way the record is not known: the write may be lost, and so may its answer.
        let record = match self.record.take() {
            Some(record) => record,
            None => self.load(store).await?,
        };
        let scan = match &self.looked {
            Some((before, scan)) if Arc::ptr_eq(before, &found) => Arc::clone(scan),
            _ => {
                let mut scan = DirectoryScan::clone(&found);
                refuse_doubles(&mut scan, self.owners(store, &record).await?);
                Arc::new(scan)
            }
        };
        let seen = changes(&scan, &record);
        let record = if seen.is_empty() {
            record
        } else {
            store.ask(|plans| plans.files_seen(&self.replica, &seen)).await?;
            self.load(store).await?
        };
        self.record = Some(Arc::clone(&record));
        self.looked = Some((found, Arc::clone(&scan)));
        Ok(Some((scan, record)))
    }

    async fn load(&self, store: &Timed<dyn Plans>) -> StoreResult<Arc<DirectoryRecord>> {
        let rows = store.ask(|plans| plans.files_record(&self.replica)).await?;
        let mut record = DirectoryRecord::default();
        for row in rows {
            match row.dag.clone() {
                Some(dag) => record.dags.insert(dag, row),
                None => record.files.insert(row.path.clone(), row),
            };
        }
        Ok(Arc::new(record))
    }

    /// At the first look, the files that this replica knew, or else the store.
    async fn owners(
        &mut self,
        store: &Timed<dyn Plans>,
        record: &DirectoryRecord,
    ) -> StoreResult<&mut BTreeMap<DagId, String>> {
        if self.owners.is_none() {
            let rows = store.ask(|plans| plans.dags_load()).await?;
            let mut owners: BTreeMap<DagId, String> =
                rows.into_iter().map(|row| (row.dag, row.path)).collect();
            let known = record.dags.iter().filter(|(_, row)| row.hash.is_some());
            owners.extend(known.map(|(dag, row)| (dag.clone(), row.path.clone())));
            self.owners = Some(owners);
        }
        Ok(self.owners.get_or_insert_default())
    }
}

/// What a scan shows that the record does not.
pub(crate) fn changes(scan: &DirectoryScan, record: &DirectoryRecord) -> Vec<FileSeen> {
    let mut seen = Vec::new();
    let mut defined = BTreeSet::new();
    for (path, found) in scan {
        let (dag, row) = match &found.state {
            FileState::Good(dag) => {
                defined.insert(&dag.id);
                (Some(dag.id.clone()), record.dags.get(&dag.id))
            }
            FileState::Broken(_) => (None, record.files.get(path)),
        };
        if row.is_none_or(|row| row.hash.as_ref() != Some(&found.hash) || row.path != *path) {
            seen.push(FileSeen { dag, path: path.clone(), hash: Some(found.hash.clone()) });
        }
    }
    // A DAG whose file cannot be used at the moment keeps its record.
    let gone = record.dags.iter().filter(|(dag, row)| {
        row.hash.is_some() && !defined.contains(dag) && error_above(scan, &row.path).is_none()
    });
    seen.extend(gone.map(|(dag, row)| FileSeen {
        dag: Some(dag.clone()),
        path: row.path.clone(),
        hash: None,
    }));
    let is_broken =
        |path: &str| scan.get(path).is_some_and(|found| matches!(found.state, FileState::Broken(_)));
    let mended = record.files.iter().filter(|(path, row)| row.hash.is_some() && !is_broken(path));
    seen.extend(mended.map(|(path, _)| FileSeen { dag: None, path: path.clone(), hash: None }));
    seen
}
