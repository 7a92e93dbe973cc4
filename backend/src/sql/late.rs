//! Results that come after their attempt was given up as lost. The attempt stays lost; its task takes a success over as
//! long as nobody has claimed the next attempt, which then never starts. All else is noted with the attempt.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rota_core::id::{AttemptKey, ClaimToken, RunId, TaskKey, TaskNo};
use rota_core::port::{Finish, StoreResult};

use super::claims::{finishes, is_claim};
use super::rows::{attempt_key, decode};
use super::rowset::json;
use super::{Conn, micros, write_failed};

/// What a task takes over, but the instants of its start and end.
macro_rules! taken_over {
    () => {
        "state = 'success', spawned_at = item.spawned_at, ended_at = item.ended_at, exit_code = item.exit_code,
         signal = null, outputs = item.outputs, retry_at = null"
    };
}

/// The next attempt is not planned yet. Only a finish sets `ended_at`: without one, the attempt was lost.
const TAKE_OVER_WAITING: &str = concat!(
    "update task set ",
    taken_over!(),
    ", finished_at = case when task.started_at > item.finished_at then task.started_at else item.finished_at end,
       error = coalesce(task.error || '; ', '') || 'its result came late and counts'
     from ",
    finishes!(),
    is_claim!("task"),
    " and task.state = 'up_for_retry' and task.ended_at is null and item.state = 'success'
     returning task.run, task.task_no, task.map_index, task.attempt"
);

/// The next attempt is queued because of the loss, not because a person asked for it: it ends here.
const TAKE_OVER_QUEUED: &str = concat!(
    "update task set ",
    taken_over!(),
    ", started_at = $2, finished_at = $2,
       error = 'never started: the result of attempt ' || item.attempt || ' came late and counts'
     from ",
    finishes!(),
    " where task.run = item.run and task.task_no = item.task_no and task.map_index = item.map_index
         and task.attempt = item.attempt + 1
         and task.state = 'queued' and task.losses > 0 and item.state = 'success'
         and exists (
             select 1 from task_attempt as lost
             where lost.run = item.run and lost.task_no = item.task_no and lost.map_index = item.map_index
                 and lost.attempt = item.attempt
                 and lost.claim_token = item.claim_token and lost.ended_at is null)
     returning task.run, task.task_no, task.map_index, task.attempt - 1"
);

/// Lets tasks take over the successes among late results, `items` as JSON; the attempts whose results count.
pub(super) async fn take_over(
    conn: &mut Conn,
    now: DateTime<Utc>,
    items: &str,
) -> StoreResult<BTreeSet<AttemptKey>> {
    let waiting = sqlx::query(TAKE_OVER_WAITING).bind(items);
    let mut rows = waiting.fetch_all(&mut *conn).await.map_err(write_failed)?;
    let queued = sqlx::query(TAKE_OVER_QUEUED).bind(items).bind(micros(now));
    rows.extend(queued.fetch_all(conn).await.map_err(write_failed)?);
    Ok(decode(&rows, attempt_key)?.into_iter().collect())
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
                 and coalesce(error, '') not like '%its result came %'"
        )
    };
}

/// Notes late results with their attempts; `counting` are those that count.
pub(super) async fn note(
    conn: &mut Conn,
    late: &[Finish],
    counting: &BTreeSet<AttemptKey>,
) -> StoreResult<()> {
    let items = json(late.iter().map(|finish| {
        let AttemptKey { task: TaskKey { run, task: task_no, index: map_index }, attempt } = finish.key;
        let how = if counting.contains(&finish.key) { "late and counts" } else { "too late" };
        let words = format!("its result came {how}: {}", finish.state);
        NoteItem { run, task_no, map_index, attempt, claim_token: finish.token, words }
    }));
    for statement in [note!("task"), note!("task_attempt")] {
        sqlx::query(statement).bind(items.as_str()).execute(&mut *conn).await.map_err(write_failed)?;
    }
    Ok(())
}
