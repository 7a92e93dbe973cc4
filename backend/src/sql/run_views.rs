//! Runs, as pages and commands read them. Bounded lists only.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rota_core::id::DagId;
use rota_core::port::{ActiveRuns, FailedDag, FailedDags, RunFilter, RunRow, RunViews, StoreResult};

use super::cells::{decode, decode_opt};
use super::rowset::names_json;
use super::run::{run_columns, run_row};
use super::{Conn, Store, failed, limit, micros};

#[async_trait]
impl RunViews for Store {
    async fn view_recent_runs(&self, dags: &[DagId], per_dag: usize) -> StoreResult<Vec<RunRow>> {
        call!(self.view(dags, per_dag), |conn, _now| view_recent_runs(conn, &dags, *per_dag))
    }

    async fn view_runs(&self, filter: &RunFilter) -> StoreResult<Vec<RunRow>> {
        call!(self.view(filter), |conn, _now| view_runs(conn, &filter))
    }

    async fn view_run_by_key(&self, dag: &DagId, key: &str) -> StoreResult<Option<RunRow>> {
        call!(self.view(dag, key), |conn, _now| run_by_key(conn, &dag, &key))
    }

    async fn view_active_runs(&self, dag: Option<&DagId>, limit: usize) -> StoreResult<ActiveRuns> {
        let dag = dag.cloned();
        call!(self.view(dag, limit), |conn, _now| view_active_runs(conn, (*dag).as_ref(), *limit))
    }

    async fn view_failed_dags(&self, since: DateTime<Utc>, limit: usize) -> StoreResult<FailedDags> {
        call!(self.view(since, limit), |conn, _now| view_failed_dags(conn, *since, *limit))
    }
}

const RUN_BY_KEY: &str =
    concat!("select ", run_columns!(), " from run where dag = $1 and idempotency_key = $2");

pub(crate) async fn run_by_key(conn: &mut Conn, dag: &DagId, key: &str) -> StoreResult<Option<RunRow>> {
    let query = sqlx::query(RUN_BY_KEY).bind(dag.as_str()).bind(key);
    decode_opt(query.fetch_optional(conn).await.map_err(failed)?.as_ref(), run_row)
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

async fn view_recent_runs(conn: &mut Conn, dags: &[DagId], per_dag: usize) -> StoreResult<Vec<RunRow>> {
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
async fn view_runs(conn: &mut Conn, filter: &RunFilter) -> StoreResult<Vec<RunRow>> {
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
async fn view_active_runs(conn: &mut Conn, dag: Option<&DagId>, rows_max: usize) -> StoreResult<ActiveRuns> {
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
async fn view_failed_dags(conn: &mut Conn, since: DateTime<Utc>, rows_max: usize) -> StoreResult<FailedDags> {
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
