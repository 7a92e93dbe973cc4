//! Parsed DAG versions: the leader's cache of what runs are pinned to.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use rota_core::dag::{self, Dag};
use rota_core::id::{DagId, DagVersion};
use rota_core::port::{Plans, StoreError, StoreResult};

/// Versions kept before a first look at which are still held.
const FORGET_MIN: usize = 64;

/// Parsed versions. A version is kept as long as a run or the current DAG list holds it.
#[derive(Default)]
pub(crate) struct Versions {
    parsed: HashMap<(DagId, DagVersion), Weak<Dag>>,
    /// At this size those that nobody holds are dropped; doubles, so that the work per version stays constant.
    forget_at: usize,
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

    /// A version, parsed from the store's copy if need be. `Refused` when its text cannot be read any more.
    pub(crate) async fn get(
        &mut self,
        plans: &dyn Plans,
        dag: &DagId,
        version: DagVersion,
    ) -> StoreResult<Arc<Dag>> {
        if let Some(parsed) = self.parsed.get(&(dag.clone(), version)).and_then(Weak::upgrade) {
            return Ok(parsed);
        }
        let source = plans.version_source(dag, version).await?;
        let parsed = dag::parse_version(dag, &source).map_err(|errors| {
            StoreError::Refused(format!("version {version} of DAG {dag} cannot be read any more: {errors}"))
        })?;
        let parsed = Arc::new(parsed);
        self.put(dag, version, &parsed);
        Ok(parsed)
    }
}
