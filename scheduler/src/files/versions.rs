//! The parsed versions of a replica: those that runs hold, and the current one of every DAG, which is held here so that a
//! standby can lead at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use rota_core::dag::Dag;
use rota_core::id::{DagId, DagVersion};
use rota_core::port::{DagRow, Plans, StoreError, StoreResult};
use rota_kit::timed::Timed;
use rota_kit::versions::DagVersions;

use crate::files::scan::{DirectoryScan, FileState};

/// Versions kept that are neither current nor held by a run: those of runs that ended a moment ago.
const RECENT_MAX: usize = 64;

/// See the module's text.
pub(crate) struct ReplicaVersions {
    parsed: DagVersions,
    current: BTreeMap<DagId, (DagVersion, Arc<Dag>)>,
}

impl Default for ReplicaVersions {
    fn default() -> Self {
        Self { parsed: DagVersions::new(RECENT_MAX), current: BTreeMap::new() }
    }
}

impl ReplicaVersions {
    /// Keeps a version that was parsed elsewhere.
    pub(crate) fn put(&self, dag: &DagId, version: DagVersion, parsed: &Arc<Dag>) {
        self.parsed.put(dag, version, parsed);
    }

    /// A version, parsed from the store's copy if need be. `Refused` when its text cannot be read (any more, or yet).
    pub(crate) async fn get(
        &self,
        store: &Timed<dyn Plans>,
        dag: &DagId,
        version: DagVersion,
    ) -> StoreResult<Arc<Dag>> {
        let source = store.ask(|plans| plans.version_source(dag, version));
        let parsed = self.parsed.get(dag, version, source).await?;
        parsed.map_err(|why| {
            StoreError::Refused(format!("version {version} of DAG {dag} cannot be read by this rota: {why}"))
        })
    }

    /// The current version of a DAG. If the DAG directory has the same text, nothing is fetched.
    pub(crate) async fn current(
        &mut self,
        store: &Timed<dyn Plans>,
        row: &DagRow,
        scan: Option<&DirectoryScan>,
    ) -> StoreResult<Arc<Dag>> {
        if let Some(parsed) = scan.and_then(|scan| same_text(scan, row)) {
            self.put(&row.dag, row.version, &parsed);
        }
        let parsed = self.get(store, &row.dag, row.version).await?;
        self.current.insert(row.dag.clone(), (row.version, Arc::clone(&parsed)));
        Ok(parsed)
    }

    /// Reads what a leader would need.
    pub(crate) async fn warm(
        &mut self,
        store: &Timed<dyn Plans>,
        scan: Option<&DirectoryScan>,
    ) -> StoreResult<()> {
        for row in store.ask(|plans| plans.dags_load()).await? {
            let is_known = self.current.get(&row.dag).is_some_and(|(version, _)| *version == row.version);
            if is_known {
                continue;
            }
            match self.current(store, &row, scan).await {
                // One that cannot be read is reported by whoever leads.
                Ok(_) | Err(StoreError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn same_text(scan: &DirectoryScan, row: &DagRow) -> Option<Arc<Dag>> {
    match &scan.get(&row.path).filter(|found| found.hash == row.hash)?.state {
        FileState::Good(dag) if dag.id == row.dag => Some(Arc::clone(dag)),
        _ => None,
    }
}
