//! What people write. Every verb leaves one row in the audit log, in the same transaction.

use chrono::{DateTime, Utc};
use rota_core::id::{DagId, DagVersion, IntentId, RunId, WorkerId};
use rota_core::port::{
    Actor, Intent, IntentKind, RunRow, StoreError, StoreResult, TriggerRequest, Triggered,
};

use super::audit::{Entry, audit};
use super::cells::{Cells, decode, decode_opt, run_columns, run_row};
use super::rowset::json_of;
use super::run::run_load;
use super::{Conn, failed, limit, micros, write_failed};

const VERSION_OF_PRESENT_DAG: &str = "
    select v.version from dag as d join dag_version as v on v.dag = d.dag and v.version = $2
    where d.dag = $1 and d.present = $3";

const RUN_INSERT: &str = concat!(
    "insert into run (dag, version, trigger_kind, state, params, idempotency_key, created_at)
     values ($1, $2, 'manual', 'queued', $3, $4, $5)
     on conflict do nothing returning ",
    run_columns!()
);

const RUN_BY_KEY: &str =
    concat!("select ", run_columns!(), " from run where dag = $1 and idempotency_key = $2");

pub(crate) async fn run_trigger(
    conn: &mut Conn,
    now: DateTime<Utc>,
    request: &TriggerRequest,
    actor: &Actor,
) -> StoreResult<Triggered> {
    dag_version_exists(conn, &request.dag, request.version).await?;
    let insert = sqlx::query(RUN_INSERT)
        .bind(request.dag.as_str())
        .bind(request.version.0)
        .bind(json_of(&request.params))
        .bind(request.idempotency_key.as_deref())
        .bind(micros(now));
    let row = insert.fetch_optional(&mut *conn).await.map_err(write_failed)?;
    let triggered = match decode_opt(row.as_ref(), run_row)? {
        Some(run) => Triggered { run, created: true },
        None => Triggered { run: run_of(conn, request).await?, created: false },
    };
    let word = if triggered.created { "run" } else { "found run" };
    let outcome = Some(format!("{word} {}", triggered.run.id));
    let subject = request.dag.to_string();
    audit(conn, Entry { now, actor, action: "run_trigger", subject, outcome, intent: None }).await?;
    Ok(triggered)
}

async fn dag_version_exists(conn: &mut Conn, dag: &DagId, version: DagVersion) -> StoreResult<()> {
    let query = sqlx::query(VERSION_OF_PRESENT_DAG).bind(dag.as_str()).bind(version.0).bind(true);
    let found = query.fetch_optional(conn).await.map_err(failed)?;
    found.map(drop).ok_or_else(|| StoreError::NotFound(format!("DAG {dag} version {version}")))
}

/// The run that stood in the way of a new one: it has the same key.
async fn run_of(conn: &mut Conn, request: &TriggerRequest) -> StoreResult<RunRow> {
    let key = request.idempotency_key.as_deref().unwrap_or_default();
    let run = run_by_key(conn, &request.dag, key).await?;
    run.ok_or_else(|| {
        StoreError::Conflict(format!("the run of DAG {} with this key has just gone", request.dag))
    })
}

pub(crate) async fn run_by_key(conn: &mut Conn, dag: &DagId, key: &str) -> StoreResult<Option<RunRow>> {
    let query = sqlx::query(RUN_BY_KEY).bind(dag.as_str()).bind(key);
    decode_opt(query.fetch_optional(conn).await.map_err(failed)?.as_ref(), run_row)
}

const DAG_PAUSE: &str = "update dag set paused = $2 where dag = $1 and paused <> $2";
const DAG_EXISTS: &str = "select 1 from dag where dag = $1";

pub(crate) async fn dag_pause(
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

const INTENT_INSERT: &str =
    "insert into intent (run, kind, actor, created_at) values ($1, $2, $3, $4) returning id";

pub(crate) async fn intent_add(
    conn: &mut Conn,
    now: DateTime<Utc>,
    wish: (RunId, &IntentKind),
    actor: &Actor,
) -> StoreResult<IntentId> {
    let (run, kind) = wish;
    let Some(row) = run_load(conn, run).await? else {
        return Err(StoreError::NotFound(format!("run {run}")));
    };
    if let Some(why) = kind.refusal(run, row.state) {
        return Err(StoreError::Refused(why));
    }
    let query = sqlx::query(INTENT_INSERT)
        .bind(run.0)
        .bind(json_of(kind))
        .bind(actor.name.as_str())
        .bind(micros(now));
    let inserted = query.fetch_one(&mut *conn).await.map_err(write_failed)?;
    let id = IntentId(Cells::of(&inserted).take()?);
    let action = match kind {
        IntentKind::Cancel => "run_cancel",
        IntentKind::Retry(_) => "run_retry",
    };
    audit(conn, Entry { now, actor, action, subject: run.to_string(), outcome: None, intent: Some(id) })
        .await?;
    Ok(id)
}

const INTENTS_PENDING: &str =
    "select id, run, kind, actor, created_at from intent where done_at is null order by id limit $1";

pub(crate) async fn intents_pending(conn: &mut Conn, rows_max: usize) -> StoreResult<Vec<Intent>> {
    let rows = sqlx::query(INTENTS_PENDING).bind(limit(rows_max)).fetch_all(conn).await.map_err(failed)?;
    decode(&rows, |cells| {
        Ok(Intent {
            id: IntentId(cells.take()?),
            run: RunId(cells.take()?),
            kind: cells.json()?,
            actor: cells.take()?,
            created_at: cells.at()?,
        })
    })
}

const WORKER_DRAIN: &str = "
    update worker set drain_requested = $2 where id = $1 and state in ('live', 'draining') and drain_requested <> $2";
const WORKER_LIVES: &str = "select 1 from worker where id = $1 and state in ('live', 'draining')";

pub(crate) async fn worker_drain(
    conn: &mut Conn,
    now: DateTime<Utc>,
    worker: &WorkerId,
    actor: &Actor,
) -> StoreResult<bool> {
    let lives = sqlx::query(WORKER_LIVES).bind(worker.as_str()).fetch_optional(&mut *conn).await;
    if lives.map_err(failed)?.is_none() {
        return Err(StoreError::NotFound(format!("a live worker {worker}")));
    }
    let update = sqlx::query(WORKER_DRAIN).bind(worker.as_str()).bind(true).execute(&mut *conn).await;
    let has_changed = update.map_err(write_failed)?.rows_affected() > 0;
    let outcome = (!has_changed).then(|| "it was so already".to_owned());
    audit(
        conn,
        Entry { now, actor, action: "worker_drain", subject: worker.to_string(), outcome, intent: None },
    )
    .await?;
    Ok(has_changed)
}
