//! The statements that every task passes through, as Postgres likes them: one statement per verb, and arrays instead of
//! JSON.
//!
//! Postgres keeps a statement's plan for as long as its statistics stand, so a plan that was made while hardly any row was
//! there serves a million of them a minute later. These statements therefore leave it no choice: `by_primary_key!` looks each item
//! up by the primary key, in a subquery that cannot be pulled up, and the row is then taken by its place. That needs
//! `enable_seqscan = off` (the lanes of leader and workers set it), for a table of one page would be read as a whole; and
//! `state || ''`, which no partial index on states matches. A row that another transaction moves meanwhile may be missed:
//! then the statement changes fewer rows than it was given, which is looked into.

use chrono::{DateTime, Utc};
use rota_core::failpoint;
use rota_core::id::{AttemptKey, TaskKey};
use rota_core::port::{ClaimRequest, Claimed, Finish, QueuedTask, StoreResult, TaskRow};

use super::dialect::Conn;
use super::sql::cells::decode;
use super::sql::rowset::json_of;
use super::sql::task::{task_columns, task_row};
use super::sql::task_claim::{claimed_load, claimed_rows, lease_check, nonce_bytes};
use super::sql::{clean, failed, micros, write_failed};

/// Task keys, a column each.
#[derive(Default)]
struct Keys {
    runs: Vec<i64>,
    tasks: Vec<i64>,
    indexes: Vec<i64>,
    attempts: Vec<i64>,
}

impl Keys {
    fn push(&mut self, key: TaskKey) {
        self.runs.push(key.run.0);
        self.tasks.push(i64::from(key.task.0));
        self.indexes.push(i64::from(key.index));
    }

    fn of_attempts<'a>(attempts: impl Iterator<Item = &'a AttemptKey>) -> Self {
        let mut keys = Self::default();
        for key in attempts {
            keys.push(key.task);
            keys.attempts.push(i64::from(key.attempt));
        }
        keys
    }
}

/// Where the row of each `item` is.
macro_rules! by_primary_key {
    () => {
        " cross join lateral (
             select it.ctid as place from task as it
             where it.run = item.run and it.task_no = item.task_no and it.map_index = item.map_index
             limit 1) as found "
    };
}

/// The lease is held while the rows change: whoever wants to end this life waits, and then finds the claim. A life that
/// is being ended is waited for, and then claims nothing.
const CLAIM: &str = concat!(
    "with lease as (
         select 1 from worker where incarnation = $5 and id = $6 and state = 'live' and lease_until > ",
    clock!("$7"),
    for_key_share!(),
    "), claimed as (
         update task set
             state = 'running', started_at = $7, worker = $6, incarnation = $5, claim_nonce = $8,
             claim_token = nextval('claim_token')
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) as item(run, task_no, map_index, attempt)",
    by_primary_key!(),
    "where task.ctid = found.place and task.attempt = item.attempt and task.state || '' = 'queued'
             and exists (select 1 from lease)
         returning task.run, task.task_no, task.map_index, task.attempt, task.claim_token, task.name)
     select c.run, c.task_no, c.map_index, c.attempt, c.claim_token, c.name, r.dag, r.version, d.path, r.slot,
         r.interval_start, r.created_at, r.params
     from claimed as c join run as r on r.id = c.run join dag as d on d.dag = r.dag
     order by c.claim_token"
);

/// Claims what is still queued. If that is not all, an earlier call with this nonce may have claimed the rest, or there is
/// no lease.
pub(super) async fn tasks_claim(
    conn: &mut Conn,
    now: DateTime<Utc>,
    request: &ClaimRequest,
) -> StoreResult<Vec<Claimed>> {
    if failpoint::is_on("claim-unguarded") {
        unclaim(conn, &request.keys).await?;
    }
    let keys = Keys::of_attempts(request.keys.iter());
    let query = sqlx::query(CLAIM)
        .bind(keys.runs)
        .bind(keys.tasks)
        .bind(keys.indexes)
        .bind(keys.attempts)
        .bind(request.incarnation.0)
        .bind(request.worker.as_str())
        .bind(micros(now))
        .bind(nonce_bytes(request));
    let rows = query.fetch_all(&mut *conn).await.map_err(write_failed)?;
    if failpoint::is_on("spawn-before-commit") {
        unclaim(conn, &request.keys).await?;
    }
    if rows.len() == request.keys.len() && !rows.is_empty() {
        return claimed_rows(&rows);
    }
    if rows.is_empty() {
        lease_check(conn, now, &request.worker, request.incarnation).await?;
    }
    claimed_load(conn, request).await
}

/// Two sown faults: as if a claim did not look at the state, as if a claim was answered before it is committed.
async fn unclaim(conn: &mut Conn, attempts: &[AttemptKey]) -> StoreResult<()> {
    const UNCLAIM: &str = "
        update task set state = 'queued'
        from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as item(run, task_no, attempt)
        where task.run = item.run and task.task_no = item.task_no and task.attempt = item.attempt
            and task.state = 'running'";
    let keys = Keys::of_attempts(attempts.iter());
    let query = sqlx::query(UNCLAIM).bind(keys.runs).bind(keys.tasks).bind(keys.attempts);
    query.execute(conn).await.map(drop).map_err(write_failed)
}

const FINISH: &str = concat!(
    "update task set
        state = item.state,
        finished_at = greatest(task.started_at, item.finished_at),
        spawned_at = item.spawned_at,
        ended_at = item.ended_at,
        exit_code = item.exit_code,
        signal = item.signal,
        error = item.error,
        outputs = item.outputs
    from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::text[])
        as item(run, task_no, map_index, attempt, token, state, finished_at, spawned_at, ended_at, exit_code, signal,
            error, outputs)",
    by_primary_key!(),
    "where task.ctid = found.place and task.attempt = item.attempt and task.claim_token = item.token
         and task.state || '' = 'running'"
);

/// How often outcomes are written whose rows others were changing.
const FINISHES_MAX: usize = 3;

/// Records outcomes; returns how many rows that changed.
pub(super) async fn finish(conn: &mut Conn, now: DateTime<Utc>, finishes: &[Finish]) -> StoreResult<u64> {
    let mut changed = 0;
    for _ in 0..FINISHES_MAX {
        changed += finish_once(conn, now, finishes).await?;
        if changed == finishes.len() as u64 {
            break;
        }
    }
    if failpoint::is_on("finish-without-token") {
        finish_any(conn, finishes).await?;
    }
    Ok(changed)
}

async fn finish_once(conn: &mut Conn, now: DateTime<Utc>, finishes: &[Finish]) -> StoreResult<u64> {
    let keys = Keys::of_attempts(finishes.iter().map(|finish| &finish.key));
    fn column<T>(finishes: &[Finish], cell: impl Fn(&Finish) -> T) -> Vec<T> {
        finishes.iter().map(cell).collect()
    }
    let query = sqlx::query(FINISH)
        .bind(keys.runs)
        .bind(keys.tasks)
        .bind(keys.indexes)
        .bind(keys.attempts)
        .bind(column(finishes, |it| it.token.0))
        .bind(column(finishes, |it| it.state.as_str()))
        .bind(column(finishes, |it| micros(it.ended_at.min(now))))
        .bind(column(finishes, |it| it.spawned_at.map(micros)))
        .bind(column(finishes, |it| micros(it.ended_at)))
        .bind(column(finishes, |it| it.exit_code.map(i64::from)))
        .bind(column(finishes, |it| it.signal.map(i64::from)))
        .bind(column(finishes, |it| it.error.as_deref().map(|text| clean(text).into_owned())))
        .bind(column(finishes, |it| it.outputs.as_ref().map(json_of)));
    query.execute(conn).await.map(|done| done.rows_affected()).map_err(write_failed)
}

/// A sown fault: a result ends whatever attempt of its task runs now.
async fn finish_any(conn: &mut Conn, finishes: &[Finish]) -> StoreResult<()> {
    const FINISH_ANY: &str = "
        update task set state = item.state, finished_at = started_at
        from unnest($1::bigint[], $2::bigint[], $3::text[]) as item(run, task_no, state)
        where task.run = item.run and task.task_no = item.task_no and task.state = 'running'";
    let keys = Keys::of_attempts(finishes.iter().map(|finish| &finish.key));
    let states: Vec<&str> = finishes.iter().map(|finish| finish.state.as_str()).collect();
    let query = sqlx::query(FINISH_ANY).bind(keys.runs).bind(keys.tasks).bind(states);
    query.execute(conn).await.map(drop).map_err(write_failed)
}

const QUEUE: &str = "
    insert into task (run, task_no, map_index, attempt, name, queue, priority, queued_at, state)
    select run, task_no, map_index, attempt, name, queue, priority, queued_at, 'queued'
    from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[])
        as item(run, task_no, map_index, attempt, name, queue, priority, queued_at)
    on conflict (run, task_no, map_index) do update set
        attempt = excluded.attempt, name = excluded.name, queue = excluded.queue, priority = excluded.priority,
        queued_at = excluded.queued_at, state = excluded.state
    where task.state = 'waiting' and excluded.attempt = task.attempt + 1";

/// Queues waiting tasks; returns how many rows that changed.
pub(super) async fn queue(conn: &mut Conn, tasks: &[QueuedTask]) -> StoreResult<u64> {
    let keys = Keys::of_attempts(tasks.iter().map(|task| &task.key));
    let query = sqlx::query(QUEUE)
        .bind(keys.runs)
        .bind(keys.tasks)
        .bind(keys.indexes)
        .bind(keys.attempts)
        .bind(tasks.iter().map(|task| task.name.as_str()).collect::<Vec<_>>())
        .bind(tasks.iter().map(|task| task.queue.as_str()).collect::<Vec<_>>())
        .bind(tasks.iter().map(|task| i64::from(task.priority)).collect::<Vec<_>>())
        .bind(tasks.iter().map(|task| micros(task.at)).collect::<Vec<_>>());
    query.execute(conn).await.map(|done| done.rows_affected()).map_err(write_failed)
}

const TASKS_LOAD: &str = concat!(
    "select ",
    task_columns!(),
    " from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as item(r, t, m)
         cross join lateral (
             select * from task as it where it.run = item.r and it.task_no = item.t and it.map_index = item.m
             limit 1) as found
     order by run, task_no, map_index"
);

pub(super) async fn tasks_load(conn: &mut Conn, keys: &[TaskKey]) -> StoreResult<Vec<TaskRow>> {
    let mut columns = Keys::default();
    let unique: std::collections::BTreeSet<&TaskKey> = keys.iter().collect();
    unique.into_iter().for_each(|key| columns.push(*key));
    let query = sqlx::query(TASKS_LOAD).bind(columns.runs).bind(columns.tasks).bind(columns.indexes);
    decode(&query.fetch_all(conn).await.map_err(failed)?, task_row)
}
