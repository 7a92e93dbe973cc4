//! Tasks and their attempts, as they are read.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rota_core::id::{AttemptKey, Incarnation, QueueName, RunId, TaskKey, TaskName, WorkerId};
use rota_core::port::{Object, QueuedTask, StoreResult, TaskPlans, TaskReads, TaskRow, TaskViews};
use rota_core::state::TaskState;

use super::super::task_path::tasks_load;
use super::cells::{Cells, decode};
use super::rowset::ids_json;
use super::{Conn, Store, failed, limit, micros};

macro_rules! task_columns {
    () => {
        "run, task_no, map_index, name, attempt, state, queue, priority, failures, losses, queued_at, started_at, \
         finished_at, retry_at, worker, incarnation, exit_code, signal, error, outputs, cancel_requested"
    };
}
pub(crate) use task_columns;

pub(crate) fn attempt_key(cells: &mut Cells<'_>) -> StoreResult<AttemptKey> {
    Ok(cells.task_key()?.attempt(cells.number()?))
}

pub(crate) fn task_row(cells: &mut Cells<'_>) -> StoreResult<TaskRow> {
    Ok(TaskRow {
        key: cells.task_key()?,
        name: cells.text(TaskName::trusted)?,
        attempt: cells.number()?,
        state: cells.word(TaskState::parse)?,
        queue: cells.text(QueueName::trusted)?,
        priority: cells.number()?,
        failures: cells.number()?,
        losses: cells.number()?,
        queued_at: cells.at_opt()?,
        started_at: cells.at_opt()?,
        finished_at: cells.at_opt()?,
        retry_at: cells.at_opt()?,
        worker: cells.take::<Option<&str>>()?.map(WorkerId::trusted),
        incarnation: cells.take::<Option<i64>>()?.map(Incarnation),
        exit_code: cells.number_opt()?,
        signal: cells.number_opt()?,
        error: cells.take()?,
        outputs: cells.json_opt::<Object>()?,
        cancel_requested: cells.take()?,
    })
}

#[async_trait]
impl TaskReads for Store {
    async fn tasks_of_runs(&self, runs: &[RunId]) -> StoreResult<Vec<TaskRow>> {
        call!(self.read(runs), |conn, _now| tasks_of_runs(conn, &runs))
    }
}

const TASKS_OF_RUNS: &str = concat!(
    "select ",
    task_columns!(),
    " from task where run in (select item.id from ",
    ids!(),
    ") order by run, task_no, map_index"
);

async fn tasks_of_runs(conn: &mut Conn, runs: &[RunId]) -> StoreResult<Vec<TaskRow>> {
    let query = sqlx::query(TASKS_OF_RUNS).bind(ids_json(runs.iter().map(|run| run.0)));
    decode(&query.fetch_all(conn).await.map_err(failed)?, task_row)
}

#[async_trait]
impl TaskPlans for Store {
    async fn tasks_load(&self, keys: &[TaskKey]) -> StoreResult<Vec<TaskRow>> {
        call!(self.plan_read(keys), |conn, _now| tasks_load(conn, &keys))
    }

    async fn tasks_unclaimed(&self, before: DateTime<Utc>, limit: usize) -> StoreResult<Vec<QueuedTask>> {
        call!(self.plan_read(before, limit), |conn, _now| tasks_unclaimed(conn, *before, *limit))
    }
}

const TASKS_UNCLAIMED: &str = "
    select run, task_no, map_index, attempt, name, queue, priority, queued_at from task
    where state = 'queued' and queued_at < $1 order by queued_at, run, task_no, map_index limit $2";

async fn tasks_unclaimed(
    conn: &mut Conn,
    before: DateTime<Utc>,
    rows_max: usize,
) -> StoreResult<Vec<QueuedTask>> {
    let query = sqlx::query(TASKS_UNCLAIMED).bind(micros(before)).bind(limit(rows_max));
    decode(&query.fetch_all(conn).await.map_err(failed)?, |cells| {
        let key = cells.task_key()?;
        Ok(QueuedTask {
            key: key.attempt(cells.number()?),
            name: cells.text(TaskName::trusted)?,
            queue: cells.text(QueueName::trusted)?,
            priority: cells.number()?,
            at: cells.at()?,
        })
    })
}

#[async_trait]
impl TaskViews for Store {
    async fn view_attempts(&self, task: TaskKey) -> StoreResult<Vec<TaskRow>> {
        call!(self.view(task), |conn, _now| view_attempts(conn, *task))
    }
}

const VIEW_ATTEMPTS: &str = concat!(
    "select ",
    task_columns!(),
    " from task_attempt where run = $1 and task_no = $2 and map_index = $3
     union all
     select ",
    task_columns!(),
    " from task where run = $1 and task_no = $2 and map_index = $3 and state <> 'waiting'
         and not exists (
             select 1 from task_attempt as h
             where h.run = task.run and h.task_no = task.task_no and h.map_index = task.map_index
                 and h.attempt = task.attempt)
     order by attempt"
);

/// A task that was cleared, or settled after that, is no attempt of its own: its row still has its last attempt's
/// number, which is in the history.
async fn view_attempts(conn: &mut Conn, task: TaskKey) -> StoreResult<Vec<TaskRow>> {
    let query =
        sqlx::query(VIEW_ATTEMPTS).bind(task.run.0).bind(i64::from(task.task.0)).bind(i64::from(task.index));
    decode(&query.fetch_all(conn).await.map_err(failed)?, task_row)
}
