//! Why something does not move.

use std::sync::Arc;

use rota_core::dag::Dag;
use rota_core::port::RunRow;
use rota_core::state::{RunState, TaskState};

use crate::app::Ctx;
use crate::error::Outcome;
use crate::show::time::Moment;
use crate::tasks::TaskNow;

/// What is known about the waits of one run.
pub(crate) struct Waits {
    dag: Option<Arc<Dag>>,
    states: Vec<TaskState>,
    run: Option<String>,
    moment: Moment,
}

impl Waits {
    /// Gathers it.
    pub(crate) async fn load(
        ctx: &Ctx,
        run: &RunRow,
        dag: Option<Arc<Dag>>,
        tasks: &[TaskNow],
    ) -> Outcome<Self> {
        let states = tasks.iter().map(|task| task.state).collect();
        let waits =
            (run.state == RunState::Queued).then(|| "waits for its turn among the active runs".to_owned());
        Ok(Self { dag, states, run: waits.or_else(|| run.reason.clone()), moment: ctx.moment })
    }

    /// Why this task does not move; `None` if it moves or has ended.
    pub(crate) fn task(&self, task: &TaskNow) -> Option<String> {
        match task.state {
            TaskState::Waiting => self.upstream(task),
            TaskState::Queued => Some("waits for a free worker slot".to_owned()),
            TaskState::UpForRetry => {
                let at = task.row.as_ref()?.retry_at?;
                Some(format!("next attempt {}", self.moment.until(at)))
            }
            _ => None,
        }
    }

    /// Why the run does not move, or why it ended as it did.
    pub(crate) fn run(&self) -> Option<String> {
        self.run.clone()
    }

    fn upstream(&self, task: &TaskNow) -> Option<String> {
        let dag = self.dag.as_ref()?;
        let up = dag.graph.up.get(task.no.0 as usize)?;
        let open: Vec<&str> = up
            .iter()
            .filter(|no| self.states.get(no.0 as usize).is_some_and(|state| !state.is_terminal()))
            .map(|no| dag.task(*no).name.as_str())
            .collect();
        match open.as_slice() {
            [] => None,
            [one] => Some(format!("waits for {one}")),
            [one, two] => Some(format!("waits for {one} and {two}")),
            many => Some(format!("waits for {} tasks", many.len())),
        }
    }
}
