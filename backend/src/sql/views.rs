//! What pages and commands read. Bounded lists only.

use chrono::{DateTime, TimeDelta, Utc};
use rota_core::id::{AttemptKey, DagId, DagVersion, TaskKey};
use rota_core::port::{
    DagRow, LogChunk, RunFilter, RunRow, SlotCounts, SlotFilter, SlotRow, StoreResult, TaskRow, WorkerRow,
};

use super::rows::{
    Cells, dag_columns, dag_row, decode, decode_opt, run_columns, run_row, slot_columns, slot_row,
    task_columns, task_row, worker_columns, worker_row,
};
use super::{Conn, json, limit, micros, unavailable};

/// How long workers that are no more stay in the list.
const WORKERS_SEEN_WITHIN: TimeDelta = TimeDelta::days(1);

const VIEW_DAG: &str = concat!("select ", dag_columns!(), " from dag where dag = $1");

pub(crate) async fn view_dag(conn: &mut Conn, dag: &DagId) -> StoreResult<Option<DagRow>> {
    let row = sqlx::query(VIEW_DAG).bind(dag.as_str()).fetch_optional(conn).await.map_err(unavailable)?;
    decode_opt(row.as_ref(), dag_row)
}

const VIEW_SOURCE: &str = "select source, created_at from dag_version where dag = $1 and version = $2";

pub(crate) async fn view_source(
    conn: &mut Conn,
    dag: &DagId,
    version: DagVersion,
) -> StoreResult<Option<(String, DateTime<Utc>)>> {
    let query = sqlx::query(VIEW_SOURCE).bind(dag.as_str()).bind(version.0);
    let row = query.fetch_optional(conn).await.map_err(unavailable)?;
    decode_opt(row.as_ref(), |cells| Ok((cells.take()?, cells.at()?)))
}

const VIEW_RECENT_RUNS: &str = concat!(
    "select ",
    run_columns!(),
    " from run where id in (
         select r.id from ",
    each!("$1"),
    " join run as r on r.dag = item.value ->> 0 and r.id in (
             select x.id from run as x where x.dag = item.value ->> 0 order by x.id desc limit $2))
     order by dag, id desc"
);

pub(crate) async fn view_recent_runs(
    conn: &mut Conn,
    dags: &[DagId],
    per_dag: usize,
) -> StoreResult<Vec<RunRow>> {
    let query = sqlx::query(VIEW_RECENT_RUNS).bind(json(dags.iter().map(|dag| [dag]))).bind(limit(per_dag));
    decode(&query.fetch_all(conn).await.map_err(unavailable)?, run_row)
}

const VIEW_RUNS: &str = concat!(
    "select ",
    run_columns!(),
    " from run where id < $1 and ($3 or state in (select item.value ->> 0 from ",
    each!("$2"),
    ")) order by id desc limit $4"
);

const VIEW_RUNS_ACTIVE: &str = concat!(
    "select ",
    run_columns!(),
    " from run where id < $1 and state in ('queued', 'running')
         and ($3 or state in (select item.value ->> 0 from ",
    each!("$2"),
    ")) order by id desc limit $4"
);

const VIEW_RUNS_OF_DAG: &str = concat!(
    "select ",
    run_columns!(),
    " from run where dag = $5 and id < $1 and ($3 or state in (select item.value ->> 0 from ",
    each!("$2"),
    ")) order by id desc limit $4"
);

/// Three statements, because three indexes: all runs by id, the active ones, those of one DAG.
pub(crate) async fn view_runs(conn: &mut Conn, filter: &RunFilter) -> StoreResult<Vec<RunRow>> {
    let any_state = filter.states.is_empty();
    let only_active = !any_state && filter.states.iter().all(|state| !state.is_terminal());
    let statement = match &filter.dag {
        Some(_) => VIEW_RUNS_OF_DAG,
        None if only_active => VIEW_RUNS_ACTIVE,
        None => VIEW_RUNS,
    };
    let mut query = sqlx::query(statement)
        .bind(filter.before.map_or(i64::MAX, |run| run.0))
        .bind(json(filter.states.iter().map(|state| [state])))
        .bind(any_state)
        .bind(limit(filter.limit));
    if let Some(dag) = &filter.dag {
        query = query.bind(dag.as_str());
    }
    decode(&query.fetch_all(conn).await.map_err(unavailable)?, run_row)
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
pub(crate) async fn view_attempts(conn: &mut Conn, task: TaskKey) -> StoreResult<Vec<TaskRow>> {
    let query =
        sqlx::query(VIEW_ATTEMPTS).bind(task.run.0).bind(i64::from(task.task.0)).bind(i64::from(task.index));
    decode(&query.fetch_all(conn).await.map_err(unavailable)?, task_row)
}

const VIEW_LOG: &str = "
    select seq, body from log_chunk
    where run = $1 and task_no = $2 and map_index = $3 and attempt = $4 and seq >= $5 order by seq limit $6";

pub(crate) async fn view_log(
    conn: &mut Conn,
    key: AttemptKey,
    from_seq: u32,
    chunks_max: usize,
) -> StoreResult<Vec<LogChunk>> {
    let query = sqlx::query(VIEW_LOG)
        .bind(key.task.run.0)
        .bind(i64::from(key.task.task.0))
        .bind(i64::from(key.task.index))
        .bind(i64::from(key.attempt))
        .bind(i64::from(from_seq))
        .bind(limit(chunks_max));
    decode(&query.fetch_all(conn).await.map_err(unavailable)?, |cells| {
        Ok(LogChunk { key, seq: cells.number()?, text: cells.take()? })
    })
}

const VIEW_SLOTS: &str = concat!(
    "select ",
    slot_columns!(),
    " from slot where slot >= $1 and slot < $2 and ($3 or outcome = $4) order by slot desc, dag limit $5"
);

const VIEW_SLOTS_OF_DAG: &str = concat!(
    "select ",
    slot_columns!(),
    " from slot where dag = $6 and slot >= $1 and slot < $2 and ($3 or outcome = $4) order by slot desc limit $5"
);

pub(crate) async fn view_slots(conn: &mut Conn, filter: &SlotFilter) -> StoreResult<Vec<SlotRow>> {
    let statement = if filter.dag.is_some() { VIEW_SLOTS_OF_DAG } else { VIEW_SLOTS };
    let mut query = sqlx::query(statement)
        .bind(filter.since.map_or(i64::MIN, micros))
        .bind(filter.before.map_or(i64::MAX, micros))
        .bind(filter.outcome.is_none())
        .bind(filter.outcome.map_or("", |outcome| outcome.as_str()))
        .bind(limit(filter.limit));
    if let Some(dag) = &filter.dag {
        query = query.bind(dag.as_str());
    }
    decode(&query.fetch_all(conn).await.map_err(unavailable)?, slot_row)
}

const VIEW_SLOT_COUNTS: &str = "
    select
        cast(coalesce(sum(case when outcome = 'fired' then slot_count end), 0) as bigint),
        cast(coalesce(sum(case when outcome = 'skipped' then slot_count end), 0) as bigint),
        cast(coalesce(sum(case when outcome = 'missed' then slot_count end), 0) as bigint),
        cast(coalesce(max(case when outcome = 'fired' then decided_at - slot end), 0) as bigint)
    from slot where slot >= $1";

pub(crate) async fn view_slot_counts(conn: &mut Conn, since: DateTime<Utc>) -> StoreResult<SlotCounts> {
    let query = sqlx::query(VIEW_SLOT_COUNTS).bind(micros(since));
    let row = query.fetch_one(conn).await.map_err(unavailable)?;
    let mut cells = Cells::of(&row);
    let (fired, skipped, missed) = (cells.number()?, cells.number()?, cells.number()?);
    let late_us: i64 = cells.take()?;
    Ok(SlotCounts { fired, skipped, missed, late_max_ms: late_us.max(0).unsigned_abs() / 1000 })
}

const VIEW_WORKERS: &str = concat!(
    "select ",
    worker_columns!(),
    " from worker where state in ('live', 'draining') or heartbeat_at > $1 order by id, incarnation desc"
);

pub(crate) async fn view_workers(conn: &mut Conn, now: DateTime<Utc>) -> StoreResult<Vec<WorkerRow>> {
    let query = sqlx::query(VIEW_WORKERS).bind(micros(now - WORKERS_SEEN_WITHIN));
    decode(&query.fetch_all(conn).await.map_err(unavailable)?, worker_row)
}
