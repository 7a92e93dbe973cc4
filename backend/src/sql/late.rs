//! Results that come after their attempt was given up as lost. The attempt stays lost; its task takes a success over as
//! long as nobody has claimed the next attempt, which then never starts. All else is noted with the attempt.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rota_core::id::AttemptKey;
use rota_core::port::{Finish, StoreResult};

use super::claims::is_claim;
use super::rows::{attempt_key, decode};
use super::{Conn, json, micros, write_failed};

/// What a task takes over, but the instants of its start and end.
macro_rules! taken_over {
    () => {
        "state = 'success', spawned_at = cast(item.value ->> 7 as bigint), ended_at = cast(item.value ->> 8 as bigint),
         exit_code = cast(item.value ->> 9 as bigint), signal = null, outputs = item.value ->> 12, retry_at = null"
    };
}

/// The next attempt is not planned yet. Only a finish sets `ended_at`: without one, the attempt was lost.
const TAKE_OVER_WAITING: &str = concat!(
    "update task as t set ",
    taken_over!(),
    ", finished_at = case when t.started_at > cast(item.value ->> 6 as bigint) then t.started_at
         else cast(item.value ->> 6 as bigint) end,
       error = coalesce(t.error || '; ', '') || 'its result came late and counts'
     from ",
    each!("$1"),
    is_claim!(),
    " and t.state = 'up_for_retry' and t.ended_at is null and item.value ->> 5 = 'success'
     returning run, task_no, map_index, attempt"
);

/// The next attempt is queued because of the loss, not because a person asked for it: it ends here.
const TAKE_OVER_QUEUED: &str = concat!(
    "update task as t set ",
    taken_over!(),
    ", started_at = $2, finished_at = $2,
       error = 'never started: the result of attempt ' || (item.value ->> 3) || ' came late and counts'
     from ",
    each!("$1"),
    " where t.run = cast(item.value ->> 0 as bigint)
         and t.task_no = cast(item.value ->> 1 as bigint)
         and t.map_index = cast(item.value ->> 2 as bigint)
         and t.attempt = cast(item.value ->> 3 as bigint) + 1
         and t.state = 'queued' and t.losses > 0 and item.value ->> 5 = 'success'
         and exists (
             select 1 from task_attempt as lost
             where lost.run = t.run and lost.task_no = t.task_no and lost.map_index = t.map_index
                 and lost.attempt = cast(item.value ->> 3 as bigint)
                 and lost.claim_token = cast(item.value ->> 4 as bigint) and lost.ended_at is null)
     returning run, task_no, map_index, attempt - 1"
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

/// An attempt that was given up as lost keeps its state. What its worker had to say is added to its words, once.
macro_rules! note {
    ($table:literal) => {
        concat!(
            "update ",
            $table,
            " as t set error = coalesce(t.error || '; ', '') || (item.value ->> 5)
             from ",
            each!("$1"),
            is_claim!(),
            " and t.state in ('failed', 'up_for_retry') and t.ended_at is null
                 and coalesce(t.error, '') not like '%its result came %'"
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
        let AttemptKey { task, attempt } = finish.key;
        let how = if counting.contains(&finish.key) { "late and counts" } else { "too late" };
        let words = format!("its result came {how}: {}", finish.state);
        (task.run, task.task, task.index, attempt, finish.token, words)
    }));
    for statement in [note!("task"), note!("task_attempt")] {
        sqlx::query(statement).bind(items.as_str()).execute(&mut *conn).await.map_err(write_failed)?;
    }
    Ok(())
}
