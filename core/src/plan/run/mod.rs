//! One active run as the leader sees it: where each task is, and what follows from each fact. A fact costs time in the
//! out-degree of its task (and of the tasks that it settles), never in the size of the run.
//!
//! Here is the run itself, from its rows to its end. What happens to its tasks is in the modules beside it: `spread`, how
//! the end of one lets others start or end; `attempt`, from ready to queued, to its end or its loss, and on to the
//! next; `late`, an end that nobody waited
//! for; `cancel`; `clear`, a person's retry; `when`. `node` is where a task is, `first_failure`
//! what the run says when it failed.

mod attempt;
mod cancel;
mod clear;
mod first_failure;
mod late;
mod node;
mod spread;
mod when;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::draft::{Draft, Undelivered};
use super::trigger_rule::Tally;
use crate::dag::Dag;
use crate::id::{AttemptKey, NodeId, QueueName, RunId, TaskKey};
use crate::port::{Dispatch, RunRow, RunTransition, TaskRow};
use crate::state::{
    IllegalTransition, RunEvent, RunState, TaskEvent, TaskState, Trigger, run_next, task_next,
};

use first_failure::RunFailures;
use node::Nodes;
use when::WhenInputs;

/// Why a run fails whose leaf did not succeed, with no failure on record.
const NO_FAILURE: &str = "a leaf task did not succeed, and no row says why";

/// What a fact was to a run.
pub(super) enum Heard {
    /// Known already, or about an earlier attempt.
    Nothing,
    /// It changed the run, and no queue.
    Change,
    /// It changed the run, and an attempt is out of this queue.
    RoomInQueue(QueueName),
}

/// An active run.
#[derive(Debug, Clone)]
pub struct RunWalk {
    row: RunRow,
    dag: Arc<Dag>,
    nodes: Nodes,
    /// Tasks that have not ended.
    open: u32,
    failures: RunFailures,
    inputs: WhenInputs,
}

impl RunWalk {
    /// A run as its rows have it, to be asked why it does not move ([`super::why`]). What it would do is the leader's
    /// business.
    ///
    /// # Errors
    /// If the rows are such that the leader could not go on from them.
    pub fn look(
        row: RunRow,
        dag: Arc<Dag>,
        rows: &[TaskRow],
        now: DateTime<Utc>,
    ) -> Result<Self, IllegalTransition> {
        Self::load(row, dag, rows, &mut Undelivered::default().at(now))
    }

    /// A run with the rows of its tasks, as after a takeover. What its rows ask for (a retry to plan, tasks to start, a
    /// cancel to carry on) is added to the draft. A fresh run has no rows.
    pub(super) fn load(
        row: RunRow,
        dag: Arc<Dag>,
        rows: &[TaskRow],
        draft: &mut Draft<'_>,
    ) -> Result<Self, IllegalTransition> {
        let mut walk = Self {
            nodes: Nodes::waiting(&dag),
            open: 0,
            failures: RunFailures::default(),
            inputs: WhenInputs::of(&dag),
            row,
            dag,
        };
        for row in rows {
            walk.adopt(row);
        }
        let goes_on = walk.row.state == RunState::Running;
        if goes_on {
            // Before anything counts as failed: the last leader may have died before it planned the next attempt.
            for row in rows.iter().filter(|row| row.state == TaskState::Failed) {
                walk.plan_retry(row, draft)?;
            }
        }
        for row in rows {
            walk.note_failure(row);
        }
        walk.recount();
        if goes_on {
            walk.go_on(draft)?;
        }
        Ok(walk)
    }

    /// The run's row as last known.
    pub fn row(&self) -> &RunRow {
        &self.row
    }

    /// The run's number.
    pub(super) fn id(&self) -> RunId {
        self.row.id
    }

    /// The DAG version it is pinned to.
    pub fn dag(&self) -> &Arc<Dag> {
        &self.dag
    }

    /// Where a task is; `queued` stands for `running` too.
    pub(super) fn state(&self, id: NodeId) -> TaskState {
        self.nodes[id].state
    }

    /// Whether a task only waits for room in its queue.
    pub(super) fn is_ready(&self, id: NodeId) -> bool {
        self.nodes[id].ready
    }

    /// The tally of a task's upstream tasks.
    pub(super) fn tally(&self, id: NodeId) -> &Tally {
        &self.nodes[id].tally
    }

    /// Whether only its schedule wants the run: such a run waits while its DAG is paused, and gives way to a newer slot.
    pub(super) fn is_of_schedule_alone(&self) -> bool {
        self.row.trigger == Trigger::Schedule && self.row.started_at.is_none()
    }

    /// When the run's time limit will be up. One that is being ended has none.
    pub(super) fn limit_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.row.ending.is_some() {
            return None;
        }
        let limit = chrono::Duration::from_std(self.dag.timeout?).ok()?;
        self.row.started_at.unwrap_or(now).checked_add_signed(limit)
    }

    /// Attempts that are queued or running, to the leader's knowledge.
    pub(super) fn outstanding(&self) -> impl Iterator<Item = AttemptKey> + '_ {
        self.nodes.in_state(TaskState::Queued).map(|id| self.key(id).attempt(self.nodes[id].attempt))
    }

    /// Messages for them.
    pub(super) fn dispatches(&self) -> impl Iterator<Item = Dispatch> + '_ {
        self.outstanding().map(|key| {
            let task = self.dag.task(key.task.task);
            Dispatch { key, queue: task.queue.clone(), priority: task.priority }
        })
    }

    /// Starts the run, and finds the tasks that can go ahead.
    pub(super) fn start(&mut self, draft: &mut Draft<'_>) -> Result<(), IllegalTransition> {
        self.transition(RunEvent::Start, None, draft)?;
        self.row.state = RunState::Running;
        self.row.started_at = Some(draft.now);
        self.consider_waiting(draft)
    }

    /// Takes note of a row as it is now. Facts that are known already, or about earlier attempts, change nothing.
    pub(super) fn observe(
        &mut self,
        row: &TaskRow,
        draft: &mut Draft<'_>,
    ) -> Result<Heard, IllegalTransition> {
        let Some(node) = self.nodes.get(row.key.node()) else { return Ok(Heard::Nothing) };
        match node.state {
            _ if node.attempt != row.attempt => Ok(Heard::Nothing),
            TaskState::Queued => self.attempt_ended(row, draft),
            TaskState::UpForRetry => self.ended_in_wait(row, draft),
            TaskState::Waiting
            | TaskState::Running
            | TaskState::Deferred
            | TaskState::Success
            | TaskState::Failed
            | TaskState::UpstreamFailed
            | TaskState::Skipped
            | TaskState::Cancelled => Ok(Heard::Nothing),
        }
    }

    /// Whether the run goes on only because nobody has said yet that it is over.
    pub(super) fn is_over(&self) -> bool {
        self.row.state == RunState::Running && self.open == 0
    }

    /// Ends the run, all of whose tasks have ended. Its state follows from the leaf tasks, as in Airflow, unless it was to
    /// end before.
    pub(super) fn finish(&self, draft: &mut Draft<'_>) -> Result<(), IllegalTransition> {
        let is_leaf = |id: &NodeId| self.dag.graph.down_of(id.task).is_empty();
        let (event, reason) = match &self.row.ending {
            Some(ending) if ending.state == RunState::Cancelled => {
                (RunEvent::Cancel, Some(ending.reason.clone()))
            }
            Some(ending) => (RunEvent::Fail, Some(ending.reason.clone())),
            None if self.nodes.ids().filter(is_leaf).any(|leaf| self.state(leaf).ended_badly()) => {
                (RunEvent::Fail, Some(self.failures.first().unwrap_or(NO_FAILURE).to_owned()))
            }
            None => (RunEvent::Succeed, None),
        };
        self.transition(event, reason, draft)
    }

    /// Writes down that the run changes state.
    fn transition(
        &self,
        event: RunEvent,
        reason: Option<String>,
        draft: &mut Draft<'_>,
    ) -> Result<(), IllegalTransition> {
        let (run, from) = (self.row.id, self.row.state);
        let to = run_next(from, event)?;
        draft.batch.run_transitions.push(RunTransition { run, from, to, at: draft.now, reason });
        Ok(())
    }

    fn key(&self, id: NodeId) -> TaskKey {
        id.of(self.row.id)
    }

    fn step(&mut self, id: NodeId, event: TaskEvent) -> Result<(), IllegalTransition> {
        let node = &mut self.nodes[id];
        node.state = task_next(node.state, event)?;
        Ok(())
    }

    fn adopt(&mut self, row: &TaskRow) {
        let Some(node) = self.nodes.get_mut(row.key.node()) else { return };
        node.adopt(row);
        self.inputs.keep(row);
    }

    fn go_on(&mut self, draft: &mut Draft<'_>) -> Result<(), IllegalTransition> {
        if self.row.ending.is_some() {
            return self.cancel_open(draft);
        }
        self.consider_waiting(draft)
    }

    fn note_failure(&mut self, row: &TaskRow) {
        let id = row.key.node();
        let state = self.nodes.get(id).map(|node| node.state);
        if let Some(state @ (TaskState::Failed | TaskState::Cancelled)) = state {
            let why = row.error.as_deref().unwrap_or("no reason was recorded");
            self.failures.note(id, row.finished_at, format!("task {} {state}: {why}", row.name));
        }
    }

    /// Counts anew what follows from the states alone.
    fn recount(&mut self) {
        self.open = self.nodes.open();
        self.nodes.recount(&self.dag);
    }
}
