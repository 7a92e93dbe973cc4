//! A store that can be away for one scheduler.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rota_core::id::{DagId, DagVersion, Epoch, ReplicaId, RunId, TaskKey};
use rota_core::port::{
    Batch, Committed, DagRow, FileErrorRow, FileRecord, FileSeen, FilesPut, Intent, Plans, PruneRequest,
    QueuedTask, Reaped, ReplicaBeat, RunRow, StoreError, StoreResult, TaskRow,
};

use super::Switch;

/// A store behind a switch.
#[derive(Clone)]
pub struct FaultyPlans {
    store: Arc<dyn Plans>,
    switch: Switch,
}

impl FaultyPlans {
    /// Goes through to `store` until the switch says otherwise.
    pub fn new(store: Arc<dyn Plans>, switch: Switch) -> Self {
        Self { store, switch }
    }
}

macro_rules! behind_the_switch {
    ($($verb:ident($($arg:ident: $given:ty),*) -> $out:ty;)+) => {
        #[async_trait]
        impl Plans for FaultyPlans {
            $(async fn $verb(&self, $($arg: $given),*) -> StoreResult<$out> {
                self.switch.pass().await.map_err(|why| StoreError::Unavailable(why.to_owned()))?;
                self.store.$verb($($arg),*).await
            })+
        }
    };
}

behind_the_switch! {
    now() -> DateTime<Utc>;
    term_begin(holder: &ReplicaId) -> Epoch;
    term_end(epoch: Epoch) -> ();
    replica_beat(beat: &ReplicaBeat) -> ();
    batch_commit(epoch: Epoch, batch: &Batch) -> Committed;
    dags_load() -> Vec<DagRow>;
    version_source(dag: &DagId, version: DagVersion) -> String;
    runs_active(after: RunId, limit: usize) -> Vec<RunRow>;
    run_load(run: RunId) -> Option<RunRow>;
    runs_queued(after: RunId, limit: usize) -> Vec<RunRow>;
    tasks_of_runs(runs: &[RunId]) -> Vec<TaskRow>;
    tasks_load(keys: &[TaskKey]) -> Vec<TaskRow>;
    tasks_unclaimed(before: DateTime<Utc>, limit: usize) -> Vec<QueuedTask>;
    intents_pending(limit: usize) -> Vec<Intent>;
    workers_reap(epoch: Epoch) -> Reaped;
    files_broken() -> Vec<FileErrorRow>;
    files_put(epoch: Epoch, files: &FilesPut) -> Vec<(DagId, DagVersion)>;
    files_seen(replica: &ReplicaId, seen: &[FileSeen]) -> ();
    files_record(replica: &ReplicaId) -> Vec<FileRecord>;
    versions_known(contents: &[(DagId, String)]) -> Vec<(DagId, String)>;
    prune(epoch: Epoch, request: PruneRequest) -> u32;
}
