//! Results that come after their attempt was given up as lost. Whether they count is decided in core
//! ([`rota_core::late_result`]); here is where their tasks stand, and the writes that hold only as long as they stand there.
//!
//! Only a finish sets `ended_at`: an attempt that is over without one was lost.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use rota_core::id::{AttemptKey, ClaimToken, RunId, TaskKey, TaskNo};
use rota_core::late_result::{
    NOTE_MARK, Standing, TakenOver, note_of_counting, note_of_too_late, taken_over,
};
use rota_core::port::{Finish, StoreResult};
use rota_core::state::TaskState;

use super::cells::decode;
use super::rowset::json;
use super::task::attempt_key;
use super::task_outcome::{finishes, finishes_json, is_claim};
use super::{Conn, failed, micros, write_failed};

/// How often it is looked where tasks stand, when others move them between a look and the write that rests on it.
const LOOKS_MAX: usize = 3;

const STANDINGS: &str = concat!(
    "select item.claim_token, task.attempt, task.state, task.losses from task, ",
    finishes!(),
    " where task.run = item.run and task.task_no = item.task_no and task.map_index = item.map_index
         and (task.attempt = item.attempt and task.claim_token = item.claim_token and task.ended_at is null
             or exists (
                 select 1 from task_attempt as lost
                 where lost.run = item.run and lost.task_no = item.task_no and lost.map_index = item.map_index
                     and lost.attempt = item.attempt
                     and lost.claim_token = item.claim_token and lost.ended_at is null))"
);

/// Where the tasks of those results stand whose attempts were lost, by the tokens of these.
async fn standings(
    conn: &mut Conn,
    now: DateTime<Utc>,
    late: &[Finish],
) -> StoreResult<HashMap<ClaimToken, Standing>> {
    let query = sqlx::query(STANDINGS).bind(finishes_json(now, late));
    let rows = decode(&query.fetch_all(conn).await.map_err(failed)?, |cells| {
        let (token, attempt) = (ClaimToken(cells.take()?), cells.number()?);
        let (state, losses) = (cells.word(TaskState::parse)?, cells.number()?);
        Ok((token, Standing { attempt, state, losses }))
    })?;
    Ok(rows.into_iter().collect())
}

/// What a task takes over, but the instants of its start and end.
macro_rules! outcome {
    () => {
        "state = 'success', spawned_at = item.spawned_at, ended_at = item.ended_at, exit_code = item.exit_code,
         signal = null, outputs = item.outputs, retry_at = null"
    };
}

const TAKE_OVER_BY_LOST: &str = concat!(
    "update task set ",
    outcome!(),
    ", finished_at = case when task.started_at > item.finished_at then task.started_at else item.finished_at end,
       error = coalesce(task.error || '; ', '') || item.error
     from ",
    finishes!(),
    is_claim!("task"),
    " and task.state = 'up_for_retry' and task.ended_at is null
     returning task.run, task.task_no, task.map_index, task.attempt"
);

/// No two attempts of a task have one number, so it is the one that was looked at.
const TAKE_OVER_BY_NEXT: &str = concat!(
    "update task set ",
    outcome!(),
    ", started_at = $2, finished_at = $2, error = item.error
     from ",
    finishes!(),
    " where task.run = item.run and task.task_no = item.task_no and task.map_index = item.map_index
         and task.attempt = item.attempt + 1 and task.state = 'queued'
     returning task.run, task.task_no, task.map_index, task.attempt - 1"
);

/// Lets tasks take over what counts of late results; the attempts whose results count.
pub(crate) async fn take_over(
    conn: &mut Conn,
    now: DateTime<Utc>,
    late: &[Finish],
) -> StoreResult<BTreeSet<AttemptKey>> {
    let mut counting = BTreeSet::new();
    for _ in 0..LOOKS_MAX {
        let standings = standings(&mut *conn, now, late).await?;
        let (mut by_lost, mut by_next) = (Vec::new(), Vec::new());
        for finish in late {
            let Some(standing) = standings.get(&finish.token) else { continue };
            let attempt = finish.key.attempt;
            let Some(how) = taken_over(finish.state, attempt, *standing) else { continue };
            let taken = Finish { error: Some(how.words(attempt)), ..finish.clone() };
            match how {
                TakenOver::ByLost => by_lost.push(taken),
                TakenOver::ByNext => by_next.push(taken),
            }
        }
        let decided = by_lost.len() + by_next.len();
        let written = take_over_as_decided(&mut *conn, now, [by_lost, by_next]).await?;
        let is_all = written.len() == decided;
        counting.extend(written);
        if is_all {
            break;
        }
    }
    Ok(counting)
}

/// The attempts whose tasks still stood where it was decided.
async fn take_over_as_decided(
    conn: &mut Conn,
    now: DateTime<Utc>,
    [by_lost, by_next]: [Vec<Finish>; 2],
) -> StoreResult<Vec<AttemptKey>> {
    let mut rows = Vec::new();
    if !by_lost.is_empty() {
        let query = sqlx::query(TAKE_OVER_BY_LOST).bind(finishes_json(now, &by_lost));
        rows.extend(query.fetch_all(&mut *conn).await.map_err(write_failed)?);
    }
    if !by_next.is_empty() {
        let query = sqlx::query(TAKE_OVER_BY_NEXT).bind(finishes_json(now, &by_next)).bind(micros(now));
        rows.extend(query.fetch_all(conn).await.map_err(write_failed)?);
    }
    decode(&rows, attempt_key)
}

rowset! {
    /// What is to be said of an attempt whose result came late.
    NoteItem in notes {
        run: RunId as bigint,
        task_no: TaskNo as bigint,
        map_index: u32 as bigint,
        attempt: u32 as bigint,
        claim_token: ClaimToken as bigint,
        words: String as text,
    }
}

/// An attempt that was given up as lost keeps its state. What its worker had to say is added to its words, once.
macro_rules! note {
    ($table:literal) => {
        concat!(
            "update ",
            $table,
            " set error = coalesce(",
            $table,
            ".error || '; ', '') || item.words from ",
            notes!(),
            is_claim!($table),
            " and state in ('failed', 'up_for_retry') and ended_at is null
                 and coalesce(error, '') not like $2"
        )
    };
}

/// Notes late results with their attempts; `counting` are those that count.
pub(crate) async fn note(
    conn: &mut Conn,
    late: &[Finish],
    counting: &BTreeSet<AttemptKey>,
) -> StoreResult<()> {
    let items = json(late.iter().map(|finish| {
        let AttemptKey { task: TaskKey { run, task: task_no, index: map_index }, attempt } = finish.key;
        let counts = counting.contains(&finish.key);
        let words = if counts { note_of_counting(finish.state) } else { note_of_too_late(finish.state) };
        NoteItem { run, task_no, map_index, attempt, claim_token: finish.token, words }
    }));
    let noted = format!("%{NOTE_MARK}%");
    for statement in [note!("task"), note!("task_attempt")] {
        let query = sqlx::query(statement).bind(items.as_str()).bind(noted.as_str());
        query.execute(&mut *conn).await.map_err(write_failed)?;
    }
    Ok(())
}
