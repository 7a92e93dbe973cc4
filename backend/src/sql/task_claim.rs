//! A worker's side of an attempt: claim it, record how it ended, keep what it printed.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rota_core::id::{
    AttemptKey, ClaimToken, DagId, DagVersion, Incarnation, QueueName, RunId, TaskName, TaskNo, WorkerId,
};
use rota_core::port::{ClaimRequest, Claimed, Finish, GivingBack, LogChunk, Object, StoreError, StoreResult};
use rota_core::state::TaskState;

use super::super::task_path::finish;
use super::cells::{Cells, attempt_key, decode};
use super::rowset::{attempts_json, claims_json, ids_json, json, json_of, names_json};
use super::task_late;
use super::{Conn, Row, clean, failed, limit, micros, write_failed};

const TASKS_QUEUED: &str = concat!(
    "select run, task_no, map_index, attempt from task
     where state = 'queued' and queue in (select item.name from ",
    names!(),
    ") order by priority desc, queued_at, run, task_no, map_index limit $2"
);

pub(crate) async fn tasks_queued(
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
    let recorded = recorded_load(conn, &finishes_json(now, finishes)).await?;
    let late: Vec<Finish> =
        finishes.iter().filter(|finish| !recorded.contains(&finish.token)).cloned().collect();
    if late.is_empty() {
        return Ok(Vec::new());
    }
    let counting = task_late::take_over(&mut *conn, now, &late).await?;
    task_late::note(conn, &late, &counting).await?;
    let too_late = late.iter().filter(|finish| !counting.contains(&finish.key));
    Ok(too_late.map(|finish| finish.key).collect())
}

/// The row in this table of the attempt and claim that an item names.
macro_rules! is_claim {
    ($table:literal) => {
        concat!(
            " where ",
            $table,
            ".run = item.run and ",
            $table,
            ".task_no = item.task_no
                 and ",
            $table,
            ".map_index = item.map_index and ",
            $table,
            ".attempt = item.attempt
                 and ",
            $table,
            ".claim_token = item.claim_token"
        )
    };
}
pub(crate) use is_claim;

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

pub(crate) async fn tasks_give_back(conn: &mut Conn, giving: &GivingBack) -> StoreResult<Vec<AttemptKey>> {
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

const fn is_outcome(state: TaskState) -> bool {
    matches!(state, TaskState::Success | TaskState::Failed | TaskState::Cancelled)
}

rowset! {
    /// How an attempt ended. Its process's end (`ended_at`) is told by the worker's clock; the row's `finished_at` by the
    /// store's, where the two disagree: neither before the claim nor in the future.
    FinishItem<'a> in finishes {
        run: RunId as bigint,
        task_no: TaskNo as bigint,
        map_index: u32 as bigint,
        attempt: u32 as bigint,
        claim_token: ClaimToken as bigint,
        state: TaskState as text,
        finished_at: i64 as bigint,
        spawned_at: Option<i64> as bigint,
        ended_at: i64 as bigint,
        exit_code: Option<i32> as bigint,
        signal: Option<i32> as bigint,
        error: Option<Cow<'a, str>> as text,
        outputs: Option<String> as text,
    }
}
#[expect(
    clippy::single_component_path_imports,
    reason = "`rowset!` makes a macro of that name, which the lint does not see"
)]
pub(crate) use finishes;

pub(crate) fn finishes_json(now: DateTime<Utc>, finishes: &[Finish]) -> String {
    json(finishes.iter().map(|finish| FinishItem {
        run: finish.key.task.run,
        task_no: finish.key.task.task,
        map_index: finish.key.task.index,
        attempt: finish.key.attempt,
        claim_token: finish.token,
        state: finish.state,
        finished_at: micros(finish.ended_at.min(now)),
        spawned_at: finish.spawned_at.map(micros),
        ended_at: micros(finish.ended_at),
        exit_code: finish.exit_code,
        signal: finish.signal,
        error: finish.error.as_deref().map(clean),
        outputs: finish.outputs.as_ref().map(json_of),
    }))
}

const RECORDED: &str = concat!(
    "select task.claim_token from task, ",
    finishes!(),
    is_claim!("task"),
    " and task.ended_at = item.ended_at
         and (task.state = item.state or item.state = 'failed' and task.state in ('up_for_retry', 'cancelled'))
     union all
     select task_attempt.claim_token from task_attempt, ",
    finishes!(),
    is_claim!("task_attempt"),
    " and task_attempt.ended_at = item.ended_at and task_attempt.state = item.state
     union all
     select task_attempt.claim_token from task_attempt, task as next, ",
    finishes!(),
    is_claim!("task_attempt"),
    " and next.run = task_attempt.run and next.task_no = task_attempt.task_no
         and next.map_index = task_attempt.map_index
         and next.attempt = task_attempt.attempt + 1 and next.claim_token is null
         and next.state = item.state and next.ended_at = item.ended_at"
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
     where run = $2 and state = 'success' and outputs is not null
         and task_no in (select item.id from ",
    ids!(),
    ") order by task_no, map_index"
);

pub(crate) async fn outputs_load(
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

rowset! {
    /// A piece of an attempt's log.
    ChunkItem<'a> in chunks {
        run: RunId as bigint,
        task_no: TaskNo as bigint,
        map_index: u32 as bigint,
        attempt: u32 as bigint,
        seq: u32 as bigint,
        body: Cow<'a, str> as text,
    }
}

const LOG_APPEND: &str = concat!(
    "insert into log_chunk (run, task_no, map_index, attempt, seq, body)
     select item.run, item.task_no, item.map_index, item.attempt, item.seq, item.body from ",
    chunks!(),
    " where true on conflict do nothing"
);

pub(crate) async fn log_append(conn: &mut Conn, chunks: &[LogChunk]) -> StoreResult<()> {
    let items = json(chunks.iter().map(|chunk| ChunkItem {
        run: chunk.key.task.run,
        task_no: chunk.key.task.task,
        map_index: chunk.key.task.index,
        attempt: chunk.key.attempt,
        seq: chunk.seq,
        body: clean(&chunk.text),
    }));
    sqlx::query(LOG_APPEND).bind(items).execute(conn).await.map(drop).map_err(write_failed)
}
