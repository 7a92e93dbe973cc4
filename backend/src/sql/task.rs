//! Tasks, as the leader reads them.

use chrono::{DateTime, Utc};
use rota_core::id::{QueueName, RunId, TaskName};
use rota_core::port::{QueuedTask, StoreResult, TaskRow};

use super::cells::{decode, task_columns, task_row};
use super::rowset::ids_json;
use super::{Conn, failed, limit, micros};

const TASKS_OF_RUNS: &str = concat!(
    "select ",
    task_columns!(),
    " from task where run in (select item.id from ",
    ids!(),
    ") order by run, task_no, map_index"
);

pub(crate) async fn tasks_of_runs(conn: &mut Conn, runs: &[RunId]) -> StoreResult<Vec<TaskRow>> {
    let query = sqlx::query(TASKS_OF_RUNS).bind(ids_json(runs.iter().map(|run| run.0)));
    decode(&query.fetch_all(conn).await.map_err(failed)?, task_row)
}

const TASKS_UNCLAIMED: &str = "
    select run, task_no, map_index, attempt, name, queue, priority, queued_at from task
    where state = 'queued' and queued_at < $1 order by queued_at, run, task_no, map_index limit $2";

pub(crate) async fn tasks_unclaimed(
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
