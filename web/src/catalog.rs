//! DAG versions as values, for pages and answers.

use std::sync::Arc;

use rota_core::dag::Dag;
use rota_core::id::{DagId, DagVersion};
use rota_core::port::{DagRow, StoreError};
use rota_kit::versions::DagVersions;

use crate::app::WebStore;
use crate::error::Outcome;

/// Most versions kept.
const VERSIONS_MAX: usize = 4096;

/// A parsed version; `None` if this build cannot read it any more (it ran under an older one), or it is gone.
pub(crate) type Parsed = Option<Arc<Dag>>;

/// The versions at hand.
pub(crate) struct Catalog {
    versions: DagVersions,
}

/// Why a version's text cannot be had.
enum NoSource {
    Gone,
    Failed(StoreError),
}

impl Default for Catalog {
    fn default() -> Self {
        Self { versions: DagVersions::new(VERSIONS_MAX) }
    }
}

impl Catalog {
    /// The version of a run or DAG.
    pub(crate) async fn get(
        &self,
        store: &dyn WebStore,
        dag: &DagId,
        version: DagVersion,
    ) -> Outcome<Parsed> {
        let source = async {
            let found = store.view_source(dag, version).await.map_err(NoSource::Failed)?;
            found.map(|(source, _)| source).ok_or(NoSource::Gone)
        };
        match self.versions.get(dag, version, source).await {
            Ok(parsed) => Ok(parsed.ok()),
            Err(NoSource::Gone) => Ok(None),
            Err(NoSource::Failed(error)) => Err(error.into()),
        }
    }

    /// The parsed current version of each of these DAGs, in their order.
    pub(crate) async fn current(&self, store: &dyn WebStore, rows: &[DagRow]) -> Outcome<Vec<Parsed>> {
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            out.push(self.get(store, &row.dag, row.version).await?);
        }
        Ok(out)
    }
}
