//! `when`: whether a task whose trigger rule says "run" is to run.

use super::RunWalk;
use crate::dag::{Answer, DefaultShell, Scope, Task, eval_when};

/// Evaluates a task's `when` with the run's parameters and the outputs of tasks above it. It is looked at before the
/// first attempt, so `attempt` is 1 in it.
pub(super) fn evaluate(walk: &RunWalk, task: &Task) -> Answer {
    let row = walk.row();
    let scope = Scope {
        run: row.id,
        run_state: row.state,
        slot: row.slot,
        interval_start: row.interval_start,
        created_at: row.created_at,
        params: &row.params,
        index: 0,
        attempt: 1,
        outputs: walk.outputs(),
        shell: DefaultShell::default(),
    };
    eval_when(walk.dag(), task, &scope)
}
