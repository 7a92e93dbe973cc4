//! How an attempt ended, as a row of a list: what a finish says, and the claim that it must hold.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use rota_core::id::{ClaimToken, RunId, TaskNo};
use rota_core::port::Finish;
use rota_core::state::TaskState;

use super::rowset::{json, json_of};
use super::{clean, micros};

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
