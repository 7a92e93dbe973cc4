//! The statements that every task passes through, as SQLite wants them: several in the writer's transaction.

use chrono::{DateTime, Utc};
use rota_core::id::TaskKey;
use rota_core::port::{ClaimRequest, Claimed, Finish, QueuedTask, StoreResult, TaskRow};

use super::dialect::Conn;
use super::sql::batch_tasks::queued_json;
use super::sql::claims::{claimed_load, finish_json, lease_check, nonce_bytes};
use super::sql::rows::{Cells, decode, task_columns, task_row};
use super::sql::{failed, json, limit, micros, write_failed};

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
         claim_token = cast(item.value ->> 4 as bigint)
     from ",
    each!("$1"),
    " where task.run = cast(item.value ->> 0 as bigint)
         and task.task_no = cast(item.value ->> 1 as bigint)
         and task.map_index = cast(item.value ->> 2 as bigint)
         and task.attempt = cast(item.value ->> 3 as bigint)
         and task.state = 'queued'"
);

async fn claim(
    conn: &mut Conn,
    now: DateTime<Utc>,
    request: &ClaimRequest,
    first_token: i64,
) -> StoreResult<()> {
    let items = json(
        request
            .keys
            .iter()
            .zip(first_token..)
            .map(|(key, token)| (key.task.run, key.task.task, key.task.index, key.attempt, token)),
    );
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
         state = item.value ->> 5,
         finished_at = case when task.started_at > cast(item.value ->> 6 as bigint)
             then task.started_at else cast(item.value ->> 6 as bigint) end,
         spawned_at = cast(item.value ->> 7 as bigint),
         ended_at = cast(item.value ->> 8 as bigint),
         exit_code = cast(item.value ->> 9 as bigint),
         signal = cast(item.value ->> 10 as bigint),
         error = item.value ->> 11,
         outputs = item.value ->> 12
     from ",
    each!("$1"),
    " where task.run = cast(item.value ->> 0 as bigint)
         and task.task_no = cast(item.value ->> 1 as bigint)
         and task.map_index = cast(item.value ->> 2 as bigint)
         and task.attempt = cast(item.value ->> 3 as bigint)
         and task.claim_token = cast(item.value ->> 4 as bigint)
         and task.state = 'running'"
);

/// Records outcomes; returns how many rows that changed.
pub(super) async fn finish(conn: &mut Conn, now: DateTime<Utc>, finishes: &[Finish]) -> StoreResult<u64> {
    let query = sqlx::query(FINISH).bind(finish_json(now, finishes));
    query.execute(conn).await.map(|done| done.rows_affected()).map_err(write_failed)
}

const QUEUE: &str = concat!(
    "insert into task (run, task_no, map_index, attempt, name, queue, priority, queued_at, state)
     select cast(item.value ->> 0 as bigint), cast(item.value ->> 1 as bigint), cast(item.value ->> 2 as bigint),
         cast(item.value ->> 3 as bigint), item.value ->> 4, item.value ->> 5, cast(item.value ->> 6 as bigint),
         cast(item.value ->> 7 as bigint), 'queued'
     from ",
    each!("$1"),
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

const TASKS_LOAD: &str = concat!(
    "select ",
    task_columns!(),
    " from task where (run, task_no, map_index) in (
         select cast(item.value ->> 0 as bigint), cast(item.value ->> 1 as bigint), cast(item.value ->> 2 as bigint)
         from ",
    each!("$1"),
    ") order by run, task_no, map_index"
);

pub(super) async fn tasks_load(conn: &mut Conn, keys: &[TaskKey]) -> StoreResult<Vec<TaskRow>> {
    let query = sqlx::query(TASKS_LOAD).bind(key_json(keys));
    decode(&query.fetch_all(conn).await.map_err(failed)?, task_row)
}

fn key_json(keys: &[TaskKey]) -> String {
    json(keys.iter().map(|key| (key.run, key.task, key.index)))
}
