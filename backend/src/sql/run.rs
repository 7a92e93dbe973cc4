//! Runs, as the leader reads them.

use rota_core::id::RunId;
use rota_core::port::{RunRow, StoreResult};

use super::cells::{decode, decode_opt, run_columns, run_row};
use super::{Conn, failed, limit};

const RUN_LOAD: &str = concat!("select ", run_columns!(), " from run where id = $1");

pub(crate) async fn run_load(conn: &mut Conn, run: RunId) -> StoreResult<Option<RunRow>> {
    let row = sqlx::query(RUN_LOAD).bind(run.0).fetch_optional(conn).await.map_err(failed)?;
    decode_opt(row.as_ref(), run_row)
}

const RUNS_ACTIVE: &str = concat!(
    "select ",
    run_columns!(),
    " from run where state in ('queued', 'running') and id > $1 order by id limit $2"
);

pub(crate) async fn runs_active(conn: &mut Conn, after: RunId, rows_max: usize) -> StoreResult<Vec<RunRow>> {
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
pub(crate) async fn runs_queued(conn: &mut Conn, after: RunId, rows_max: usize) -> StoreResult<Vec<RunRow>> {
    let query = sqlx::query(RUNS_QUEUED).bind(after.0).bind(limit(rows_max));
    decode(&query.fetch_all(conn).await.map_err(failed)?, run_row)
}
