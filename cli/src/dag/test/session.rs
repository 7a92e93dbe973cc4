//! The run itself: a store for this run alone, the loops, and a wait for the end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use rota_backend::{InProcessBroker, SoloLeadership, SqliteStore, SystemClock};
use rota_core::id::{DagId, DagVersion, Epoch, ReplicaId, RunId, TaskKey};
use rota_core::port::{
    Actor, Batch, BatchPlans, Bell, Broker, DagFilePlans, DagIntents, DagPut, DagViews, Facts, FilesPut,
    IntentKind, NewRun, RunIntents, RunReads, SettledTask, TaskReads, TermPlans, TriggerRequest,
};
use rota_core::state::{RunState, TaskState};

use super::TestRequest;
use super::live::LiveFacts;
use super::report::EndedRun;
use crate::failure::Failure;
use crate::process::signals::StopSignals;
use crate::supervisor::{LoopPorts, Supervisor, worker_options};

/// How often the run is looked at when nothing told that it changed.
const LOOK: Duration = Duration::from_millis(250);

/// How long the loops get to stop, after the run is over.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Runs it to its end.
pub(super) async fn run(request: TestRequest) -> anyhow::Result<EndedRun> {
    let mut signals = StopSignals::listen().context("cannot listen to signals")?;
    let dir = tempfile::Builder::new()
        .prefix("rota-test-")
        .tempdir()
        .context("no temporary directory to be had")?;
    let store = Arc::new(SqliteStore::open(dir.path().join("rota.db"), Arc::new(SystemClock)).await?);
    let run = prepare(&store, &request).await?;
    let broker = Arc::new(InProcessBroker::new());
    let supervisor = start(&store, &broker, &request, dir.path())?;
    let ended = watch(&store, &broker, run, &mut signals).await;
    supervisor.stop_within(STOP_MAX).await;
    ended
}

/// Stores the DAG, and the run that is wanted, with the tasks that are not wanted skipped.
async fn prepare(store: &SqliteStore, request: &TestRequest) -> anyhow::Result<RunId> {
    let epoch = store.term_begin(&ReplicaId::trusted("test")).await?;
    let now = store.now().await?;
    let path = request.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let dag = DagPut {
        dag: request.dag.id.clone(),
        path,
        source: request.source.clone(),
        hash: "test".to_owned(),
        cursor: Some(now),
        next_slot: None,
    };
    store.files_put(epoch, &FilesPut { dags: vec![dag], at: now, ..FilesPut::default() }).await?;
    // Its schedule must not start other runs meanwhile.
    store.dag_pause(&request.dag.id, true, &actor()).await?;
    let run = match request.slot {
        Some(slot) => new_scheduled(store, epoch, request, slot).await?,
        None => new_manual(store, request).await?,
    };
    let ends_without_attempt: Vec<SettledTask> = request
        .dag
        .task_nos()
        .filter(|task| !request.chosen[task.0 as usize])
        .map(|task| SettledTask {
            key: TaskKey::single(run, task),
            name: request.dag.task(task).name.clone(),
            state: TaskState::Skipped,
            reason: "left out by --task".to_owned(),
            at: now,
        })
        .collect();
    store.batch_commit(epoch, &Batch { ends_without_attempt, ..Batch::default() }).await?;
    Ok(run)
}

async fn new_manual(store: &SqliteStore, request: &TestRequest) -> anyhow::Result<RunId> {
    let request = TriggerRequest {
        dag: request.dag.id.clone(),
        version: version_of(store, &request.dag.id).await?,
        params: request.params.clone(),
        idempotency_key: None,
    };
    Ok(store.run_trigger(&request, &actor()).await?.run.id)
}

async fn new_scheduled(
    store: &SqliteStore,
    epoch: Epoch,
    request: &TestRequest,
    slot: DateTime<Utc>,
) -> anyhow::Result<RunId> {
    let run = NewRun {
        dag: request.dag.id.clone(),
        version: version_of(store, &request.dag.id).await?,
        slot,
        interval_start: request.dag.schedule.as_ref().and_then(|schedule| schedule.previous_before(slot)),
        // A queued one would be held, because its DAG is paused.
        state: RunState::Running,
        params: request.params.clone(),
        at: store.now().await?,
    };
    let committed = store.batch_commit(epoch, &Batch { runs: vec![run], ..Batch::default() }).await?;
    committed.runs.first().copied().context("a committed run has a number")
}

async fn version_of(store: &SqliteStore, dag: &DagId) -> anyhow::Result<DagVersion> {
    let row = store.view_dag(dag).await?;
    Ok(row.context("a stored DAG is there")?.version)
}

fn start(
    store: &Arc<SqliteStore>,
    broker: &Arc<InProcessBroker>,
    request: &TestRequest,
    dir: &Path,
) -> anyhow::Result<Supervisor> {
    let facts: Arc<dyn Facts> = store.clone();
    let facts = Arc::new(LiveFacts::new(facts, Arc::clone(&request.dag), request.sink));
    let replica = ReplicaId::trusted("test");
    let dags = request.file.parent().map(Path::to_path_buf).unwrap_or_default();
    Supervisor::start(LoopPorts {
        plans: store.clone(),
        facts,
        broker: broker.clone(),
        leadership: Arc::new(SoloLeadership::new(replica.clone())),
        clock: Arc::new(SystemClock),
        replica,
        scan: None,
        worker: worker_options("test", dir.join("worker"), dags, None),
    })
}

/// Waits for the end of the run. The first Ctrl-C cancels it, the second gives up.
async fn watch(
    store: &SqliteStore,
    broker: &InProcessBroker,
    run: RunId,
    signals: &mut StopSignals,
) -> anyhow::Result<EndedRun> {
    let mut changes = broker.changes().await?;
    let mut asked = false;
    loop {
        let row = store.run_load(run).await?.context("a run that was made is there")?;
        if row.state.is_terminal() {
            return Ok(EndedRun { run: row, tasks: store.tasks_of_runs(&[run]).await? });
        }
        tokio::select! {
            _ = tokio::time::timeout(LOOK, changes.next()) => {}
            () = signals.next() => {
                if asked {
                    return Err(Failure::failed("given up at the second Ctrl-C; running tasks were ended").into());
                }
                asked = true;
                crate::output::note("cancelling: running tasks get their grace time, a second Ctrl-C does not wait");
                store.intent_add(run, &IntentKind::Cancel, &actor()).await?;
                broker.ring(Bell::Intent).await?;
            }
        }
    }
}

fn actor() -> Actor {
    Actor { name: "cli".to_owned(), origin: String::new() }
}
