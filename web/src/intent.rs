//! Writing what people want of a run or of a worker: the same for pages and API.

use std::collections::BTreeSet;

use rota_core::dag::Dag;
use rota_core::id::{RunId, TaskName, TaskNo, WorkerId};
use rota_core::port::{Bell, Change, IntentKind, RetrySelection, RunRow, TaskRow, WorkerRow};
use rota_core::state::{RunState, TaskState};
use tracing::warn;

use crate::app::Ctx;
use crate::error::{Error, Outcome};

/// Records an intent and wakes the leader. Returns the run as it is now, before the leader has acted.
pub(crate) async fn add(ctx: &Ctx, run: RunId, kind: IntentKind) -> Outcome<RunRow> {
    ctx.app.ports.store.intent_add(run, &kind, &ctx.who.actor).await?;
    let row = ctx.app.run(run).await?;
    ctx.app.wake(Change::Run { run, dag: row.dag.clone() }).await;
    Ok(row)
}

/// Has tasks of a run run again. Refuses where the leader would find nothing to do, because nobody would hear of it then.
pub(crate) async fn retry(ctx: &Ctx, run: RunId, selection: RetrySelection) -> Outcome<RunRow> {
    let row = ctx.app.run(run).await?;
    if let Some(reason) = nothing_to_retry(ctx, &row, &selection).await? {
        return Err(Error::Conflict(format!("run {run} {reason}")));
    }
    add(ctx, run, IntentKind::Retry(selection)).await
}

/// Why a retry would do nothing now. (That a run has not started is for the store to say.)
async fn nothing_to_retry(ctx: &Ctx, run: &RunRow, selection: &RetrySelection) -> Outcome<Option<String>> {
    if run.state == RunState::Running && run.ending.is_some() {
        return Ok(Some("is being ended: retry it when it has ended".to_owned()));
    }
    let tasks = ctx.app.ports.store.tasks_of_runs(&[run.id]).await?;
    match selection {
        RetrySelection::Failed if !tasks.iter().any(|task| task.state.ended_badly()) => Ok(Some(format!(
            "is {} and no task of it has failed or was cancelled: there is nothing to run again",
            run.state
        ))),
        RetrySelection::Tasks(names) if run.state != RunState::Queued => {
            let Some(dag) = ctx.version(run).await? else { return Ok(None) };
            let chosen = with_downstream(&dag, names);
            let has_ended = |task: &TaskRow| {
                chosen.contains(&task.key.task)
                    && (task.state.is_terminal() || task.state == TaskState::UpForRetry)
            };
            let idle = !tasks.iter().any(has_ended);
            let names: Vec<&str> = names.iter().map(TaskName::as_str).collect();
            Ok(idle.then(|| format!("goes on: {} has not ended yet, nothing to run again", names.join(", "))))
        }
        RetrySelection::Failed | RetrySelection::Tasks(_) => Ok(None),
    }
}

/// These tasks and all below them.
fn with_downstream(dag: &Dag, names: &[TaskName]) -> BTreeSet<TaskNo> {
    let mut chosen = BTreeSet::new();
    let mut open: Vec<TaskNo> = names.iter().filter_map(|name| dag.task_no(name.as_str())).collect();
    while let Some(task) = open.pop() {
        if chosen.insert(task) {
            open.extend(&dag.graph.down[task.0 as usize]);
        }
    }
    chosen
}

/// Asks a worker to take nothing more, and wakes it so that it hears of that at once. Returns whether that is news.
pub(crate) async fn drain(ctx: &Ctx, worker: &WorkerId) -> Outcome<bool> {
    let changed = ctx.app.ports.store.worker_drain(worker, &ctx.who.actor).await?;
    if let Err(error) = ctx.app.ports.broker.nudge(worker).await {
        warn!(%error, worker = %worker, "the broker is away; the worker hears of the drain with its next heartbeat");
    }
    ctx.app.tell(Bell::Workers, Change::Fleet).await;
    Ok(changed)
}

/// The newest life of a worker of the last day.
pub(crate) async fn worker_row(ctx: &Ctx, worker: &WorkerId) -> Outcome<WorkerRow> {
    // Of each worker the newest life comes first.
    let rows = ctx.app.ports.store.view_workers().await?;
    rows.into_iter().find(|row| row.id == *worker).ok_or_else(|| Error::missing("worker", worker.as_str()))
}

/// These names as tasks of the run's DAG version.
pub(crate) async fn task_names(ctx: &Ctx, run: RunId, names: &[String]) -> Outcome<Vec<TaskName>> {
    let row = ctx.app.run(run).await?;
    let dag = ctx.version(&row).await?;
    let known = |name: &str| dag.as_ref().is_none_or(|dag| dag.task_no(name).is_some());
    names
        .iter()
        .map(|name| {
            let task: TaskName = name.parse().map_err(|_| Error::missing("task", name))?;
            if known(name) {
                Ok(task)
            } else {
                Err(Error::Invalid(format!("run {run} has no task `{name}`")))
            }
        })
        .collect()
}
