//! A replica's DAG directory: which files count (`walk`), what they hold (`scan`), when it changed (`watch`), since when it
//! holds what it holds (`record`), what of that the store is to take over (`reconcile`), and the parsed versions of all DAGs
//! (`versions`). Nothing here stores a DAG: that is `duties::directory`.

pub(crate) mod reconcile;
pub(crate) mod record;
pub(crate) mod scan;
pub(crate) mod versions;
pub mod walk;
pub(crate) mod watch;

use std::sync::Arc;

use self::record::WatchedDirectory;
use self::scan::DirectoryScan;
use self::versions::ReplicaVersions;

/// What a replica has at hand, and keeps when a term ends.
#[derive(Default)]
pub(crate) struct ReplicaCache {
    pub(crate) versions: ReplicaVersions,
    /// `None` for a replica without a DAG directory.
    pub(crate) directory: Option<WatchedDirectory>,
}

impl ReplicaCache {
    /// The newest scan of the directory that was recorded.
    pub(crate) fn scan(&self) -> Option<Arc<DirectoryScan>> {
        self.directory.as_ref()?.scan().cloned()
    }

    /// Waits for a change of the directory. Never completes for a replica without one.
    pub(crate) async fn directory_changed(&mut self) {
        match &mut self.directory {
            Some(directory) => directory.changed().await,
            None => std::future::pending().await,
        }
    }
}
