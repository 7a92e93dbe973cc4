//! Runs, as the leader reads them.

use async_trait::async_trait;
use rota_core::id::{DagId, DagVersion, RunId};
use rota_core::port::{Ending, RunPlans, RunReads, RunRow, StoreResult};
use rota_core::state::{RunState, Trigger};

use super::cells::{Cells, decode, decode_opt, strange};
use super::{Conn, Store, failed, limit};

macro_rules! run_columns {
    () => {
        "id, dag, version, slot, interval_start, trigger_kind, state, params, reason, created_at, started_at, \
         finished_at, ending_state, ending_reason"
    };
}
pub(crate) use run_columns;

pub(crate) fn run_row(cells: &mut Cells<'_>) -> StoreResult<RunRow> {
    Ok(RunRow {
        id: RunId(cells.take()?),
        dag: cells.text(DagId::trusted)?,
        version: DagVersion(cells.take()?),
        slot: cells.at_opt()?,
        interval_start: cells.at_opt()?,
        trigger: cells.word(Trigger::parse)?,
        state: cells.word(RunState::parse)?,
        params: cells.json()?,
        reason: cells.take()?,
        created_at: cells.at()?,
        started_at: cells.at_opt()?,
        finished_at: cells.at_opt()?,
        ending: ending(cells)?,
    })
}

fn ending(cells: &mut Cells<'_>) -> StoreResult<Option<Ending>> {
    let (state, reason): (Option<&str>, Option<String>) = (cells.take()?, cells.take()?);
    let Some(word) = state else { return Ok(None) };
    let state = RunState::parse(word).ok_or_else(|| strange("word", word))?;
    Ok(Some(Ending { state, reason: reason.unwrap_or_default() }))
}

#[async_trait]
impl RunReads for Store {
    async fn run_load(&self, run: RunId) -> StoreResult<Option<RunRow>> {
        call!(self.read(run), |conn, _now| run_load(conn, *run))
    }
}

const RUN_LOAD: &str = concat!("select ", run_columns!(), " from run where id = $1");

pub(crate) async fn run_load(conn: &mut Conn, run: RunId) -> StoreResult<Option<RunRow>> {
    let row = sqlx::query(RUN_LOAD).bind(run.0).fetch_optional(conn).await.map_err(failed)?;
    decode_opt(row.as_ref(), run_row)
}

#[async_trait]
impl RunPlans for Store {
    async fn runs_active(&self, after: RunId, limit: usize) -> StoreResult<Vec<RunRow>> {
        call!(self.plan_read(after, limit), |conn, _now| runs_active(conn, *after, *limit))
    }

    async fn runs_queued(&self, after: RunId, limit: usize) -> StoreResult<Vec<RunRow>> {
        call!(self.plan_read(after, limit), |conn, _now| runs_queued(conn, *after, *limit))
    }
}

const RUNS_ACTIVE: &str = concat!(
    "select ",
    run_columns!(),
    " from run where state in ('queued', 'running') and id > $1 order by id limit $2"
);

async fn runs_active(conn: &mut Conn, after: RunId, rows_max: usize) -> StoreResult<Vec<RunRow>> {
    let query = sqlx::query(RUNS_ACTIVE).bind(after.0).bind(limit(rows_max));
    decode(&query.fetch_all(conn).await.map_err(failed)?, run_row)
}

const RUNS_QUEUED: &str = concat!(
    "select ",
    run_columns!(),
    " from run where state in ('queued', 'running') and state = 'queued' and trigger_kind <> 'schedule' and id > $1
     order by id limit $2"
);

/// The first condition repeats the words of the index on active runs.
async fn runs_queued(conn: &mut Conn, after: RunId, rows_max: usize) -> StoreResult<Vec<RunRow>> {
    let query = sqlx::query(RUNS_QUEUED).bind(after.0).bind(limit(rows_max));
    decode(&query.fetch_all(conn).await.map_err(failed)?, run_row)
}
