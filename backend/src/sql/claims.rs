//! A worker's side of an attempt: claim it, record how it ended, keep what it printed.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rota_core::id::{
    AttemptKey, ClaimToken, DagId, DagVersion, Incarnation, QueueName, RunId, TaskName, TaskNo, WorkerId,
};
use rota_core::port::{ClaimRequest, Claimed, Finish, GivingBack, LogChunk, Object, StoreError, StoreResult};
use rota_core::state::TaskState;

use super::super::hot::finish;
use super::late;
use super::rows::{Cells, attempt_key, decode};
use super::{Conn, Row, attempt_json, clean, failed, json, limit, micros, write_failed};

const TASKS_QUEUED: &str = concat!(
    "select run, task_no, map_index, attempt from task
     where state = 'queued' and queue in (select item.value ->> 0 from ",
    each!("$1"),
    ") order by priority desc, queued_at, run, task_no, map_index limit $2"
);

pub(crate) async fn tasks_queued(
    conn: &mut Conn,
    queues: &[QueueName],
    rows_max: usize,
) -> StoreResult<Vec<AttemptKey>> {
    let query =
        sqlx::query(TASKS_QUEUED).bind(json(queues.iter().map(|queue| [queue]))).bind(limit(rows_max));
    decode(&query.fetch_all(conn).await.map_err(failed)?, attempt_key)
}

const LEASE_CHECK: &str = concat!(
    "select 1 from worker where incarnation = $1 and id = $2 and state = 'live' and lease_until > ",
    clock!("$3"),
    held!()
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
             select cast(item.value ->> 0 as bigint), cast(item.value ->> 1 as bigint),
                 cast(item.value ->> 2 as bigint), cast(item.value ->> 3 as bigint)
             from ",
    each!("$1"),
    ") order by t.claim_token"
);

pub(crate) async fn claimed_load(conn: &mut Conn, request: &ClaimRequest) -> StoreResult<Vec<Claimed>> {
    let query = sqlx::query(CLAIMED_LOAD)
        .bind(attempt_json(&request.keys))
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
pub(crate) fn claimed_row(
    cells: &mut Cells<'_>,
    params_of: &mut HashMap<RunId, Object>,
) -> StoreResult<Claimed> {
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

/// Records outcomes (the statement is the adapter's). Returns those that nobody waits for any more: the token is not the
/// current one, or the attempt has ended otherwise.
pub(crate) async fn tasks_finish(
    conn: &mut Conn,
    now: DateTime<Utc>,
    finishes: &[Finish],
) -> StoreResult<Vec<AttemptKey>> {
    if let Some(odd) = finishes.iter().find(|finish| !is_outcome(finish.state)) {
        return Err(StoreError::Refused(format!("{} is no outcome of attempt {}", odd.state, odd.key)));
    }
    if finish(conn, now, finishes).await? == finishes.len() as u64 {
        return Ok(Vec::new());
    }
    let recorded = recorded_load(conn, &finish_json(now, finishes)).await?;
    let late: Vec<Finish> =
        finishes.iter().filter(|finish| !recorded.contains(&finish.token)).cloned().collect();
    if late.is_empty() {
        return Ok(Vec::new());
    }
    let counting = late::take_over(conn, now, &finish_json(now, &late)).await?;
    late::note(conn, &late, &counting).await?;
    let too_late = late.iter().filter(|finish| !counting.contains(&finish.key));
    Ok(too_late.map(|finish| finish.key).collect())
}

/// The row, as `t`, of the attempt and claim that an item names in its first five places.
macro_rules! is_claim {
    () => {
        " where t.run = cast(item.value ->> 0 as bigint)
             and t.task_no = cast(item.value ->> 1 as bigint)
             and t.map_index = cast(item.value ->> 2 as bigint)
             and t.attempt = cast(item.value ->> 3 as bigint)
             and t.claim_token = cast(item.value ->> 4 as bigint)"
    };
}
pub(super) use is_claim;

/// A cancelled attempt must not begin anew elsewhere: its worker ends it.
const GIVE_BACK: &str = concat!(
    "update task as t set
         state = 'queued', started_at = null, worker = null, incarnation = null, claim_token = null, claim_nonce = null
     from ",
    each!("$1"),
    is_claim!(),
    " and t.state = 'running' and not t.cancel_requested"
);

const KEPT: &str = concat!(
    "select t.run, t.task_no, t.map_index, t.attempt from task as t, ",
    each!("$1"),
    is_claim!(),
    " and t.state = 'running' order by 1, 2, 3"
);

/// Held as for a claim: whoever wants to end this life waits, and then finds nothing of what was given back.
const LIFE_CHECK: &str = concat!(
    "select 1 from worker where incarnation = $1 and id = $2 and state in ('live', 'draining')",
    held!()
);

pub(crate) async fn tasks_give_back(conn: &mut Conn, giving: &GivingBack) -> StoreResult<Vec<AttemptKey>> {
    let GivingBack { worker, incarnation, claims } = giving;
    let life = sqlx::query(LIFE_CHECK).bind(incarnation.0).bind(worker.as_str());
    if life.fetch_optional(&mut *conn).await.map_err(failed)?.is_none() {
        return Err(StoreError::Conflict(format!(
            "worker {worker}, incarnation {incarnation}, was given up"
        )));
    }
    let items = json(
        claims
            .iter()
            .map(|(AttemptKey { task, attempt }, token)| (task.run, task.task, task.index, attempt, token)),
    );
    let given =
        sqlx::query(GIVE_BACK).bind(items.as_str()).execute(&mut *conn).await.map_err(write_failed)?;
    if given.rows_affected() == claims.len() as u64 {
        return Ok(Vec::new());
    }
    decode(&sqlx::query(KEPT).bind(items).fetch_all(conn).await.map_err(failed)?, attempt_key)
}

const fn is_outcome(state: TaskState) -> bool {
    matches!(state, TaskState::Success | TaskState::Failed | TaskState::Cancelled)
}

/// The process's end is told by the worker's clock; the row's `finished_at` by the store's, where the two disagree:
/// neither before the claim nor in the future.
pub(crate) fn finish_json(now: DateTime<Utc>, finishes: &[Finish]) -> String {
    let rows: Vec<serde_json::Value> = finishes
        .iter()
        .map(|finish| {
            let AttemptKey { task, attempt } = finish.key;
            serde_json::json!([
                task.run,
                task.task,
                task.index,
                attempt,
                finish.token,
                finish.state,
                micros(finish.ended_at.min(now)),
                finish.spawned_at.map(micros),
                micros(finish.ended_at),
                finish.exit_code,
                finish.signal,
                finish.error.as_deref().map(clean),
                finish.outputs.as_ref().map(super::json_of),
            ])
        })
        .collect();
    super::json_of(&rows)
}

const RECORDED: &str = concat!(
    "select t.claim_token from task as t, ",
    each!("$1"),
    is_claim!(),
    " and t.ended_at = cast(item.value ->> 8 as bigint)
         and (t.state = item.value ->> 5 or item.value ->> 5 = 'failed' and t.state in ('up_for_retry', 'cancelled'))
     union all
     select t.claim_token from task_attempt as t, ",
    each!("$1"),
    is_claim!(),
    " and t.ended_at = cast(item.value ->> 8 as bigint)
         and t.state = item.value ->> 5
     union all
     select t.claim_token from task_attempt as t, task as next, ",
    each!("$1"),
    is_claim!(),
    " and next.run = t.run and next.task_no = t.task_no and next.map_index = t.map_index
         and next.attempt = t.attempt + 1 and next.claim_token is null
         and next.state = item.value ->> 5 and next.ended_at = cast(item.value ->> 8 as bigint)"
);

/// The tokens of those finishes that are recorded just so, now or by an earlier call, with their attempt or by the
/// task that took a late one over. Only a finish sets `ended_at`; a recorded failure may have been planned for a retry
/// since.
async fn recorded_load(conn: &mut Conn, items: &str) -> StoreResult<Vec<ClaimToken>> {
    let rows = sqlx::query(RECORDED).bind(items).fetch_all(conn).await.map_err(failed)?;
    decode(&rows, |cells| Ok(ClaimToken(cells.take()?)))
}

const OUTPUTS_LOAD: &str = concat!(
    "select task_no, map_index, outputs from task
     where run = $1 and state = 'success' and outputs is not null
         and task_no in (select cast(item.value ->> 0 as bigint) from ",
    each!("$2"),
    ") order by task_no, map_index"
);

pub(crate) async fn outputs_load(
    conn: &mut Conn,
    run: RunId,
    tasks: &[TaskNo],
) -> StoreResult<Vec<(TaskNo, u32, Object)>> {
    let query = sqlx::query(OUTPUTS_LOAD).bind(run.0).bind(json(tasks.iter().map(|task| [task])));
    decode(&query.fetch_all(conn).await.map_err(failed)?, |cells| {
        Ok((TaskNo(cells.number()?), cells.number()?, cells.json()?))
    })
}

const LOG_APPEND: &str = concat!(
    "insert into log_chunk (run, task_no, map_index, attempt, seq, body)
     select cast(item.value ->> 0 as bigint), cast(item.value ->> 1 as bigint), cast(item.value ->> 2 as bigint),
         cast(item.value ->> 3 as bigint), cast(item.value ->> 4 as bigint), item.value ->> 5
     from ",
    each!("$1"),
    " where true on conflict do nothing"
);

pub(crate) async fn log_append(conn: &mut Conn, chunks: &[LogChunk]) -> StoreResult<()> {
    let items = json(chunks.iter().map(|chunk| {
        let AttemptKey { task, attempt } = chunk.key;
        (task.run, task.task, task.index, attempt, chunk.seq, clean(&chunk.text))
    }));
    sqlx::query(LOG_APPEND).bind(items).execute(conn).await.map(drop).map_err(write_failed)
}
