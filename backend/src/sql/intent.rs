//! What people ask of runs. Every verb leaves one row in the audit log, in the same transaction.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rota_core::id::{DagId, DagVersion, IntentId, RunId};
use rota_core::port::{
    Actor, Intent, IntentKind, IntentPlans, RunIntents, RunRow, StoreError, StoreResult, TriggerRequest,
    Triggered,
};

use super::audit::{Entry, audit};
use super::cells::{Cells, decode, decode_opt};
use super::rowset::{json, json_of};
use super::run::{run_columns, run_load, run_row};
use super::run_views::run_by_key;
use super::{Conn, Store, all_changed, failed, limit, micros, write_failed};

#[async_trait]
impl RunIntents for Store {
    async fn run_trigger(&self, request: &TriggerRequest, actor: &Actor) -> StoreResult<Triggered> {
        call!(self.intend(request, actor), |conn, now| run_trigger(conn, now, &request, &actor))
    }

    async fn intent_add(&self, run: RunId, kind: &IntentKind, actor: &Actor) -> StoreResult<IntentId> {
        call!(self.intend(run, kind, actor), |conn, now| intent_add(conn, now, (*run, &kind), &actor))
    }
}

const VERSION_OF_PRESENT_DAG: &str = "
    select v.version from dag as d join dag_version as v on v.dag = d.dag and v.version = $2
    where d.dag = $1 and d.present = $3";

const RUN_INSERT: &str = concat!(
    "insert into run (dag, version, trigger_kind, state, params, idempotency_key, created_at)
     values ($1, $2, 'manual', 'queued', $3, $4, $5)
     on conflict do nothing returning ",
    run_columns!()
);

async fn run_trigger(
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

const INTENT_INSERT: &str =
    "insert into intent (run, kind, actor, created_at) values ($1, $2, $3, $4) returning id";

async fn intent_add(
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

#[async_trait]
impl IntentPlans for Store {
    async fn intents_pending(&self, limit: usize) -> StoreResult<Vec<Intent>> {
        call!(self.plan_read(limit), |conn, _now| intents_pending(conn, *limit))
    }
}

const INTENTS_PENDING: &str =
    "select id, run, kind, actor, created_at from intent where done_at is null order by id limit $1";

async fn intents_pending(conn: &mut Conn, rows_max: usize) -> StoreResult<Vec<Intent>> {
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

rowset! {
    /// What came of an intent.
    IntentDone<'a> in intents_closed {
        intent: IntentId as bigint,
        outcome: &'a str as text,
    }
}

const INTENTS_DONE: &str = concat!(
    "update intent set done_at = $2, outcome = item.outcome
     from ",
    intents_closed!(),
    " where intent.id = item.intent and intent.done_at is null"
);

pub(crate) async fn intents_done(
    conn: &mut Conn,
    now: DateTime<Utc>,
    done: &[(IntentId, String)],
) -> StoreResult<()> {
    if done.is_empty() {
        return Ok(());
    }
    let items = json(done.iter().map(|(intent, outcome)| IntentDone { intent: *intent, outcome }));
    let query = sqlx::query(INTENTS_DONE).bind(items).bind(micros(now));
    let changed = query.execute(conn).await.map_err(write_failed)?;
    all_changed("intents to close", done.len(), changed.rows_affected())
}
