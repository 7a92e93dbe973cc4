//! The tasks of one run: what its DAG version says, joined with the rows that the store has.

use std::collections::HashMap;
use std::sync::Arc;

use rota_core::dag::Dag;
use rota_core::id::{RunId, TaskKey, TaskName, TaskNo};
use rota_core::port::{RunRow, TaskRow};
use rota_core::state::TaskState;

use crate::app::Ctx;
use crate::error::{Error, Outcome};
use crate::why::RunWaits;

/// One task of a run, as it stands.
#[derive(Debug, Clone)]
pub(crate) struct TaskNow {
    pub(crate) name: TaskName,
    pub(crate) no: TaskNo,
    /// `None` while it waits for its first attempt.
    pub(crate) row: Option<TaskRow>,
    pub(crate) state: TaskState,
    /// Why it does not move, in words.
    pub(crate) why: Option<String>,
}

/// All tasks of a run in file order.
pub(crate) struct RunTasks {
    pub(crate) run: RunRow,
    /// The version the run is pinned to; `None` if this build cannot read it.
    pub(crate) dag: Option<Arc<Dag>>,
    pub(crate) list: Vec<TaskNow>,
    /// Why the run as a whole does not move, in words.
    pub(crate) why: Option<String>,
}

impl RunTasks {
    /// Reads a run's tasks.
    pub(crate) async fn load(ctx: &Ctx, run: RunRow) -> Outcome<Self> {
        let dag = ctx.version(&run).await?;
        let rows = ctx.app.ports.store.tasks_of_runs(&[run.id]).await?;
        let waits = RunWaits::load(ctx, &run, dag.clone(), &rows).await?;
        let mut list = join(dag.as_deref(), rows);
        for task in &mut list {
            task.why = waits.task(task);
        }
        let why = waits.run();
        Ok(Self { run, dag, list, why })
    }

    /// How many tasks are in a state that `wanted` accepts.
    pub(crate) fn count(&self, wanted: impl Fn(TaskState) -> bool) -> usize {
        self.list.iter().filter(|task| wanted(task.state)).count()
    }
}

/// Every task of the version with its row, if it has one; without a version, the rows alone.
pub(crate) fn join(dag: Option<&Dag>, rows: Vec<TaskRow>) -> Vec<TaskNow> {
    let Some(dag) = dag else {
        return rows.into_iter().map(|row| now(row.name.clone(), row.key.task, Some(row))).collect();
    };
    let mut by_no: HashMap<TaskNo, TaskRow> = rows.into_iter().map(|row| (row.key.task, row)).collect();
    dag.task_nos().map(|no| now(dag.task(no).name.clone(), no, by_no.remove(&no))).collect()
}

fn now(name: TaskName, no: TaskNo, row: Option<TaskRow>) -> TaskNow {
    let state = row.as_ref().map_or(TaskState::Waiting, |row| row.state);
    TaskNow { name, no, row, state, why: None }
}

/// A task of a run by its name, and all its attempts, oldest first.
pub(crate) async fn attempts_of(
    ctx: &Ctx,
    run: &RunRow,
    task: &str,
    index: u32,
) -> Outcome<(TaskKey, Vec<TaskRow>)> {
    let no = match ctx.version(run).await? {
        Some(dag) => dag.task_no(task),
        None => task_by_row(ctx, run.id, task).await?,
    };
    let no = no.ok_or_else(|| Error::missing("task", task))?;
    let key = TaskKey { run: run.id, task: no, index };
    let mut rows = ctx.app.ports.store.view_attempts(key).await?;
    rows.retain(|row| row.attempt > 0 || row.state.is_terminal());
    if index > 0 && rows.is_empty() {
        return Err(Error::NotFound(format!("task `{task}` of run {} has no instance {index}", run.id)));
    }
    Ok((key, rows))
}

async fn task_by_row(ctx: &Ctx, run: RunId, task: &str) -> Outcome<Option<TaskNo>> {
    let rows = ctx.app.ports.store.tasks_of_runs(&[run]).await?;
    Ok(rows.iter().find(|row| row.name.as_str() == task).map(|row| row.key.task))
}
