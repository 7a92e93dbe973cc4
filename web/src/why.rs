//! Why something does not move, in the planner's own words: the same state and the same rules that decide.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use rota_core::dag::Dag;
use rota_core::id::{NodeId, RunId};
use rota_core::plan::RunWalk;
use rota_core::plan::why::{WaitContext, capacity_of, run_cause, task_cause};
use rota_core::port::{DagRow, QueueCapacity, RunRow, TaskRow, WorkerState};
use rota_core::state::{RunState, TaskState};

use crate::app::Ctx;
use crate::error::Outcome;
use crate::tasks::TaskNow;

/// Active runs of a DAG that are named where all of them are in the way.
const ACTIVE_NAMED: usize = 3;
/// A queued task that no worker took within this does not move.
const QUEUED_LONG: TimeDelta = TimeDelta::seconds(5);

/// What schedulers and workers offer at one moment: the same for all runs of a page.
pub(crate) struct SlotSupply {
    capacity: Vec<QueueCapacity>,
    running: u32,
    has_leader: bool,
}

/// What is known about the waits of one run.
pub(crate) enum RunWaits {
    /// It has ended; nothing waits. Its reason stays.
    Over(Option<String>),
    /// Its version cannot be read, so the planner cannot say.
    Unknown,
    /// It goes on.
    Open(Box<ActiveRunFacts>),
}

/// An active run and what its own rows do not say.
pub(crate) struct ActiveRunFacts {
    walk: RunWalk,
    now: DateTime<Utc>,
    supply: Arc<SlotSupply>,
    dag: Option<DagRow>,
    active: u64,
    active_named: Vec<RunId>,
}

impl SlotSupply {
    /// Reads it.
    pub(crate) async fn load(ctx: &Ctx) -> Outcome<Arc<Self>> {
        let workers = ctx.app.ports.store.view_workers().await?;
        let live = workers.iter().filter(|worker| worker.state == WorkerState::Live);
        Ok(Arc::new(Self {
            running: live.map(|worker| worker.running).sum(),
            capacity: capacity_of(&workers),
            has_leader: ctx.app.pulse().await?.lead.is_held(),
        }))
    }
}

impl RunWaits {
    /// Gathers it.
    pub(crate) async fn load(
        ctx: &Ctx,
        run: &RunRow,
        dag: Option<Arc<Dag>>,
        rows: &[TaskRow],
    ) -> Outcome<Self> {
        Self::with(ctx, &SlotSupply::load(ctx).await?, run, dag, rows).await
    }

    /// Gathers what is not known of the fleet already.
    pub(crate) async fn with(
        ctx: &Ctx,
        supply: &Arc<SlotSupply>,
        run: &RunRow,
        dag: Option<Arc<Dag>>,
        rows: &[TaskRow],
    ) -> Outcome<Self> {
        if run.state.is_terminal() {
            return Ok(Self::Over(run.reason.clone()));
        }
        let now = ctx.moment.now;
        let walk = dag.and_then(|dag| RunWalk::look(run.clone(), dag, rows, now).ok());
        let Some(walk) = walk else { return Ok(Self::Unknown) };
        let store = &*ctx.app.ports.store;
        let active = store.view_active_runs(Some(&run.dag), ACTIVE_NAMED).await?;
        let running = active.list.iter().filter(|run| run.state == RunState::Running);
        Ok(Self::Open(Box::new(ActiveRunFacts {
            walk,
            now,
            supply: Arc::clone(supply),
            dag: store.view_dag(&run.dag).await?,
            active: active.running,
            active_named: running.map(|run| run.id).collect(),
        })))
    }

    /// Why this task does not move; `None` if it moves or has ended.
    pub(crate) fn task(&self, task: &TaskNow) -> Option<String> {
        match self {
            Self::Open(around) => {
                task_cause(&around.walk, NodeId::single(task.no), task.row.as_ref(), &around.context())
            }
            Self::Over(_) | Self::Unknown => None,
        }
    }

    /// Why a run that is not over does not move, or what of it does not, in one sentence without its end; `None` if all moves.
    pub(crate) fn standstill(&self, run: &RunRow, tasks: &[TaskNow], now: DateTime<Utc>) -> Option<String> {
        if run.state == RunState::Queued || run.ending.is_some() {
            return self.run();
        }
        let runs = tasks.iter().any(|task| task.state == TaskState::Running);
        let long = |task: &TaskNow| {
            task.row.as_ref().and_then(|row| row.queued_at).is_some_and(|at| now - at > QUEUED_LONG)
        };
        let stuck = |task: &&TaskNow| match task.state {
            TaskState::UpForRetry => true,
            TaskState::Queued => !runs || long(task),
            _ => false,
        };
        let mut still: Vec<&TaskNow> = tasks.iter().filter(stuck).collect();
        if still.is_empty() && !runs {
            still = tasks.iter().filter(|task| task.state == TaskState::Waiting).collect();
        }
        let (first, rest) = still.split_first()?;
        let why = self.task(first).or_else(|| self.run())?;
        let more = match rest.len() {
            0 => String::new(),
            1 => "; one more task does not move".to_owned(),
            more => format!("; {more} more tasks do not move"),
        };
        Some(format!("task `{}`: {why}{more}", first.name))
    }

    /// Why the run does not move, or why it ended as it did.
    pub(crate) fn run(&self) -> Option<String> {
        match self {
            Self::Open(around) => {
                let max_active_runs = around.walk.dag().max_active_runs;
                run_cause(around.walk.row(), max_active_runs, &around.context())
            }
            Self::Over(reason) => reason.clone(),
            Self::Unknown => {
                Some("this version of rota cannot read the DAG version that the run is pinned to".into())
            }
        }
    }
}

impl ActiveRunFacts {
    fn context(&self) -> WaitContext<'_> {
        WaitContext {
            now: self.now,
            capacity: &self.supply.capacity,
            running: self.supply.running,
            dag: self.dag.as_ref(),
            active: self.active,
            active_named: &self.active_named,
            has_leader: self.supply.has_leader,
        }
    }
}
