//! DAG versions as values: read once from the store, parsed once, kept. A version never changes, so nothing here
//! goes stale.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rota_core::dag::{self, Dag};
use rota_core::id::{DagId, DagVersion};
use rota_core::port::DagRow;

use crate::app::WebStore;
use crate::error::Outcome;

/// Most versions kept. When they are reached, all are forgotten: simple, and rare.
const VERSIONS_MAX: usize = 4096;

/// A parsed version; `None` if this build cannot read it any more (it ran under an older one), or it is gone.
pub(crate) type Parsed = Option<Arc<Dag>>;

/// The cache.
#[derive(Default)]
pub(crate) struct Catalog {
    known: Mutex<HashMap<(DagId, DagVersion), Parsed>>,
}

impl Catalog {
    /// The version of a run or DAG.
    pub(crate) async fn get(
        &self,
        store: &dyn WebStore,
        dag: &DagId,
        version: DagVersion,
    ) -> Outcome<Parsed> {
        let key = (dag.clone(), version);
        if let Some(known) = self.lock().get(&key) {
            return Ok(known.clone());
        }
        let Some((source, _)) = store.view_source(dag, version).await? else { return Ok(None) };
        let known = dag::parse_version(dag, &source).ok().map(Arc::new);
        let mut all = self.lock();
        if all.len() >= VERSIONS_MAX {
            all.clear();
        }
        all.insert(key, known.clone());
        Ok(known)
    }

    /// The parsed current version of each of these DAGs, in their order.
    pub(crate) async fn current(&self, store: &dyn WebStore, rows: &[DagRow]) -> Outcome<Vec<Parsed>> {
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            out.push(self.get(store, &row.dag, row.version).await?);
        }
        Ok(out)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(DagId, DagVersion), Parsed>> {
        // Single map operations under the lock, so a poisoned map is still whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
