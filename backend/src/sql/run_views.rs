//! What pages and commands read. Bounded lists only.

use chrono::{DateTime, TimeDelta, Utc};
use rota_core::id::{AttemptKey, DagId, DagVersion, TaskKey};
use rota_core::port::{
    ActiveRuns, DagRow, FailedDag, FailedDags, LogChunk, LogExtent, RunFilter, RunRow, StoreResult, TaskRow,
    WorkerRow,
};

use super::cells::{
    dag_columns, dag_row, decode, decode_opt, run_columns, run_row, task_columns, task_row, worker_columns,
    worker_row,
};
use super::rowset::names_json;
use super::{Conn, failed, limit, micros};

/// How long workers that are no more stay in the list.
const WORKERS_SEEN_WITHIN: TimeDelta = TimeDelta::days(1);

const VIEW_DAG: &str = concat!("select ", dag_columns!(), " from dag where dag = $1");

pub(crate) async fn view_dag(conn: &mut Conn, dag: &DagId) -> StoreResult<Option<DagRow>> {
    let row = sqlx::query(VIEW_DAG).bind(dag.as_str()).fetch_optional(conn).await.map_err(failed)?;
    decode_opt(row.as_ref(), dag_row)
}

const VIEW_SOURCE: &str = "select source, created_at from dag_version where dag = $1 and version = $2";

pub(crate) async fn view_source(
    conn: &mut Conn,
    dag: &DagId,
    version: DagVersion,
) -> StoreResult<Option<(String, DateTime<Utc>)>> {
    let query = sqlx::query(VIEW_SOURCE).bind(dag.as_str()).bind(version.0);
    let row = query.fetch_optional(conn).await.map_err(failed)?;
    decode_opt(row.as_ref(), |cells| Ok((cells.take()?, cells.at()?)))
}

const VIEW_RECENT_RUNS: &str = concat!(
    "select ",
    run_columns!(),
    " from run where id in (
         select r.id from ",
    names!(),
    " join run as r on r.dag = item.name and r.id in (
             select x.id from run as x where x.dag = item.name order by x.id desc limit $2))
     order by dag, id desc"
);

pub(crate) async fn view_recent_runs(
    conn: &mut Conn,
    dags: &[DagId],
    per_dag: usize,
) -> StoreResult<Vec<RunRow>> {
    let dags = names_json(dags.iter().map(DagId::as_str));
    let query = sqlx::query(VIEW_RECENT_RUNS).bind(dags).bind(limit(per_dag));
    decode(&query.fetch_all(conn).await.map_err(failed)?, run_row)
}

const VIEW_RUNS: &str = concat!(
    "select ",
    run_columns!(),
    " from run where id < $2 and ($3 or state in (select item.name from ",
    names!(),
    ")) order by id desc limit $4"
);

const VIEW_RUNS_ACTIVE: &str = concat!(
    "select ",
    run_columns!(),
    " from run where id < $2 and state in ('queued', 'running')
         and ($3 or state in (select item.name from ",
    names!(),
    ")) order by id desc limit $4"
);

const VIEW_RUNS_OF_DAG: &str = concat!(
    "select ",
    run_columns!(),
    " from run where dag = $5 and id < $2 and ($3 or state in (select item.name from ",
    names!(),
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
        .bind(names_json(filter.states.iter().map(|state| state.as_str())))
        .bind(filter.before.map_or(i64::MAX, |run| run.0))
        .bind(any_state)
        .bind(limit(filter.limit));
    if let Some(dag) = &filter.dag {
        query = query.bind(dag.as_str());
    }
    decode(&query.fetch_all(conn).await.map_err(failed)?, run_row)
}

macro_rules! active_runs {
    ($and:literal) => {
        concat!(
            "select ",
            run_columns!(),
            ", sum(case when state = 'running' then 1 else 0 end) over (), count(*) over ()
             from run where state in ('queued', 'running') ",
            $and,
            " order by case when state = 'running' then 0 else 1 end, id limit $1"
        )
    };
}

const VIEW_ACTIVE_RUNS: &str = active_runs!("");
const VIEW_ACTIVE_RUNS_OF_DAG: &str = active_runs!("and dag = $2");

/// Counted beside the list, so that both tell of one instant.
pub(crate) async fn view_active_runs(
    conn: &mut Conn,
    dag: Option<&DagId>,
    rows_max: usize,
) -> StoreResult<ActiveRuns> {
    let statement = if dag.is_some() { VIEW_ACTIVE_RUNS_OF_DAG } else { VIEW_ACTIVE_RUNS };
    // Without a row there is nobody to say how many there are.
    let mut query = sqlx::query(statement).bind(limit(rows_max.max(1)));
    if let Some(dag) = dag {
        query = query.bind(dag.as_str());
    }
    let rows = query.fetch_all(conn).await.map_err(failed)?;
    let rows = decode(&rows, |cells| Ok((run_row(cells)?, cells.number::<u64>()?, cells.number::<u64>()?)))?;
    let (running, all) = rows.first().map_or((0, 0), |(_, running, all)| (*running, *all));
    let list = rows.into_iter().map(|(run, _, _)| run).take(rows_max).collect();
    Ok(ActiveRuns { running, queued: all - running, list })
}

const VIEW_FAILED_DAGS: &str = concat!(
    "with failed as (
         select dag as of_dag, max(id) as newest, count(*) as runs from run
         where finished_at >= $1 and state = 'failed' group by dag
     ), told as (
         select failed.*, cast(case when exists (
             select 1 from run as later
             where later.dag = of_dag and later.id > newest and later.state = 'success') then 1 else 0 end as bigint) as recovered
         from failed
     )
     select ",
    run_columns!(),
    ", runs, recovered, cast(sum(recovered) over () as bigint), count(*) over ()
     from told join run on run.id = newest order by recovered, id desc limit $2"
);

/// Counted beside the list, so that both tell of one instant.
pub(crate) async fn view_failed_dags(
    conn: &mut Conn,
    since: DateTime<Utc>,
    rows_max: usize,
) -> StoreResult<FailedDags> {
    let query = sqlx::query(VIEW_FAILED_DAGS).bind(micros(since)).bind(limit(rows_max.max(1)));
    let rows = decode(&query.fetch_all(conn).await.map_err(failed)?, |cells| {
        let (run, runs) = (run_row(cells)?, cells.number()?);
        let dag = FailedDag { run, runs, recovered: cells.number::<i64>()? == 1 };
        Ok((dag, cells.number::<u64>()?, cells.number::<u64>()?))
    })?;
    let (recovered, all) = rows.first().map_or((0, 0), |(_, recovered, all)| (*recovered, *all));
    let list = rows.into_iter().map(|(dag, _, _)| dag).take(rows_max).collect();
    Ok(FailedDags { failing: all - recovered, recovered, list })
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
    decode(&query.fetch_all(conn).await.map_err(failed)?, task_row)
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
    decode(&query.fetch_all(conn).await.map_err(failed)?, |cells| {
        Ok(LogChunk { key, seq: cells.number()?, text: cells.take()? })
    })
}

const VIEW_LOG_EXTENTS: &str = "
    select seq, cast(octet_length(body) as bigint),
        cast(octet_length(body) - octet_length(replace(body, $7, '')) as bigint),
        octet_length(rtrim(body, $7)) < octet_length(body)
    from log_chunk
    where run = $1 and task_no = $2 and map_index = $3 and attempt = $4 and seq >= $5 order by seq limit $6";

pub(crate) async fn view_log_extents(
    conn: &mut Conn,
    key: AttemptKey,
    from_seq: u32,
    chunks_max: usize,
) -> StoreResult<Vec<LogExtent>> {
    let query = sqlx::query(VIEW_LOG_EXTENTS)
        .bind(key.task.run.0)
        .bind(i64::from(key.task.task.0))
        .bind(i64::from(key.task.index))
        .bind(i64::from(key.attempt))
        .bind(i64::from(from_seq))
        .bind(limit(chunks_max))
        .bind("\n");
    decode(&query.fetch_all(conn).await.map_err(failed)?, |cells| {
        Ok(LogExtent {
            seq: cells.number()?,
            bytes: cells.number()?,
            newlines: cells.number()?,
            ends_line: cells.take()?,
        })
    })
}

const VIEW_WORKERS: &str = concat!(
    "select ",
    worker_columns!(),
    " from worker where state in ('live', 'draining') or heartbeat_at > $1 order by id, incarnation desc"
);

pub(crate) async fn view_workers(conn: &mut Conn, now: DateTime<Utc>) -> StoreResult<Vec<WorkerRow>> {
    let query = sqlx::query(VIEW_WORKERS).bind(micros(now - WORKERS_SEEN_WITHIN));
    decode(&query.fetch_all(conn).await.map_err(failed)?, worker_row)
}
