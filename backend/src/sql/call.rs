//! The port's verbs, each handed to its statement on the connections of its role. Compiled for both databases: an
//! adapter says what a role's connections are (`Store::fact`, `beat`, ...), and which verbs need a transaction. All that a
//! leader decides goes through `Store::fenced`, whose transaction begins with the look at the epoch.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rota_core::id::{
    AttemptKey, DagId, DagVersion, Epoch, Incarnation, IntentId, QueueName, ReplicaId, RunId, TaskKey,
    TaskNo, WorkerId,
};
use rota_core::port::{
    ActiveRuns, Actor, AuditPlace, AuditRow, Batch, Beat, BeatReply, ClaimRequest, Claimed, Committed,
    DagRow, Deed, Facts, FailedDags, FileErrorRow, FileRecord, FileSeen, FilesPut, Finish, GivingBack,
    Intent, IntentKind, Intents, LeaderRow, LedgerCounts, LogChunk, LogExtent, Object, Outages, Plans,
    PruneRequest, QueuedTask, Reaped, ReplicaBeat, ReplicaRow, RunFilter, RunRow, SlotFilter, SlotRow,
    SlotStep, StepFilter, StoreResult, TaskRow, TermRow, TimeWindow, TriggerRequest, Triggered, Views,
    WorkerHello, WorkerRow,
};

use super::super::{Store, sql};

/// Hands a verb to the connections of a role. The arguments are owned by the operation, which may be executed on
/// another task and, after a deadlock, once more.
macro_rules! run {
    ($store:ident.$role:ident($($arg:ident),*), |$conn:ident, $now:ident| $verb:expr) => {{
        $(let $arg = Arc::new($arg.to_owned());)*
        $store.$role(move |$conn, $now| {
            $(let $arg = Arc::clone(&$arg);)*
            Box::pin(async move { $verb.await })
        }).await
    }};
    ($store:ident.fenced[$epoch:ident]($($arg:ident),*), |$conn:ident, $now:ident| $verb:expr) => {{
        $(let $arg = Arc::new($arg.to_owned());)*
        $store.fenced($epoch, move |$conn, $now| {
            $(let $arg = Arc::clone(&$arg);)*
            Box::pin(async move { $verb.await })
        }).await
    }};
}

#[async_trait]
impl Intents for Store {
    async fn run_trigger(&self, request: &TriggerRequest, actor: &Actor) -> StoreResult<Triggered> {
        run!(self.intend(request, actor), |conn, now| sql::run_trigger(conn, now, &request, &actor))
    }

    async fn dag_pause(&self, dag: &DagId, paused: bool, actor: &Actor) -> StoreResult<bool> {
        run!(self.intend(dag, paused, actor), |conn, now| sql::dag_pause(conn, now, (&dag, *paused), &actor))
    }

    async fn worker_drain(&self, worker: &WorkerId, actor: &Actor) -> StoreResult<bool> {
        run!(self.intend(worker, actor), |conn, now| sql::worker_drain(conn, now, &worker, &actor))
    }

    async fn intent_add(&self, run: RunId, kind: &IntentKind, actor: &Actor) -> StoreResult<IntentId> {
        run!(self.intend(run, kind, actor), |conn, now| sql::intent_add(conn, now, (*run, &kind), &actor))
    }

    async fn audit_add(&self, deeds: &[Deed]) -> StoreResult<()> {
        run!(self.intend(deeds), |conn, now| sql::audit_add(conn, now, &deeds))
    }
}

#[async_trait]
impl Plans for Store {
    async fn now(&self) -> StoreResult<DateTime<Utc>> {
        self.clock_now().await
    }

    async fn term_begin(&self, holder: &ReplicaId) -> StoreResult<Epoch> {
        run!(self.begin(holder), |conn, now| sql::term_begin(conn, now, &holder))
    }

    async fn term_end(&self, epoch: Epoch) -> StoreResult<()> {
        run!(self.beat(epoch), |conn, now| sql::term_end(conn, now, *epoch))
    }

    async fn replica_beat(&self, beat: &ReplicaBeat) -> StoreResult<()> {
        run!(self.beat(beat), |conn, now| sql::replica_beat(conn, now, &beat))
    }

    async fn batch_commit(&self, epoch: Epoch, batch: &Batch) -> StoreResult<Committed> {
        run!(self.fenced[epoch](batch), |conn, now| sql::batch_commit(conn, now, &batch))
    }

    async fn dags_load(&self) -> StoreResult<Vec<DagRow>> {
        run!(self.plan_read(), |conn, _now| sql::dags_load(conn))
    }

    async fn version_source(&self, dag: &DagId, version: DagVersion) -> StoreResult<String> {
        run!(self.plan_read(dag, version), |conn, _now| sql::version_source(conn, &dag, *version))
    }

    async fn runs_active(&self, after: RunId, limit: usize) -> StoreResult<Vec<RunRow>> {
        run!(self.plan_read(after, limit), |conn, _now| sql::runs_active(conn, *after, *limit))
    }

    async fn run_load(&self, run: RunId) -> StoreResult<Option<RunRow>> {
        run!(self.plan_read(run), |conn, _now| sql::run_load(conn, *run))
    }

    async fn runs_queued(&self, after: RunId, limit: usize) -> StoreResult<Vec<RunRow>> {
        run!(self.plan_read(after, limit), |conn, _now| sql::runs_queued(conn, *after, *limit))
    }

    async fn tasks_of_runs(&self, runs: &[RunId]) -> StoreResult<Vec<TaskRow>> {
        run!(self.plan_read(runs), |conn, _now| sql::tasks_of_runs(conn, &runs))
    }

    async fn tasks_load(&self, keys: &[TaskKey]) -> StoreResult<Vec<TaskRow>> {
        run!(self.plan_read(keys), |conn, _now| sql::tasks_load(conn, &keys))
    }

    async fn tasks_unclaimed(&self, before: DateTime<Utc>, limit: usize) -> StoreResult<Vec<QueuedTask>> {
        run!(self.plan_read(before, limit), |conn, _now| sql::tasks_unclaimed(conn, *before, *limit))
    }

    async fn intents_pending(&self, limit: usize) -> StoreResult<Vec<Intent>> {
        run!(self.plan_read(limit), |conn, _now| sql::intents_pending(conn, *limit))
    }

    async fn workers_reap(&self, epoch: Epoch) -> StoreResult<Reaped> {
        run!(self.fenced[epoch](), |conn, now| sql::workers_reap(conn, now))
    }

    async fn files_broken(&self) -> StoreResult<Vec<FileErrorRow>> {
        run!(self.plan_read(), |conn, _now| sql::file_errors(conn))
    }

    async fn files_put(&self, epoch: Epoch, files: &FilesPut) -> StoreResult<Vec<(DagId, DagVersion)>> {
        run!(self.fenced[epoch](files), |conn, _now| sql::files_put(conn, &files))
    }

    async fn files_seen(&self, replica: &ReplicaId, seen: &[FileSeen]) -> StoreResult<()> {
        if seen.is_empty() {
            return Ok(());
        }
        run!(self.beat(replica, seen), |conn, now| sql::files_seen(conn, now, &replica, &seen))
    }

    async fn files_record(&self, replica: &ReplicaId) -> StoreResult<Vec<FileRecord>> {
        run!(self.plan_read(replica), |conn, _now| sql::files_record(conn, &replica))
    }

    async fn versions_known(&self, contents: &[(DagId, String)]) -> StoreResult<Vec<(DagId, String)>> {
        run!(self.plan_read(contents), |conn, _now| sql::versions_known(conn, &contents))
    }

    async fn prune(&self, epoch: Epoch, request: PruneRequest) -> StoreResult<u32> {
        run!(self.fenced[epoch](request), |conn, _now| sql::history(conn, *request))
    }
}

#[async_trait]
impl Facts for Store {
    async fn worker_register(&self, hello: &WorkerHello) -> StoreResult<Incarnation> {
        run!(self.register(hello), |conn, now| sql::worker_register(conn, now, &hello))
    }

    async fn worker_beat(&self, beat: &Beat) -> StoreResult<BeatReply> {
        run!(self.beat(beat), |conn, now| sql::worker_beat(conn, now, &beat))
    }

    async fn tasks_queued(&self, queues: &[QueueName], limit: usize) -> StoreResult<Vec<AttemptKey>> {
        run!(self.fact_read(queues, limit), |conn, _now| sql::tasks_queued(conn, &queues, *limit))
    }

    async fn tasks_claim(&self, request: &ClaimRequest) -> StoreResult<Vec<Claimed>> {
        run!(self.fact(request), |conn, now| sql::tasks_claim(conn, now, &request))
    }

    async fn tasks_finish(&self, finishes: &[Finish]) -> StoreResult<Vec<AttemptKey>> {
        if finishes.is_empty() {
            return Ok(Vec::new());
        }
        run!(self.fact(finishes), |conn, now| sql::tasks_finish(conn, now, &finishes))
    }

    async fn tasks_give_back(&self, giving: &GivingBack) -> StoreResult<Vec<AttemptKey>> {
        run!(self.fact(giving), |conn, _now| sql::tasks_give_back(conn, &giving))
    }

    async fn outputs_load(&self, run: RunId, tasks: &[TaskNo]) -> StoreResult<Vec<(TaskNo, u32, Object)>> {
        run!(self.fact_read(run, tasks), |conn, _now| sql::outputs_load(conn, *run, &tasks))
    }

    async fn source_load(&self, dag: &DagId, version: DagVersion) -> StoreResult<String> {
        run!(self.fact_read(dag, version), |conn, _now| sql::version_source(conn, &dag, *version))
    }

    async fn log_append(&self, chunks: &[LogChunk]) -> StoreResult<()> {
        if chunks.is_empty() {
            return Ok(());
        }
        run!(self.fact(chunks), |conn, _now| sql::log_append(conn, &chunks))
    }
}

#[async_trait]
impl Views for Store {
    async fn view_dags(&self) -> StoreResult<Vec<DagRow>> {
        run!(self.view(), |conn, _now| sql::dags_load(conn))
    }

    async fn view_dag(&self, dag: &DagId) -> StoreResult<Option<DagRow>> {
        run!(self.view(dag), |conn, _now| sql::view_dag(conn, &dag))
    }

    async fn view_source(
        &self,
        dag: &DagId,
        version: DagVersion,
    ) -> StoreResult<Option<(String, DateTime<Utc>)>> {
        run!(self.view(dag, version), |conn, _now| sql::view_source(conn, &dag, *version))
    }

    async fn view_recent_runs(&self, dags: &[DagId], per_dag: usize) -> StoreResult<Vec<RunRow>> {
        run!(self.view(dags, per_dag), |conn, _now| sql::view_recent_runs(conn, &dags, *per_dag))
    }

    async fn view_runs(&self, filter: &RunFilter) -> StoreResult<Vec<RunRow>> {
        run!(self.view(filter), |conn, _now| sql::view_runs(conn, &filter))
    }

    async fn view_run(&self, run: RunId) -> StoreResult<Option<RunRow>> {
        run!(self.view(run), |conn, _now| sql::run_load(conn, *run))
    }

    async fn view_run_by_key(&self, dag: &DagId, key: &str) -> StoreResult<Option<RunRow>> {
        run!(self.view(dag, key), |conn, _now| sql::run_by_key(conn, &dag, &key))
    }

    async fn view_tasks(&self, runs: &[RunId]) -> StoreResult<Vec<TaskRow>> {
        run!(self.view(runs), |conn, _now| sql::tasks_of_runs(conn, &runs))
    }

    async fn view_attempts(&self, task: TaskKey) -> StoreResult<Vec<TaskRow>> {
        run!(self.view(task), |conn, _now| sql::view_attempts(conn, *task))
    }

    async fn view_log(&self, attempt: AttemptKey, from_seq: u32, limit: usize) -> StoreResult<Vec<LogChunk>> {
        run!(self.view(attempt, from_seq, limit), |conn, _now| sql::view_log(
            conn, *attempt, *from_seq, *limit
        ))
    }

    async fn view_log_extents(
        &self,
        attempt: AttemptKey,
        from_seq: u32,
        limit: usize,
    ) -> StoreResult<Vec<LogExtent>> {
        run!(self.view(attempt, from_seq, limit), |conn, _now| sql::view_log_extents(
            conn, *attempt, *from_seq, *limit
        ))
    }

    async fn view_active_runs(&self, dag: Option<&DagId>, limit: usize) -> StoreResult<ActiveRuns> {
        let dag = dag.cloned();
        run!(self.view(dag, limit), |conn, _now| sql::view_active_runs(conn, (*dag).as_ref(), *limit))
    }

    async fn view_failed_dags(&self, since: DateTime<Utc>, limit: usize) -> StoreResult<FailedDags> {
        run!(self.view(since, limit), |conn, _now| sql::view_failed_dags(conn, *since, *limit))
    }

    async fn view_slots(&self, filter: &SlotFilter) -> StoreResult<Vec<SlotRow>> {
        run!(self.view(filter), |conn, _now| sql::view_slots(conn, &filter))
    }

    async fn view_slot_counts(&self, dag: Option<&DagId>, window: TimeWindow) -> StoreResult<LedgerCounts> {
        let dag = dag.cloned();
        run!(self.view(dag, window), |conn, _now| sql::view_slot_counts(conn, (*dag).as_ref(), *window))
    }

    async fn view_outages(&self, window: TimeWindow, limit: usize) -> StoreResult<Outages> {
        run!(self.view(window, limit), |conn, _now| sql::view_outages(conn, *window, *limit))
    }

    async fn view_slot_steps(&self, filter: &StepFilter) -> StoreResult<Vec<SlotStep>> {
        run!(self.view(filter), |conn, _now| sql::view_slot_steps(conn, &filter))
    }

    async fn view_files_broken(&self) -> StoreResult<Vec<FileErrorRow>> {
        run!(self.view(), |conn, _now| sql::file_errors(conn))
    }

    async fn view_workers(&self) -> StoreResult<Vec<WorkerRow>> {
        run!(self.view(), |conn, now| sql::view_workers(conn, now))
    }

    async fn view_leader(&self) -> StoreResult<LeaderRow> {
        run!(self.view(), |conn, _now| sql::leader_load(conn))
    }

    async fn view_replicas(&self) -> StoreResult<Vec<ReplicaRow>> {
        run!(self.view(), |conn, now| sql::view_replicas(conn, now))
    }

    async fn view_terms(&self, limit: usize) -> StoreResult<Vec<TermRow>> {
        run!(self.view(limit), |conn, _now| sql::view_terms(conn, *limit))
    }

    async fn view_audit(&self, after: Option<AuditPlace>, limit: usize) -> StoreResult<Vec<AuditRow>> {
        run!(self.view(after, limit), |conn, _now| sql::view_audit(conn, *after, *limit))
    }
}
