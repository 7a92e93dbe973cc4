//! Writing what people want of a run: the same for pages and API.

use rota_core::id::{RunId, TaskName};
use rota_core::port::{Change, IntentKind, RunRow};

use crate::app::Ctx;
use crate::error::{Error, Outcome};

/// Records an intent and wakes the leader. Returns the run as it is now, before the leader has acted.
pub(crate) async fn add(ctx: &Ctx, run: RunId, kind: IntentKind) -> Outcome<RunRow> {
    ctx.app.ports.store.intent_add(run, &kind, &ctx.who.actor).await?;
    let row = ctx.app.run(run).await?;
    ctx.app.wake(Change::Run { run, dag: row.dag.clone() }).await;
    Ok(row)
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
