//! The DAG versions that attempts are pinned to, read once and kept for the next task of the same version.

use std::sync::Arc;

use rota_core::dag::Dag;
use rota_core::port::{Claimed, Facts, StoreError, StoreResult};
use rota_kit::versions::DagVersions;

use crate::patience::answered;

/// Versions that are kept. More are in use only when very many DAGs run at once, and then each is read again.
const KEPT_MAX: usize = 256;

/// The versions at hand.
pub(crate) struct Dags {
    facts: Arc<dyn Facts>,
    versions: DagVersions,
}

impl Dags {
    pub(crate) fn new(facts: Arc<dyn Facts>) -> Self {
        Self { facts, versions: DagVersions::new(KEPT_MAX) }
    }

    /// The version that an attempt is pinned to, if it is at hand.
    pub(crate) fn at_hand(&self, claimed: &Claimed) -> Option<Arc<Dag>> {
        self.versions.at_hand(&claimed.dag, claimed.version)
    }

    /// The version that an attempt is pinned to. Attempts that want the same one read it once.
    ///
    /// # Errors
    /// Of the store; `Refused` for a version that this worker cannot read.
    pub(crate) async fn load(&self, claimed: &Claimed) -> StoreResult<Arc<Dag>> {
        let (dag, version) = (&claimed.dag, claimed.version);
        let source = answered(self.facts.version_source(dag, version));
        let parsed = self.versions.get(dag, version, source).await?;
        parsed.map_err(|why| {
            StoreError::Refused(format!("this worker cannot read version {version} of {dag}: {why}"))
        })
    }
}
