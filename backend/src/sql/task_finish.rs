//! How attempts ended.

use chrono::{DateTime, Utc};
use rota_core::id::{AttemptKey, ClaimToken};
use rota_core::port::{Finish, StoreError, StoreResult};
use rota_core::state::TaskState;

use super::super::task_path::finish;
use super::cells::decode;
use super::task_late;
use super::task_outcome::{finishes, finishes_json, is_claim};
use super::{Conn, failed};

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

const fn is_outcome(state: TaskState) -> bool {
    matches!(state, TaskState::Success | TaskState::Failed | TaskState::Cancelled)
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
