//! DAG versions, read once and kept for the next task of the same version. A version never changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rota_core::dag::{self, Dag};
use rota_core::id::{DagId, DagVersion};
use rota_core::port::{Claimed, Facts, StoreError, StoreResult};
use tokio::sync::OnceCell;

use crate::patience::answered;

/// Versions that are kept. More are in use only when very many DAGs run at once, and then each is read again.
const KEPT_MAX: usize = 256;

type Version = (DagId, DagVersion);

/// The versions at hand.
pub(crate) struct Dags {
    facts: Arc<dyn Facts>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    versions: HashMap<Version, Entry>,
    /// Counts uses, to find the version that was not used for longest.
    uses: u64,
}

struct Entry {
    dag: Arc<OnceCell<Arc<Dag>>>,
    used: u64,
}

impl Dags {
    pub(crate) fn new(facts: Arc<dyn Facts>) -> Self {
        Self { facts, kept: Mutex::default() }
    }

    /// The version that an attempt is pinned to, if it is at hand.
    pub(crate) fn at_hand(&self, claimed: &Claimed) -> Option<Arc<Dag>> {
        self.lock().entry(claimed).get().cloned()
    }

    /// The version that an attempt is pinned to. Attempts that want the same one read it once.
    ///
    /// # Errors
    /// Of the store; `Refused` for a version that this worker cannot read.
    pub(crate) async fn load(&self, claimed: &Claimed) -> StoreResult<Arc<Dag>> {
        let cell = self.lock().entry(claimed);
        cell.get_or_try_init(|| self.read(claimed)).await.cloned()
    }

    async fn read(&self, claimed: &Claimed) -> StoreResult<Arc<Dag>> {
        let source = answered(self.facts.source_load(&claimed.dag, claimed.version)).await?;
        let dag = claimed.dag.clone();
        let parsed = tokio::task::spawn_blocking(move || dag::parse_version(&dag, &source)).await;
        let unreadable = |error: String| {
            let (dag, version) = (&claimed.dag, claimed.version);
            StoreError::Refused(format!("this worker cannot read version {version} of {dag}: {error}"))
        };
        match parsed {
            Ok(Ok(dag)) => Ok(Arc::new(dag)),
            Ok(Err(errors)) => Err(unreadable(errors.to_string())),
            Err(panic) => Err(unreadable(panic.to_string())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn entry(&mut self, claimed: &Claimed) -> Arc<OnceCell<Arc<Dag>>> {
        self.uses += 1;
        let used = self.uses;
        let version = (claimed.dag.clone(), claimed.version);
        if let Some(entry) = self.versions.get_mut(&version) {
            entry.used = used;
            return entry.dag.clone();
        }
        if self.versions.len() >= KEPT_MAX
            && let Some(oldest) = self.versions.iter().min_by_key(|(_, entry)| entry.used)
        {
            let oldest = oldest.0.clone();
            self.versions.remove(&oldest);
        }
        let dag = Arc::new(OnceCell::new());
        self.versions.insert(version, Entry { dag: dag.clone(), used });
        dag
    }
}
