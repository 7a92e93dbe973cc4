//! What the leader does to tasks: one guarded statement per kind of transition, however many tasks there are.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use rota_core::id::{AttemptKey, QueueName, RunId, TaskKey, TaskName, TaskNo};
use rota_core::port::{PlannedRetry, QueuedTask, SettledTask, StoreResult, TaskRow};
use rota_core::state::TaskState;

use super::super::task_path::{queue, tasks_load};
use super::rowset::{attempts_json, json, queued_json};
use super::{Conn, all_changed, clean, micros, write_failed};

/// The row of the attempt that an item names, if it is its task's current one.
macro_rules! is_attempt {
    () => {
        concat!(is_task!(), " and task.attempt = item.attempt")
    };
}

/// The row of the task that an item names.
macro_rules! is_task {
    () => {
        " where task.run = item.run and task.task_no = item.task_no and task.map_index = item.map_index"
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
         select item.run, item.task_no, item.map_index from ",
    attempts!(),
    ") on conflict do nothing"
);

const CLEAR: &str = concat!(
    "update task set state = 'waiting', failures = 0, losses = 0, queued_at = null, ",
    reset_columns!(),
    " from ",
    attempts!(),
    is_attempt!(),
    " and task.state in ('up_for_retry', 'success', 'failed', 'upstream_failed', 'skipped', 'cancelled')"
);

/// Takes terminal rows back. The history keeps the attempt, unless there was none or it is there already (a task
/// that was cleared and then skipped still has the number of its last attempt).
pub(crate) async fn tasks_clear(conn: &mut Conn, keys: &[AttemptKey]) -> StoreResult<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let items = attempts_json(keys);
    sqlx::query(CLEAR_TO_HISTORY).bind(items.as_str()).execute(&mut *conn).await.map_err(write_failed)?;
    let done = sqlx::query(CLEAR).bind(items).bind(false).execute(conn).await.map_err(write_failed)?;
    all_changed("tasks to clear", keys.len(), done.rows_affected())
}

pub(crate) async fn tasks_queue(conn: &mut Conn, tasks: &[QueuedTask]) -> StoreResult<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    let changed = queue(conn, tasks).await?;
    all_changed("tasks to queue", tasks.len(), changed)
}

rowset! {
    /// A task that ends without an attempt.
    SettledItem<'a> in settled {
        run: RunId as bigint,
        task_no: TaskNo as bigint,
        map_index: u32 as bigint,
        name: &'a TaskName as text,
        queue: &'a str as text,
        state: TaskState as text,
        error: Cow<'a, str> as text,
        finished_at: i64 as bigint,
    }
}

const SETTLE: &str = concat!(
    "insert into task (run, task_no, map_index, attempt, name, queue, priority, state, error, finished_at)
     select item.run, item.task_no, item.map_index, 0, item.name, item.queue, 0, item.state, item.error,
         item.finished_at
     from ",
    settled!(),
    " where true
     on conflict (run, task_no, map_index) do update set
         state = excluded.state, error = excluded.error, finished_at = excluded.finished_at
     where task.state = 'waiting'"
);

pub(crate) async fn tasks_settle(conn: &mut Conn, tasks: &[SettledTask]) -> StoreResult<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    let items = json(tasks.iter().map(|task| SettledItem {
        run: task.key.run,
        task_no: task.key.task,
        map_index: task.key.index,
        name: &task.name,
        queue: QueueName::DEFAULT,
        state: task.state,
        error: clean(&task.reason),
        finished_at: micros(task.at),
    }));
    let done = sqlx::query(SETTLE).bind(items).execute(conn).await.map_err(write_failed)?;
    all_changed("tasks to settle", tasks.len(), done.rows_affected())
}

rowset! {
    /// An attempt that will be followed by another.
    RetryItem<'a> in retries {
        run: RunId as bigint,
        task_no: TaskNo as bigint,
        map_index: u32 as bigint,
        attempt: u32 as bigint,
        retry_at: i64 as bigint,
        failures: u32 as bigint,
        losses: u32 as bigint,
        error: Option<Cow<'a, str>> as text,
    }
}

const RETRY: &str = concat!(
    "update task set
         state = 'up_for_retry',
         retry_at = item.retry_at,
         failures = item.failures,
         losses = item.losses,
         error = coalesce(item.error, task.error),
         finished_at = coalesce(task.finished_at, $2)
     from ",
    retries!(),
    is_attempt!(),
    " and task.state in ('failed', 'running')"
);

pub(crate) async fn tasks_retry(
    conn: &mut Conn,
    now: DateTime<Utc>,
    retries: &[PlannedRetry],
) -> StoreResult<()> {
    if retries.is_empty() {
        return Ok(());
    }
    let items = json(retries.iter().map(|retry| RetryItem {
        run: retry.key.task.run,
        task_no: retry.key.task.task,
        map_index: retry.key.task.index,
        attempt: retry.key.attempt,
        retry_at: micros(retry.retry_at),
        failures: retry.failures,
        losses: retry.losses,
        error: retry.error.as_deref().map(clean),
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
         select item.run, item.task_no, item.map_index from ",
    queued!(),
    ")"
);

const REQUEUE: &str = concat!(
    "update task set
         state = 'queued',
         attempt = item.attempt,
         queue = item.queue,
         priority = item.priority,
         queued_at = item.queued_at, ",
    reset_columns!(),
    " from ",
    queued!(),
    is_task!(),
    " and task.state = 'up_for_retry' and task.attempt = item.attempt - 1"
);

/// Starts the next attempt of tasks whose wait is over. In the history the earlier attempt is a failed one: it ended
/// badly or was lost, its error says which.
pub(crate) async fn tasks_requeue(conn: &mut Conn, tasks: &[QueuedTask]) -> StoreResult<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    let items = queued_json(tasks);
    sqlx::query(REQUEUE_TO_HISTORY).bind(items.as_str()).execute(&mut *conn).await.map_err(write_failed)?;
    let done = sqlx::query(REQUEUE).bind(items).bind(false).execute(conn).await.map_err(write_failed)?;
    all_changed("tasks to queue again", tasks.len(), done.rows_affected())
}

rowset! {
    /// A lost attempt that will not be followed by another.
    AbortItem<'a> in aborted {
        run: RunId as bigint,
        task_no: TaskNo as bigint,
        map_index: u32 as bigint,
        attempt: u32 as bigint,
        error: Cow<'a, str> as text,
    }
}

const ABORT: &str = concat!(
    "update task set state = 'failed', losses = task.losses + 1, error = item.error, finished_at = $2
     from ",
    aborted!(),
    is_attempt!(),
    " and task.state = 'running'"
);

pub(crate) async fn tasks_abort(
    conn: &mut Conn,
    now: DateTime<Utc>,
    lost_for_good: &[(AttemptKey, String)],
) -> StoreResult<()> {
    if lost_for_good.is_empty() {
        return Ok(());
    }
    let items = json(lost_for_good.iter().map(|(key, reason)| AbortItem {
        run: key.task.run,
        task_no: key.task.task,
        map_index: key.task.index,
        attempt: key.attempt,
        error: clean(reason),
    }));
    let query = sqlx::query(ABORT).bind(items).bind(micros(now));
    let done = query.execute(conn).await.map_err(write_failed)?;
    all_changed("lost attempts to end", lost_for_good.len(), done.rows_affected())
}

rowset! {
    /// A task to cancel.
    CancelItem<'a> in cancelled {
        run: RunId as bigint,
        task_no: TaskNo as bigint,
        map_index: u32 as bigint,
        error: Cow<'a, str> as text,
    }
}

const CANCEL_WAITING: &str = concat!(
    "update task set state = 'cancelled', error = item.error, retry_at = null, finished_at = $2
     from ",
    cancelled!(),
    is_task!(),
    " and task.state in ('queued', 'up_for_retry')"
);

const CANCEL_RUNNING: &str = concat!(
    "update task set cancel_requested = $2
     from ",
    cancelled!(),
    is_task!(),
    " and task.state = 'running'"
);

/// Ends what has not started and asks for the end of what runs. Returns all the rows as they are now.
pub(crate) async fn tasks_cancel(
    conn: &mut Conn,
    now: DateTime<Utc>,
    cancels: &[(TaskKey, String)],
) -> StoreResult<Vec<TaskRow>> {
    if cancels.is_empty() {
        return Ok(Vec::new());
    }
    let items = json(cancels.iter().map(|(key, reason)| CancelItem {
        run: key.run,
        task_no: key.task,
        map_index: key.index,
        error: clean(reason),
    }));
    let waiting = sqlx::query(CANCEL_WAITING).bind(items.as_str()).bind(micros(now));
    waiting.execute(&mut *conn).await.map_err(write_failed)?;
    let running = sqlx::query(CANCEL_RUNNING).bind(items).bind(true);
    running.execute(&mut *conn).await.map_err(write_failed)?;
    let keys: Vec<TaskKey> = cancels.iter().map(|(key, _)| *key).collect();
    tasks_load(conn, &keys).await
}
