//! Parsed DAG versions: a replica's cache of what runs are pinned to. It outlives terms, so that a standby can lead at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rota_core::dag::{self, Dag};
use rota_core::id::{DagId, DagVersion};
use rota_core::port::{DagRow, Plans, StoreError, StoreResult};

use crate::files::scan::{FileState, Scan};
use crate::term::bounded;

/// Versions kept before a first look at which are still held.
const FORGET_MIN: usize = 64;

/// Parsed versions. One is kept as long as it is the current version of its DAG, or a run holds it.
#[derive(Default)]
pub(crate) struct Versions {
    parsed: HashMap<(DagId, DagVersion), Weak<Dag>>,
    /// At this size those that nobody holds are dropped; doubles, so that the work per version stays constant.
    forget_at: usize,
    current: BTreeMap<DagId, (DagVersion, Arc<Dag>)>,
}

impl Versions {
    /// Keeps a version that was parsed elsewhere.
    pub(crate) fn put(&mut self, dag: &DagId, version: DagVersion, parsed: &Arc<Dag>) {
        if self.parsed.len() >= self.forget_at {
            self.parsed.retain(|_, kept| kept.strong_count() > 0);
            self.forget_at = 2 * self.parsed.len() + FORGET_MIN;
        }
        self.parsed.insert((dag.clone(), version), Arc::downgrade(parsed));
    }

    /// A version, parsed from the store's copy if need be. `Refused` when its text cannot be read (any more, or yet).
    pub(crate) async fn get(
        &mut self,
        plans: &dyn Plans,
        limit: Duration,
        (dag, version): (&DagId, DagVersion),
    ) -> StoreResult<Arc<Dag>> {
        if let Some(parsed) = self.parsed.get(&(dag.clone(), version)).and_then(Weak::upgrade) {
            return Ok(parsed);
        }
        let source = bounded(limit, plans.version_source(dag, version)).await?;
        let parsed = dag::parse_version(dag, &source).map_err(|errors| {
            StoreError::Refused(format!(
                "version {version} of DAG {dag} cannot be read by this rota: {errors}"
            ))
        })?;
        let parsed = Arc::new(parsed);
        self.put(dag, version, &parsed);
        Ok(parsed)
    }

    /// The current version of a DAG. If the DAG directory has the same text, nothing is fetched.
    pub(crate) async fn current(
        &mut self,
        plans: &dyn Plans,
        limit: Duration,
        (row, scan): (&DagRow, Option<&Scan>),
    ) -> StoreResult<Arc<Dag>> {
        if let Some(parsed) = scan.and_then(|scan| same_text(scan, row)) {
            self.put(&row.dag, row.version, &parsed);
        }
        let parsed = self.get(plans, limit, (&row.dag, row.version)).await?;
        self.current.insert(row.dag.clone(), (row.version, Arc::clone(&parsed)));
        Ok(parsed)
    }

    /// Reads what a leader would need.
    pub(crate) async fn warm(
        &mut self,
        plans: &dyn Plans,
        limit: Duration,
        scan: Option<&Scan>,
    ) -> StoreResult<()> {
        for row in bounded(limit, plans.dags_load()).await? {
            let is_known = self.current.get(&row.dag).is_some_and(|(version, _)| *version == row.version);
            if is_known {
                continue;
            }
            match self.current(plans, limit, (&row, scan)).await {
                // One that cannot be read is reported by whoever leads.
                Ok(_) | Err(StoreError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn same_text(scan: &Scan, row: &DagRow) -> Option<Arc<Dag>> {
    match &scan.get(&row.path).filter(|found| found.hash == row.hash)?.state {
        FileState::Good(dag) if dag.id == row.dag => Some(Arc::clone(dag)),
        _ => None,
    }
}
