//! A worker's side of an attempt up to its start: what is queued, the claim, what earlier tasks left for it.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rota_core::id::{
    AttemptKey, ClaimToken, DagId, DagVersion, Incarnation, QueueName, RunId, TaskName, TaskNo, WorkerId,
};
use rota_core::port::{
    ClaimRequest, Claimed, Finish, GivingBack, Object, StoreError, StoreResult, TaskFacts,
};

use super::super::task_path::tasks_claim;
use super::cells::{Cells, decode};
use super::rowset::{attempts_json, claims_json, ids_json, names_json};
use super::task::attempt_key;
use super::task_finish::tasks_finish;
use super::task_outcome::is_claim;
use super::{Conn, Row, Store, failed, limit, micros, write_failed};

#[async_trait]
impl TaskFacts for Store {
    async fn tasks_queued(&self, queues: &[QueueName], limit: usize) -> StoreResult<Vec<AttemptKey>> {
        call!(self.fact_read(queues, limit), |conn, _now| tasks_queued(conn, &queues, *limit))
    }

    async fn tasks_claim(&self, request: &ClaimRequest) -> StoreResult<Vec<Claimed>> {
        call!(self.fact(request), |conn, now| tasks_claim(conn, now, &request))
    }

    async fn tasks_finish(&self, finishes: &[Finish]) -> StoreResult<Vec<AttemptKey>> {
        if finishes.is_empty() {
            return Ok(Vec::new());
        }
        call!(self.fact(finishes), |conn, now| tasks_finish(conn, now, &finishes))
    }

    async fn tasks_give_back(&self, giving: &GivingBack) -> StoreResult<Vec<AttemptKey>> {
        call!(self.fact(giving), |conn, _now| tasks_give_back(conn, &giving))
    }

    async fn outputs_load(&self, run: RunId, tasks: &[TaskNo]) -> StoreResult<Vec<(TaskNo, u32, Object)>> {
        call!(self.fact_read(run, tasks), |conn, _now| outputs_load(conn, *run, &tasks))
    }
}

const TASKS_QUEUED: &str = concat!(
    "select run, task_no, map_index, attempt from task
     where state = 'queued' and queue in (select item.name from ",
    names!(),
    ") order by priority desc, queued_at, run, task_no, map_index limit $2"
);

async fn tasks_queued(
    conn: &mut Conn,
    queues: &[QueueName],
    rows_max: usize,
) -> StoreResult<Vec<AttemptKey>> {
    let queues = names_json(queues.iter().map(QueueName::as_str));
    let query = sqlx::query(TASKS_QUEUED).bind(queues).bind(limit(rows_max));
    decode(&query.fetch_all(conn).await.map_err(failed)?, attempt_key)
}

const LEASE_CHECK: &str = concat!(
    "select 1 from worker where incarnation = $1 and id = $2 and state = 'live' and lease_until > ",
    clock!("$3"),
    for_key_share!()
);

pub(crate) async fn lease_check(
    conn: &mut Conn,
    now: DateTime<Utc>,
    worker: &WorkerId,
    incarnation: Incarnation,
) -> StoreResult<()> {
    let query = sqlx::query(LEASE_CHECK).bind(incarnation.0).bind(worker.as_str()).bind(micros(now));
    if query.fetch_optional(conn).await.map_err(failed)?.is_some() {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("worker {worker}, incarnation {incarnation}, has no live lease")))
}

pub(crate) fn nonce_bytes(request: &ClaimRequest) -> Vec<u8> {
    request.nonce.to_be_bytes().to_vec()
}

const CLAIMED_LOAD: &str = concat!(
    "select t.run, t.task_no, t.map_index, t.attempt, t.claim_token, t.name, r.dag, r.version, d.path, r.slot,
         r.interval_start, r.created_at, r.params
     from task as t join run as r on r.id = t.run join dag as d on d.dag = r.dag
     where t.state = 'running' and t.incarnation = $2 and t.claim_nonce = $3
         and (t.run, t.task_no, t.map_index, t.attempt) in (
             select item.run, item.task_no, item.map_index, item.attempt from ",
    attempts!(),
    ") order by t.claim_token"
);

pub(crate) async fn claimed_load(conn: &mut Conn, request: &ClaimRequest) -> StoreResult<Vec<Claimed>> {
    let query = sqlx::query(CLAIMED_LOAD)
        .bind(attempts_json(&request.keys))
        .bind(request.incarnation.0)
        .bind(nonce_bytes(request));
    claimed_rows(&query.fetch_all(conn).await.map_err(failed)?)
}

/// Rows with the columns of [`CLAIMED_LOAD`].
pub(crate) fn claimed_rows(rows: &[Row]) -> StoreResult<Vec<Claimed>> {
    let mut params_of: HashMap<RunId, Object> = HashMap::new();
    rows.iter().map(|row| claimed_row(&mut Cells::of(row), &mut params_of)).collect()
}

/// Tasks of one run are claimed together more often than not, so its parameters are parsed once.
fn claimed_row(cells: &mut Cells<'_>, params_of: &mut HashMap<RunId, Object>) -> StoreResult<Claimed> {
    let key = attempt_key(cells)?;
    Ok(Claimed {
        key,
        token: ClaimToken(cells.take()?),
        name: cells.text(TaskName::trusted)?,
        dag: cells.text(DagId::trusted)?,
        version: DagVersion(cells.take()?),
        path: cells.take()?,
        slot: cells.at_opt()?,
        interval_start: cells.at_opt()?,
        created_at: cells.at()?,
        params: match params_of.get(&key.task.run) {
            Some(params) => params.clone(),
            None => params_of.entry(key.task.run).or_insert(cells.json()?).clone(),
        },
    })
}

/// A cancelled attempt must not begin anew elsewhere: its worker ends it.
const GIVE_BACK: &str = concat!(
    "update task set
         state = 'queued', started_at = null, worker = null, incarnation = null, claim_token = null, claim_nonce = null
     from ",
    claims!(),
    is_claim!("task"),
    " and task.state = 'running' and not task.cancel_requested"
);

const KEPT: &str = concat!(
    "select task.run, task.task_no, task.map_index, task.attempt from task, ",
    claims!(),
    is_claim!("task"),
    " and task.state = 'running' order by 1, 2, 3"
);

/// Held as for a claim: whoever wants to end this life waits, and then finds nothing of what was given back.
const LIFE_CHECK: &str = concat!(
    "select 1 from worker where incarnation = $1 and id = $2 and state in ('live', 'draining')",
    for_key_share!()
);

async fn tasks_give_back(conn: &mut Conn, giving: &GivingBack) -> StoreResult<Vec<AttemptKey>> {
    let GivingBack { worker, incarnation, claims } = giving;
    let life = sqlx::query(LIFE_CHECK).bind(incarnation.0).bind(worker.as_str());
    if life.fetch_optional(&mut *conn).await.map_err(failed)?.is_none() {
        return Err(StoreError::Conflict(format!(
            "worker {worker}, incarnation {incarnation}, was given up"
        )));
    }
    let items = claims_json(claims.iter().copied());
    let given =
        sqlx::query(GIVE_BACK).bind(items.as_str()).execute(&mut *conn).await.map_err(write_failed)?;
    if given.rows_affected() == claims.len() as u64 {
        return Ok(Vec::new());
    }
    decode(&sqlx::query(KEPT).bind(items).fetch_all(conn).await.map_err(failed)?, attempt_key)
}

const OUTPUTS_LOAD: &str = concat!(
    "select task_no, map_index, outputs from task
     where run = $2 and state = 'success' and outputs is not null
         and task_no in (select item.id from ",
    ids!(),
    ") order by task_no, map_index"
);

async fn outputs_load(
    conn: &mut Conn,
    run: RunId,
    tasks: &[TaskNo],
) -> StoreResult<Vec<(TaskNo, u32, Object)>> {
    let tasks = ids_json(tasks.iter().map(|task| i64::from(task.0)));
    let query = sqlx::query(OUTPUTS_LOAD).bind(tasks).bind(run.0);
    decode(&query.fetch_all(conn).await.map_err(failed)?, |cells| {
        Ok((TaskNo(cells.number()?), cells.number()?, cells.json()?))
    })
}
