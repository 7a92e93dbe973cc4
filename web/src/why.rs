//! Why something does not move, in the planner's own words: the same state and the same rules that decide.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rota_core::dag::Dag;
use rota_core::id::RunId;
use rota_core::plan::why::{Surroundings, capacity_of, run_cause, task_cause};
use rota_core::plan::{Effects, RunWalk};
use rota_core::port::{DagRow, QueueCapacity, RunFilter, RunRow, TaskRow, WorkerState};
use rota_core::state::RunState;

use crate::app::Ctx;
use crate::error::Outcome;
use crate::tasks::TaskNow;

/// Active runs of a DAG that are looked at.
const ACTIVE_MAX: usize = 200;

/// What is known about the waits of one run.
pub(crate) enum Waits {
    /// It has ended; nothing waits. Its reason stays.
    Over(Option<String>),
    /// Its version cannot be read, so the planner cannot say.
    Unknown,
    /// It goes on.
    Open(Box<Around>),
}

/// An active run and what its own rows do not say.
pub(crate) struct Around {
    walk: RunWalk,
    now: DateTime<Utc>,
    capacity: Vec<QueueCapacity>,
    running: u32,
    dag: Option<DagRow>,
    active: Vec<RunId>,
    has_leader: bool,
}

impl Waits {
    /// Gathers it.
    pub(crate) async fn load(
        ctx: &Ctx,
        run: &RunRow,
        dag: Option<Arc<Dag>>,
        rows: &[TaskRow],
    ) -> Outcome<Self> {
        if run.state.is_terminal() {
            return Ok(Self::Over(run.reason.clone()));
        }
        let now = ctx.moment.now;
        // The walk is only asked why; what it would do is the leader's business.
        let walk =
            dag.and_then(|dag| RunWalk::load(run.clone(), dag, rows, now, &mut Effects::default()).ok());
        let Some(walk) = walk else { return Ok(Self::Unknown) };
        let store = &*ctx.app.ports.store;
        let workers = store.view_workers().await?;
        let live = workers.iter().filter(|worker| worker.state == WorkerState::Live);
        let filter = RunFilter {
            dag: Some(run.dag.clone()),
            states: vec![RunState::Running],
            limit: ACTIVE_MAX,
            ..RunFilter::default()
        };
        let active = store.view_runs(&filter).await?;
        Ok(Self::Open(Box::new(Around {
            walk,
            now,
            running: live.map(|worker| worker.running).sum(),
            capacity: capacity_of(&workers),
            dag: store.view_dag(&run.dag).await?,
            active: active.into_iter().map(|run| run.id).collect(),
            has_leader: ctx.app.pulse().await?.lead.is_held(),
        })))
    }

    /// Why this task does not move; `None` if it moves or has ended.
    pub(crate) fn task(&self, task: &TaskNow) -> Option<String> {
        match self {
            Self::Open(around) => {
                task_cause(&around.walk, task.no, task.row.as_ref(), &around.surroundings())
            }
            Self::Over(_) | Self::Unknown => None,
        }
    }

    /// Why the run does not move, or why it ended as it did.
    pub(crate) fn run(&self) -> Option<String> {
        match self {
            Self::Open(around) => {
                let max_active_runs = around.walk.dag().max_active_runs;
                run_cause(around.walk.row(), max_active_runs, &around.surroundings())
            }
            Self::Over(reason) => reason.clone(),
            Self::Unknown => {
                Some("this version of rota cannot read the DAG version that the run is pinned to".into())
            }
        }
    }
}

impl Around {
    fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            now: self.now,
            capacity: &self.capacity,
            running: self.running,
            dag: self.dag.as_ref(),
            active: &self.active,
            has_leader: self.has_leader,
        }
    }
}
