//! Writing what people want of a run or of a worker: the same for pages and API.

use rota_core::id::{RunId, TaskName, WorkerId};
use rota_core::port::{Bell, Change, IntentKind, RetrySelection, RunRow, WorkerRow};
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

/// Has tasks of a run run again. Refuses a selection of failed tasks where none has failed: the leader would find nothing
/// to do, and nobody would hear of it.
pub(crate) async fn retry(ctx: &Ctx, run: RunId, selection: RetrySelection) -> Outcome<RunRow> {
    if selection == RetrySelection::Failed {
        let row = ctx.app.run(run).await?;
        let tasks = ctx.app.ports.store.view_tasks(&[run]).await?;
        if !tasks.iter().any(|task| task.state.ended_badly()) {
            return Err(Error::Conflict(format!(
                "run {run} is {} and no task of it has failed or was cancelled: there is nothing to run again",
                row.state
            )));
        }
    }
    add(ctx, run, IntentKind::Retry(selection)).await
}

/// Asks a worker to take nothing more, and wakes it so that it hears of that at once. Returns its row as it is now, which
/// is before it has heard.
pub(crate) async fn drain(ctx: &Ctx, worker: &WorkerId) -> Outcome<WorkerRow> {
    ctx.app.ports.store.worker_drain(worker, &ctx.who.actor).await?;
    if let Err(error) = ctx.app.ports.broker.nudge(worker).await {
        warn!(%error, worker = %worker, "the broker is away; the worker hears of the drain with its next heartbeat");
    }
    ctx.app.tell(Bell::Workers, Change::Fleet).await;
    worker_row(ctx, worker).await
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
