//! What the leader does to tasks: one guarded statement per kind of transition, however many tasks there are.

use chrono::{DateTime, Utc};
use rota_core::id::{AttemptKey, QueueName, TaskKey};
use rota_core::port::{PlannedRetry, QueuedTask, SettledTask, StoreResult, TaskRow};

use super::super::hot::{queue, tasks_load};
use super::{Conn, all_changed, attempt_json, clean, json, micros, write_failed};

/// The row of the task and attempt that an item names in its first four places.
macro_rules! is_attempt {
    () => {
        " where task.run = cast(item.value ->> 0 as bigint)
         and task.task_no = cast(item.value ->> 1 as bigint)
         and task.map_index = cast(item.value ->> 2 as bigint)
         and task.attempt = cast(item.value ->> 3 as bigint)"
    };
}

/// The row of the task that an item names in its first three places.
macro_rules! is_task {
    () => {
        " where task.run = cast(item.value ->> 0 as bigint)
         and task.task_no = cast(item.value ->> 1 as bigint)
         and task.map_index = cast(item.value ->> 2 as bigint)"
    };
}

/// Every column that the history shares with the task, but the state.
macro_rules! history_columns {
    () => {
        "run, task_no, map_index, name, attempt, queue, priority, failures, losses, queued_at, started_at, \
         finished_at, retry_at, worker, incarnation, claim_token, claim_nonce, spawned_at, ended_at, exit_code, \
         signal, error, outputs, cancel_requested"
    };
}

/// What a new attempt starts without.
macro_rules! reset_columns {
    () => {
        "started_at = null, finished_at = null, retry_at = null, worker = null, incarnation = null,
         claim_token = null, claim_nonce = null, spawned_at = null, ended_at = null, exit_code = null,
         signal = null, error = null, outputs = null, cancel_requested = $2"
    };
}

const CLEAR_TO_HISTORY: &str = concat!(
    "insert into task_attempt (state, ",
    history_columns!(),
    ") select state, ",
    history_columns!(),
    " from task where attempt > 0 and (run, task_no, map_index) in (
         select cast(item.value ->> 0 as bigint), cast(item.value ->> 1 as bigint), cast(item.value ->> 2 as bigint)
         from ",
    each!("$1"),
    ") on conflict do nothing"
);

const CLEAR: &str = concat!(
    "update task set state = 'waiting', failures = 0, losses = 0, queued_at = null, ",
    reset_columns!(),
    " from ",
    each!("$1"),
    is_attempt!(),
    " and task.state in ('up_for_retry', 'success', 'failed', 'upstream_failed', 'skipped', 'cancelled')"
);

/// Takes terminal rows back. The history keeps the attempt, unless there was none or it is there already (a task
/// that was cleared and then skipped still has the number of its last attempt).
pub(super) async fn tasks_clear(conn: &mut Conn, keys: &[AttemptKey]) -> StoreResult<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let items = attempt_json(keys);
    sqlx::query(CLEAR_TO_HISTORY).bind(items.as_str()).execute(&mut *conn).await.map_err(write_failed)?;
    let done = sqlx::query(CLEAR).bind(items).bind(false).execute(conn).await.map_err(write_failed)?;
    all_changed("tasks to clear", keys.len(), done.rows_affected())
}

pub(super) async fn tasks_queue(conn: &mut Conn, tasks: &[QueuedTask]) -> StoreResult<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    let changed = queue(conn, tasks).await?;
    all_changed("tasks to queue", tasks.len(), changed)
}

pub(crate) fn queued_json(tasks: &[QueuedTask]) -> String {
    json(tasks.iter().map(|task| {
        let AttemptKey { task: key, attempt } = task.key;
        (key.run, key.task, key.index, attempt, &task.name, &task.queue, task.priority, micros(task.at))
    }))
}

const SETTLE: &str = concat!(
    "insert into task (run, task_no, map_index, attempt, name, queue, priority, state, error, finished_at)
     select cast(item.value ->> 0 as bigint), cast(item.value ->> 1 as bigint), cast(item.value ->> 2 as bigint),
         0, item.value ->> 3, item.value ->> 4, 0, item.value ->> 5, item.value ->> 6,
         cast(item.value ->> 7 as bigint)
     from ",
    each!("$1"),
    " where true
     on conflict (run, task_no, map_index) do update set
         state = excluded.state, error = excluded.error, finished_at = excluded.finished_at
     where task.state = 'waiting'"
);

pub(super) async fn tasks_settle(conn: &mut Conn, tasks: &[SettledTask]) -> StoreResult<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    let items = json(tasks.iter().map(|task| {
        let TaskKey { run, task: no, index } = task.key;
        (run, no, index, &task.name, QueueName::DEFAULT, task.state, clean(&task.reason), micros(task.at))
    }));
    let done = sqlx::query(SETTLE).bind(items).execute(conn).await.map_err(write_failed)?;
    all_changed("tasks to settle", tasks.len(), done.rows_affected())
}

const RETRY: &str = concat!(
    "update task set
         state = 'up_for_retry',
         retry_at = cast(item.value ->> 4 as bigint),
         failures = cast(item.value ->> 5 as bigint),
         losses = cast(item.value ->> 6 as bigint),
         error = coalesce(item.value ->> 7, task.error),
         finished_at = coalesce(task.finished_at, $2)
     from ",
    each!("$1"),
    is_attempt!(),
    " and task.state in ('failed', 'running')"
);

pub(super) async fn tasks_retry(
    conn: &mut Conn,
    now: DateTime<Utc>,
    retries: &[PlannedRetry],
) -> StoreResult<()> {
    if retries.is_empty() {
        return Ok(());
    }
    let items = json(retries.iter().map(|retry| {
        let AttemptKey { task: key, attempt } = retry.key;
        let due = micros(retry.retry_at);
        (
            key.run,
            key.task,
            key.index,
            attempt,
            due,
            retry.failures,
            retry.losses,
            retry.error.as_deref().map(clean),
        )
    }));
    let query = sqlx::query(RETRY).bind(items).bind(micros(now));
    let done = query.execute(conn).await.map_err(write_failed)?;
    all_changed("attempts to retry", retries.len(), done.rows_affected())
}

const REQUEUE_TO_HISTORY: &str = concat!(
    "insert into task_attempt (state, ",
    history_columns!(),
    ") select 'failed', ",
    history_columns!(),
    " from task where state = 'up_for_retry' and (run, task_no, map_index) in (
         select cast(item.value ->> 0 as bigint), cast(item.value ->> 1 as bigint), cast(item.value ->> 2 as bigint)
         from ",
    each!("$1"),
    ")"
);

const REQUEUE: &str = concat!(
    "update task set
         state = 'queued',
         attempt = cast(item.value ->> 3 as bigint),
         queue = item.value ->> 5,
         priority = cast(item.value ->> 6 as bigint),
         queued_at = cast(item.value ->> 7 as bigint), ",
    reset_columns!(),
    " from ",
    each!("$1"),
    is_task!(),
    " and task.state = 'up_for_retry' and task.attempt = cast(item.value ->> 3 as bigint) - 1"
);

/// Starts the next attempt of tasks whose wait is over. In the history the earlier attempt is a failed one: it ended
/// badly or was lost, its error says which.
pub(super) async fn tasks_requeue(conn: &mut Conn, tasks: &[QueuedTask]) -> StoreResult<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    let items = queued_json(tasks);
    sqlx::query(REQUEUE_TO_HISTORY).bind(items.as_str()).execute(&mut *conn).await.map_err(write_failed)?;
    let done = sqlx::query(REQUEUE).bind(items).bind(false).execute(conn).await.map_err(write_failed)?;
    all_changed("tasks to queue again", tasks.len(), done.rows_affected())
}

const ABORT: &str = concat!(
    "update task set state = 'failed', losses = task.losses + 1, error = item.value ->> 4, finished_at = $2
     from ",
    each!("$1"),
    is_attempt!(),
    " and task.state = 'running'"
);

pub(super) async fn tasks_abort(
    conn: &mut Conn,
    now: DateTime<Utc>,
    aborts: &[(AttemptKey, String)],
) -> StoreResult<()> {
    if aborts.is_empty() {
        return Ok(());
    }
    let items = json(
        aborts
            .iter()
            .map(|(key, reason)| (key.task.run, key.task.task, key.task.index, key.attempt, clean(reason))),
    );
    let query = sqlx::query(ABORT).bind(items).bind(micros(now));
    let done = query.execute(conn).await.map_err(write_failed)?;
    all_changed("lost attempts to end", aborts.len(), done.rows_affected())
}

const CANCEL_WAITING: &str = concat!(
    "update task set state = 'cancelled', error = item.value ->> 3, retry_at = null, finished_at = $2
     from ",
    each!("$1"),
    is_task!(),
    " and task.state in ('queued', 'up_for_retry')"
);

const CANCEL_RUNNING: &str = concat!(
    "update task set cancel_requested = $2
     from ",
    each!("$1"),
    is_task!(),
    " and task.state = 'running'"
);

/// Ends what has not started and asks for the end of what runs. Returns all the rows as they are now.
pub(super) async fn tasks_cancel(
    conn: &mut Conn,
    now: DateTime<Utc>,
    cancels: &[(TaskKey, String)],
) -> StoreResult<Vec<TaskRow>> {
    if cancels.is_empty() {
        return Ok(Vec::new());
    }
    let items = json(cancels.iter().map(|(key, reason)| (key.run, key.task, key.index, clean(reason))));
    let waiting = sqlx::query(CANCEL_WAITING).bind(items.as_str()).bind(micros(now));
    waiting.execute(&mut *conn).await.map_err(write_failed)?;
    let running = sqlx::query(CANCEL_RUNNING).bind(items).bind(true);
    running.execute(&mut *conn).await.map_err(write_failed)?;
    let keys: Vec<TaskKey> = cancels.iter().map(|(key, _)| *key).collect();
    tasks_load(conn, &keys).await
}
