//! A store that can be away for one scheduler.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rota_core::id::{DagId, DagVersion, Epoch, ReplicaId, RunId, TaskKey};
use rota_core::port::{
    Batch, BatchPlans, Committed, DagFilePlans, DagFileReads, DagReads, DagRow, DagSources, FileErrorRow,
    FileRecord, FileSeen, FilesPut, HistoryPlans, Intent, IntentPlans, Plans, PruneRequest, QueuedTask,
    Reaped, ReplicaBeat, ReplicaFilePlans, ReplicaPlans, RunPlans, RunReads, RunRow, StoreError, StoreResult,
    TaskPlans, TaskReads, TaskRow, TermPlans, WorkerPlans,
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
    ($($role:ident { $($verb:ident($($arg:ident: $given:ty),*) -> $out:ty;)+ })+) => {$(
        #[async_trait]
        impl $role for FaultyPlans {
            $(async fn $verb(&self, $($arg: $given),*) -> StoreResult<$out> {
                self.switch.pass().await.map_err(|why| StoreError::Unavailable(why.to_owned()))?;
                self.store.$verb($($arg),*).await
            })+
        }
    )+};
}

behind_the_switch! {
    BatchPlans {
        now() -> DateTime<Utc>;
        batch_commit(epoch: Epoch, batch: &Batch) -> Committed;
    }
    DagReads {
        dags_load() -> Vec<DagRow>;
    }
    DagSources {
        version_source(dag: &DagId, version: DagVersion) -> String;
    }
    DagFileReads {
        files_broken() -> Vec<FileErrorRow>;
    }
    DagFilePlans {
        files_put(epoch: Epoch, files: &FilesPut) -> Vec<(DagId, DagVersion)>;
    }
    HistoryPlans {
        prune(epoch: Epoch, request: PruneRequest) -> u32;
    }
    IntentPlans {
        intents_pending(limit: usize) -> Vec<Intent>;
    }
    ReplicaPlans {
        replica_beat(beat: &ReplicaBeat) -> ();
    }
    ReplicaFilePlans {
        files_seen(replica: &ReplicaId, seen: &[FileSeen]) -> ();
        files_record(replica: &ReplicaId) -> Vec<FileRecord>;
        versions_known(contents: &[(DagId, String)]) -> Vec<(DagId, String)>;
    }
    RunReads {
        run_load(run: RunId) -> Option<RunRow>;
    }
    RunPlans {
        runs_active(after: RunId, limit: usize) -> Vec<RunRow>;
        runs_queued(after: RunId, limit: usize) -> Vec<RunRow>;
    }
    TaskReads {
        tasks_of_runs(runs: &[RunId]) -> Vec<TaskRow>;
    }
    TaskPlans {
        tasks_load(keys: &[TaskKey]) -> Vec<TaskRow>;
        tasks_unclaimed(before: DateTime<Utc>, limit: usize) -> Vec<QueuedTask>;
    }
    TermPlans {
        term_begin(holder: &ReplicaId) -> Epoch;
        term_end(epoch: Epoch) -> ();
    }
    WorkerPlans {
        workers_reap(epoch: Epoch) -> Reaped;
    }
}
