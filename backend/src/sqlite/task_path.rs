//! The statements that every task passes through, as SQLite wants them: several in the writer's transaction.

use chrono::{DateTime, Utc};
use rota_core::id::{ClaimToken, RunId, TaskKey, TaskNo};
use rota_core::port::{ClaimRequest, Claimed, Finish, QueuedTask, StoreResult, TaskRow};

use super::dialect::Conn;
use super::sql::cells::{Cells, decode};
use super::sql::rowset::{claims_json, json, queued_json};
use super::sql::task::{task_columns, task_row};
use super::sql::task_claim::{claimed_load, lease_check, nonce_bytes};
use super::sql::task_outcome::{finishes, finishes_json, is_claim};
use super::sql::{failed, limit, micros, write_failed};

/// Claims what is still queued and answers with everything that this nonce holds.
pub(super) async fn tasks_claim(
    conn: &mut Conn,
    now: DateTime<Utc>,
    request: &ClaimRequest,
) -> StoreResult<Vec<Claimed>> {
    lease_check(conn, now, &request.worker, request.incarnation).await?;
    if request.keys.is_empty() {
        return Ok(Vec::new());
    }
    let first_token = tokens_take(conn, request.keys.len()).await?;
    claim(conn, now, request, first_token).await?;
    claimed_load(conn, request).await
}

const TOKENS_TAKE: &str = "update counter set value = value + $1 where name = 'claim_token' returning value";

/// Reserves `count` claim tokens and returns the first.
async fn tokens_take(conn: &mut Conn, count: usize) -> StoreResult<i64> {
    let query = sqlx::query(TOKENS_TAKE).bind(limit(count));
    let row = query.fetch_one(conn).await.map_err(write_failed)?;
    let last: i64 = Cells::of(&row).take()?;
    Ok(last - limit(count) + 1)
}

const CLAIM: &str = concat!(
    "update task set
         state = 'running', started_at = $2, worker = $3, incarnation = $4, claim_nonce = $5,
         claim_token = item.claim_token
     from ",
    claims!(),
    " where task.run = item.run and task.task_no = item.task_no and task.map_index = item.map_index
         and task.attempt = item.attempt and task.state = 'queued'"
);

async fn claim(
    conn: &mut Conn,
    now: DateTime<Utc>,
    request: &ClaimRequest,
    first_token: i64,
) -> StoreResult<()> {
    let tokens = (first_token..).map(ClaimToken);
    let items = claims_json(request.keys.iter().copied().zip(tokens));
    let query = sqlx::query(CLAIM)
        .bind(items)
        .bind(micros(now))
        .bind(request.worker.as_str())
        .bind(request.incarnation.0)
        .bind(nonce_bytes(request));
    query.execute(conn).await.map(drop).map_err(write_failed)
}

const FINISH: &str = concat!(
    "update task set
         state = item.state,
         finished_at = case when task.started_at > item.finished_at then task.started_at else item.finished_at end,
         spawned_at = item.spawned_at,
         ended_at = item.ended_at,
         exit_code = item.exit_code,
         signal = item.signal,
         error = item.error,
         outputs = item.outputs
     from ",
    finishes!(),
    is_claim!("task"),
    " and task.state = 'running'"
);

/// Records outcomes; returns how many rows that changed.
pub(super) async fn finish(conn: &mut Conn, now: DateTime<Utc>, finishes: &[Finish]) -> StoreResult<u64> {
    let query = sqlx::query(FINISH).bind(finishes_json(now, finishes));
    query.execute(conn).await.map(|done| done.rows_affected()).map_err(write_failed)
}

const QUEUE: &str = concat!(
    "insert into task (run, task_no, map_index, attempt, name, queue, priority, queued_at, state)
     select item.run, item.task_no, item.map_index, item.attempt, item.name, item.queue, item.priority,
         item.queued_at, 'queued'
     from ",
    queued!(),
    " where true
     on conflict (run, task_no, map_index) do update set
         attempt = excluded.attempt, name = excluded.name, queue = excluded.queue, priority = excluded.priority,
         queued_at = excluded.queued_at, state = excluded.state
     where task.state = 'waiting' and excluded.attempt = task.attempt + 1"
);

/// Queues waiting tasks; returns how many rows that changed.
pub(super) async fn queue(conn: &mut Conn, tasks: &[QueuedTask]) -> StoreResult<u64> {
    let query = sqlx::query(QUEUE).bind(queued_json(tasks));
    query.execute(conn).await.map(|done| done.rows_affected()).map_err(write_failed)
}

rowset! {
    /// A task.
    TaskItem in tasks { run: RunId as bigint, task_no: TaskNo as bigint, map_index: u32 as bigint }
}

const TASKS_LOAD: &str = concat!(
    "select ",
    task_columns!(),
    " from task where (run, task_no, map_index) in (
         select item.run, item.task_no, item.map_index from ",
    tasks!(),
    ") order by run, task_no, map_index"
);

pub(super) async fn tasks_load(conn: &mut Conn, keys: &[TaskKey]) -> StoreResult<Vec<TaskRow>> {
    let items =
        json(keys.iter().map(|key| TaskItem { run: key.run, task_no: key.task, map_index: key.index }));
    let query = sqlx::query(TASKS_LOAD).bind(items);
    decode(&query.fetch_all(conn).await.map_err(failed)?, task_row)
}
