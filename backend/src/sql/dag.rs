//! DAGs and their versions.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rota_core::id::{DagId, DagVersion};
use rota_core::port::{
    Actor, CursorMove, DagIntents, DagReads, DagRow, DagSources, DagViews, StoreError, StoreResult,
};

use super::audit::{Entry, audit};
use super::cells::{Cells, decode, decode_opt};
use super::rowset::json;
use super::{Conn, Store, all_changed, failed, micros, write_failed};

macro_rules! dag_columns {
    () => {
        "dag, version, path, hash, paused, present, cursor, next_slot, updated_at"
    };
}

fn dag_row(cells: &mut Cells<'_>) -> StoreResult<DagRow> {
    Ok(DagRow {
        dag: cells.text(DagId::trusted)?,
        version: DagVersion(cells.take()?),
        path: cells.take()?,
        hash: cells.take()?,
        paused: cells.take()?,
        present: cells.take()?,
        cursor: cells.at_opt()?,
        next_slot: cells.at_opt()?,
        updated_at: cells.at()?,
    })
}

#[async_trait]
impl DagReads for Store {
    async fn dags_load(&self) -> StoreResult<Vec<DagRow>> {
        call!(self.read(), |conn, _now| dags_load(conn))
    }
}

const DAGS_LOAD: &str = concat!("select ", dag_columns!(), " from dag order by dag");

async fn dags_load(conn: &mut Conn) -> StoreResult<Vec<DagRow>> {
    decode(&sqlx::query(DAGS_LOAD).fetch_all(conn).await.map_err(failed)?, dag_row)
}

#[async_trait]
impl DagSources for Store {
    async fn version_source(&self, dag: &DagId, version: DagVersion) -> StoreResult<String> {
        call!(self.read(dag, version), |conn, _now| version_source(conn, &dag, *version))
    }
}

const VERSION_SOURCE: &str = "select source from dag_version where dag = $1 and version = $2";

async fn version_source(conn: &mut Conn, dag: &DagId, version: DagVersion) -> StoreResult<String> {
    let query = sqlx::query(VERSION_SOURCE).bind(dag.as_str()).bind(version.0);
    let row = query.fetch_optional(conn).await.map_err(failed)?;
    let row = row.ok_or_else(|| StoreError::NotFound(format!("DAG {dag} version {version}")))?;
    Cells::of(&row).take()
}

#[async_trait]
impl DagViews for Store {
    async fn view_dag(&self, dag: &DagId) -> StoreResult<Option<DagRow>> {
        call!(self.view(dag), |conn, _now| view_dag(conn, &dag))
    }

    async fn view_source(
        &self,
        dag: &DagId,
        version: DagVersion,
    ) -> StoreResult<Option<(String, DateTime<Utc>)>> {
        call!(self.view(dag, version), |conn, _now| view_source(conn, &dag, *version))
    }
}

const VIEW_DAG: &str = concat!("select ", dag_columns!(), " from dag where dag = $1");

async fn view_dag(conn: &mut Conn, dag: &DagId) -> StoreResult<Option<DagRow>> {
    let row = sqlx::query(VIEW_DAG).bind(dag.as_str()).fetch_optional(conn).await.map_err(failed)?;
    decode_opt(row.as_ref(), dag_row)
}

const VIEW_SOURCE: &str = "select source, created_at from dag_version where dag = $1 and version = $2";

async fn view_source(
    conn: &mut Conn,
    dag: &DagId,
    version: DagVersion,
) -> StoreResult<Option<(String, DateTime<Utc>)>> {
    let query = sqlx::query(VIEW_SOURCE).bind(dag.as_str()).bind(version.0);
    let row = query.fetch_optional(conn).await.map_err(failed)?;
    decode_opt(row.as_ref(), |cells| Ok((cells.take()?, cells.at()?)))
}

#[async_trait]
impl DagIntents for Store {
    async fn dag_pause(&self, dag: &DagId, paused: bool, actor: &Actor) -> StoreResult<bool> {
        call!(self.intend(dag, paused, actor), |conn, now| dag_pause(conn, now, (&dag, *paused), &actor))
    }
}

const DAG_PAUSE: &str = "update dag set paused = $2 where dag = $1 and paused <> $2";
const DAG_EXISTS: &str = "select 1 from dag where dag = $1";

async fn dag_pause(
    conn: &mut Conn,
    now: DateTime<Utc>,
    change: (&DagId, bool),
    actor: &Actor,
) -> StoreResult<bool> {
    let (dag, paused) = change;
    let exists = sqlx::query(DAG_EXISTS).bind(dag.as_str()).fetch_optional(&mut *conn).await;
    if exists.map_err(failed)?.is_none() {
        return Err(StoreError::NotFound(format!("DAG {dag}")));
    }
    let update = sqlx::query(DAG_PAUSE).bind(dag.as_str()).bind(paused).execute(&mut *conn).await;
    let has_changed = update.map_err(write_failed)?.rows_affected() > 0;
    let action = if paused { "dag_pause" } else { "dag_unpause" };
    let outcome = (!has_changed).then(|| "it was so already".to_owned());
    audit(conn, Entry { now, actor, action, subject: dag.to_string(), outcome, intent: None }).await?;
    Ok(has_changed)
}

rowset! {
    /// A cursor's step.
    CursorStep<'a> in cursor_steps {
        dag: &'a DagId as text,
        moved_from: Option<i64> as bigint,
        moved_to: i64 as bigint,
        next_slot: Option<i64> as bigint,
    }
}

const CURSORS_MOVE: &str = concat!(
    "update dag set cursor = item.moved_to, next_slot = item.next_slot
     from ",
    cursor_steps!(),
    " where dag.dag = item.dag and dag.cursor is not distinct from item.moved_from"
);

pub(crate) async fn cursors_move(conn: &mut Conn, moves: &[CursorMove]) -> StoreResult<()> {
    if moves.is_empty() {
        return Ok(());
    }
    let items = json(moves.iter().map(|step| CursorStep {
        dag: &step.dag,
        moved_from: step.from.map(micros),
        moved_to: micros(step.to),
        next_slot: step.next_slot.map(micros),
    }));
    let done = sqlx::query(CURSORS_MOVE).bind(items).execute(conn).await.map_err(write_failed)?;
    all_changed("cursors to move", moves.len(), done.rows_affected())
}
