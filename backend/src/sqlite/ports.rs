//! The port's verbs, each handed to its statement: writes through the writer, reads on a reader of their own.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rota_core::id::{
    AttemptKey, DagId, DagVersion, Epoch, Incarnation, IntentId, QueueName, ReplicaId, RunId, TaskKey,
    TaskNo, WorkerId,
};
use rota_core::port::{
    Actor, AuditRow, Batch, Beat, BeatReply, ClaimRequest, Claimed, Committed, DagRow, Facts, FileErrorRow,
    FileRecord, FileSeen, FilesPut, Finish, Intent, IntentKind, Intents, LeaderRow, LogChunk, Object, Plans,
    PruneRequest, QueuedTask, Reaped, ReplicaBeat, ReplicaRow, RunFilter, RunRow, SlotCounts, SlotFilter,
    SlotRow, StoreResult, TaskRow, TermRow, TriggerRequest, Triggered, Views, WorkerHello, WorkerRow,
};

use super::{SqliteStore, sql};

#[async_trait]
impl Intents for SqliteStore {
    async fn run_trigger(&self, request: &TriggerRequest, actor: &Actor) -> StoreResult<Triggered> {
        let (request, actor) = (request.clone(), actor.clone());
        self.write(|conn, now| Box::pin(async move { sql::run_trigger(conn, now, &request, &actor).await }))
            .await
    }

    async fn dag_pause(&self, dag: &DagId, paused: bool, actor: &Actor) -> StoreResult<bool> {
        let (dag, actor) = (dag.clone(), actor.clone());
        self.write(move |conn, now| {
            Box::pin(async move { sql::dag_pause(conn, now, (&dag, paused), &actor).await })
        })
        .await
    }

    async fn worker_drain(&self, worker: &WorkerId, actor: &Actor) -> StoreResult<bool> {
        let (worker, actor) = (worker.clone(), actor.clone());
        self.write(move |conn, now| {
            Box::pin(async move { sql::worker_drain(conn, now, &worker, &actor).await })
        })
        .await
    }

    async fn intent_add(&self, run: RunId, kind: &IntentKind, actor: &Actor) -> StoreResult<IntentId> {
        let (kind, actor) = (kind.clone(), actor.clone());
        self.write(move |conn, now| {
            Box::pin(async move { sql::intent_add(conn, now, (run, &kind), &actor).await })
        })
        .await
    }
}

#[async_trait]
impl Plans for SqliteStore {
    async fn now(&self) -> StoreResult<DateTime<Utc>> {
        Ok(self.clock.now())
    }

    async fn term_begin(&self, holder: &ReplicaId) -> StoreResult<Epoch> {
        let holder = holder.clone();
        self.write(|conn, now| Box::pin(async move { sql::term_begin(conn, now, &holder).await })).await
    }

    async fn term_end(&self, epoch: Epoch) -> StoreResult<()> {
        self.write(move |conn, now| Box::pin(sql::term_end(conn, now, epoch))).await
    }

    async fn replica_beat(&self, beat: &ReplicaBeat) -> StoreResult<()> {
        let beat = beat.clone();
        self.write(move |conn, now| Box::pin(async move { sql::replica_beat(conn, now, &beat).await })).await
    }

    async fn batch_commit(&self, epoch: Epoch, batch: &Batch) -> StoreResult<Committed> {
        let batch = batch.clone();
        self.write(move |conn, now| {
            Box::pin(async move { sql::batch_commit(conn, now, epoch, &batch).await })
        })
        .await
    }

    async fn dags_load(&self) -> StoreResult<Vec<DagRow>> {
        sql::dags_load(&mut *self.read().await?).await
    }

    async fn version_source(&self, dag: &DagId, version: DagVersion) -> StoreResult<String> {
        sql::version_source(&mut *self.read().await?, dag, version).await
    }

    async fn runs_active(&self, after: RunId, limit: usize) -> StoreResult<Vec<RunRow>> {
        sql::runs_active(&mut *self.read().await?, after, limit).await
    }

    async fn run_load(&self, run: RunId) -> StoreResult<Option<RunRow>> {
        sql::run_load(&mut *self.read().await?, run).await
    }

    async fn runs_queued(&self, after: RunId, limit: usize) -> StoreResult<Vec<RunRow>> {
        sql::runs_queued(&mut *self.read().await?, after, limit).await
    }

    async fn tasks_of_runs(&self, runs: &[RunId]) -> StoreResult<Vec<TaskRow>> {
        sql::tasks_of_runs(&mut *self.read().await?, runs).await
    }

    async fn tasks_load(&self, keys: &[TaskKey]) -> StoreResult<Vec<TaskRow>> {
        sql::tasks_load(&mut *self.read().await?, keys).await
    }

    async fn tasks_unclaimed(&self, before: DateTime<Utc>, limit: usize) -> StoreResult<Vec<QueuedTask>> {
        sql::tasks_unclaimed(&mut *self.read().await?, before, limit).await
    }

    async fn intents_pending(&self, limit: usize) -> StoreResult<Vec<Intent>> {
        sql::intents_pending(&mut *self.read().await?, limit).await
    }

    async fn workers_reap(&self, epoch: Epoch) -> StoreResult<Reaped> {
        self.write(move |conn, now| Box::pin(sql::workers_reap(conn, now, epoch))).await
    }

    async fn files_broken(&self) -> StoreResult<Vec<FileErrorRow>> {
        sql::file_errors(&mut *self.read().await?).await
    }

    async fn files_put(&self, epoch: Epoch, files: &FilesPut) -> StoreResult<Vec<(DagId, DagVersion)>> {
        let files = files.clone();
        self.write(move |conn, _now| Box::pin(async move { sql::files_put(conn, epoch, &files).await })).await
    }

    async fn files_seen(&self, replica: &ReplicaId, seen: &[FileSeen]) -> StoreResult<()> {
        if seen.is_empty() {
            return Ok(());
        }
        let (replica, seen) = (replica.clone(), seen.to_vec());
        self.write(|conn, now| Box::pin(async move { sql::files_seen(conn, now, &replica, &seen).await }))
            .await
    }

    async fn files_record(&self, replica: &ReplicaId) -> StoreResult<Vec<FileRecord>> {
        sql::files_record(&mut *self.read().await?, replica).await
    }

    async fn versions_known(&self, contents: &[(DagId, String)]) -> StoreResult<Vec<(DagId, String)>> {
        sql::versions_known(&mut *self.read().await?, contents).await
    }

    async fn prune(&self, epoch: Epoch, request: PruneRequest) -> StoreResult<u32> {
        self.write(move |conn, _now| Box::pin(sql::prune(conn, epoch, request))).await
    }
}

#[async_trait]
impl Facts for SqliteStore {
    async fn worker_register(&self, hello: &WorkerHello) -> StoreResult<Incarnation> {
        let hello = hello.clone();
        self.write(|conn, now| Box::pin(async move { sql::worker_register(conn, now, &hello).await })).await
    }

    async fn worker_beat(&self, beat: &Beat) -> StoreResult<BeatReply> {
        let beat = beat.clone();
        self.write(|conn, now| Box::pin(async move { sql::worker_beat(conn, now, &beat).await })).await
    }

    async fn tasks_queued(&self, queues: &[QueueName], limit: usize) -> StoreResult<Vec<AttemptKey>> {
        sql::tasks_queued(&mut *self.read().await?, queues, limit).await
    }

    async fn tasks_claim(&self, request: &ClaimRequest) -> StoreResult<Vec<Claimed>> {
        let request = request.clone();
        self.write(|conn, now| Box::pin(async move { sql::tasks_claim(conn, now, &request).await })).await
    }

    async fn tasks_finish(&self, finishes: &[Finish]) -> StoreResult<Vec<AttemptKey>> {
        if finishes.is_empty() {
            return Ok(Vec::new());
        }
        let finishes = finishes.to_vec();
        self.write(|conn, now| Box::pin(async move { sql::tasks_finish(conn, now, &finishes).await })).await
    }

    async fn outputs_load(&self, run: RunId, tasks: &[TaskNo]) -> StoreResult<Vec<(TaskNo, u32, Object)>> {
        sql::outputs_load(&mut *self.read().await?, run, tasks).await
    }

    async fn source_load(&self, dag: &DagId, version: DagVersion) -> StoreResult<String> {
        sql::version_source(&mut *self.read().await?, dag, version).await
    }

    async fn log_append(&self, chunks: &[LogChunk]) -> StoreResult<()> {
        if chunks.is_empty() {
            return Ok(());
        }
        let chunks = chunks.to_vec();
        self.write(|conn, _now| Box::pin(async move { sql::log_append(conn, &chunks).await })).await
    }
}

#[async_trait]
impl Views for SqliteStore {
    async fn view_dags(&self) -> StoreResult<Vec<DagRow>> {
        sql::dags_load(&mut *self.read().await?).await
    }

    async fn view_dag(&self, dag: &DagId) -> StoreResult<Option<DagRow>> {
        sql::view_dag(&mut *self.read().await?, dag).await
    }

    async fn view_source(
        &self,
        dag: &DagId,
        version: DagVersion,
    ) -> StoreResult<Option<(String, DateTime<Utc>)>> {
        sql::view_source(&mut *self.read().await?, dag, version).await
    }

    async fn view_recent_runs(&self, dags: &[DagId], per_dag: usize) -> StoreResult<Vec<RunRow>> {
        sql::view_recent_runs(&mut *self.read().await?, dags, per_dag).await
    }

    async fn view_runs(&self, filter: &RunFilter) -> StoreResult<Vec<RunRow>> {
        sql::view_runs(&mut *self.read().await?, filter).await
    }

    async fn view_run(&self, run: RunId) -> StoreResult<Option<RunRow>> {
        sql::run_load(&mut *self.read().await?, run).await
    }

    async fn view_tasks(&self, runs: &[RunId]) -> StoreResult<Vec<TaskRow>> {
        sql::tasks_of_runs(&mut *self.read().await?, runs).await
    }

    async fn view_attempts(&self, task: TaskKey) -> StoreResult<Vec<TaskRow>> {
        sql::view_attempts(&mut *self.read().await?, task).await
    }

    async fn view_log(&self, attempt: AttemptKey, from_seq: u32, limit: usize) -> StoreResult<Vec<LogChunk>> {
        sql::view_log(&mut *self.read().await?, attempt, from_seq, limit).await
    }

    async fn view_slots(&self, filter: &SlotFilter) -> StoreResult<Vec<SlotRow>> {
        sql::view_slots(&mut *self.read().await?, filter).await
    }

    async fn view_slot_counts(&self, since: DateTime<Utc>) -> StoreResult<SlotCounts> {
        sql::view_slot_counts(&mut *self.read().await?, since).await
    }

    async fn view_files_broken(&self) -> StoreResult<Vec<FileErrorRow>> {
        sql::file_errors(&mut *self.read().await?).await
    }

    async fn view_workers(&self) -> StoreResult<Vec<WorkerRow>> {
        sql::view_workers(&mut *self.read().await?, self.clock.now()).await
    }

    async fn view_leader(&self) -> StoreResult<LeaderRow> {
        sql::leader_load(&mut *self.read().await?).await
    }

    async fn view_replicas(&self) -> StoreResult<Vec<ReplicaRow>> {
        sql::view_replicas(&mut *self.read().await?, self.clock.now()).await
    }

    async fn view_terms(&self, limit: usize) -> StoreResult<Vec<TermRow>> {
        sql::view_terms(&mut *self.read().await?, limit).await
    }

    async fn view_audit(&self, before: Option<DateTime<Utc>>, limit: usize) -> StoreResult<Vec<AuditRow>> {
        sql::view_audit(&mut *self.read().await?, before, limit).await
    }
}
