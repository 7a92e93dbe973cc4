//! One active run as the leader sees it: where each task is, and what follows from each fact. A fact costs time in the
//! out-degree of its task (and of the tasks that it settles), never in the size of the run.

mod failures;
mod when;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::retry::retry_wait;
use super::rule::{Tally, Verdict, verdict};
use crate::dag::{Dag, LOSSES_MAX, OnLost, Task};
use crate::id::{AttemptKey, RunId, TaskKey, TaskName, TaskNo};
use crate::port::{Ending, PlannedRetry, RetrySelection, RunRow, SettledTask, TaskRow};
use crate::seeded;
use crate::state::{IllegalTransition, RunState, TaskEvent, TaskState, task_next};

use failures::RunFailures;

/// Why a run fails whose leaf did not succeed, with no failure on record.
const NO_FAILURE: &str = "a leaf task did not succeed, and no row says why";

/// What follows from something that happened to a run. The planner turns it into a batch.
#[derive(Debug, Default, PartialEq)]
pub struct Effects {
    /// Tasks that end without an attempt.
    pub settles: Vec<SettledTask>,
    /// Tasks that may be queued as soon as their queue has room.
    pub ready: Vec<TaskKey>,
    /// Attempts that will be followed by another.
    pub retries: Vec<PlannedRetry>,
    /// Lost attempts that will not.
    pub aborts: Vec<(AttemptKey, String)>,
    /// Tasks with a row that are to be cancelled.
    pub cancels: Vec<(TaskKey, String)>,
    /// Attempts to take back for another go.
    pub clears: Vec<AttemptKey>,
    /// Tasks that may start if their `when` holds. See [`RunWalk::answer`].
    pub asks: Vec<TaskKey>,
}

impl Effects {
    /// Whether nothing follows.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where one task is, to the leader. It does not tell `queued` from `running`: both are `Queued` here.
#[derive(Debug, Clone, Copy)]
struct Cell {
    state: TaskState,
    /// It may be queued (again) and waits for room in its queue.
    ready: bool,
    attempt: u32,
    failures: u32,
    losses: u32,
    tally: Tally,
}

/// An active run.
#[derive(Debug, Clone)]
pub struct RunWalk {
    row: RunRow,
    dag: Arc<Dag>,
    cells: Vec<Cell>,
    /// Tasks that have not ended.
    open: u32,
    failures: RunFailures,
    /// Tasks whose outputs some `when` reads, and the tasks whose it is.
    when_readers: BTreeMap<TaskNo, Vec<TaskNo>>,
    outputs: BTreeMap<String, Value>,
}

impl RunWalk {
    /// A run with the rows of its tasks, as after a takeover. What its rows ask for (a retry to plan, tasks to start, a
    /// cancel to carry on) is added to `effects`. A fresh run has no rows.
    pub fn load(
        row: RunRow,
        dag: Arc<Dag>,
        rows: &[TaskRow],
        now: DateTime<Utc>,
        effects: &mut Effects,
    ) -> Result<Self, IllegalTransition> {
        let blank = Cell {
            state: TaskState::Waiting,
            ready: false,
            attempt: 0,
            failures: 0,
            losses: 0,
            tally: Tally::default(),
        };
        let mut when_readers: BTreeMap<TaskNo, Vec<TaskNo>> = BTreeMap::new();
        for reader in dag.task_nos() {
            for read in &dag.task(reader).when_reads_outputs_of {
                when_readers.entry(*read).or_default().push(reader);
            }
        }
        let mut walk = Self {
            cells: vec![blank; dag.tasks.len()],
            open: 0,
            failures: RunFailures::default(),
            outputs: BTreeMap::new(),
            when_readers,
            row,
            dag,
        };
        for row in rows {
            walk.adopt(row);
        }
        if walk.row.state == RunState::Running {
            walk.plan_retries(rows, now, effects)?;
        }
        for row in rows {
            walk.note_failure(row);
        }
        walk.recount();
        if walk.row.state == RunState::Running {
            walk.resume(now, effects)?;
        }
        Ok(walk)
    }

    /// The run's row as last known.
    pub fn row(&self) -> &RunRow {
        &self.row
    }

    /// The run's number.
    pub fn id(&self) -> RunId {
        self.row.id
    }

    /// The DAG version it is pinned to.
    pub fn dag(&self) -> &Arc<Dag> {
        &self.dag
    }

    /// Where a task is; `queued` stands for `running` too.
    pub fn state(&self, task: TaskNo) -> TaskState {
        self.cells[task.0 as usize].state
    }

    /// The number of its current or last attempt; 0 before the first.
    pub fn attempt(&self, task: TaskNo) -> u32 {
        self.cells[task.0 as usize].attempt
    }

    /// Whether a task only waits for room in its queue.
    pub fn is_ready(&self, task: TaskNo) -> bool {
        self.cells[task.0 as usize].ready
    }

    /// The tally of a task's upstream tasks.
    pub fn tally(&self, task: TaskNo) -> &Tally {
        &self.cells[task.0 as usize].tally
    }

    /// Attempts that are queued or running, to the leader's knowledge.
    pub fn outstanding(&self) -> impl Iterator<Item = TaskKey> + '_ {
        self.task_nos_in(TaskState::Queued).map(|task| self.key(task))
    }

    /// Marks the run as started and finds the tasks that can go ahead.
    pub fn start(&mut self, now: DateTime<Utc>, effects: &mut Effects) -> Result<(), IllegalTransition> {
        self.row.state = RunState::Running;
        self.row.started_at = Some(now);
        self.consider_waiting(now, effects)
    }

    fn consider_waiting(
        &mut self,
        now: DateTime<Utc>,
        effects: &mut Effects,
    ) -> Result<(), IllegalTransition> {
        let waiting: Vec<TaskNo> = self.task_nos_in(TaskState::Waiting).collect();
        for task in waiting {
            self.consider(task, now, effects)?;
        }
        Ok(())
    }

    /// Takes note of a row as it is now. Facts that are known already, or about earlier attempts, change nothing.
    /// Returns whether the task's attempt is no longer outstanding because of it.
    pub fn observe(
        &mut self,
        row: &TaskRow,
        now: DateTime<Utc>,
        effects: &mut Effects,
    ) -> Result<bool, IllegalTransition> {
        let cell = self.cells[row.key.task.0 as usize];
        if cell.state != TaskState::Queued || row.attempt != cell.attempt {
            return Ok(false);
        }
        let event = match row.state {
            TaskState::Success => TaskEvent::Succeed,
            TaskState::Running if seeded::bug("downstream-early") => TaskEvent::Succeed,
            TaskState::Failed => TaskEvent::Fail,
            TaskState::Cancelled => TaskEvent::Cancel,
            TaskState::Waiting
            | TaskState::Queued
            | TaskState::Running
            | TaskState::Deferred
            | TaskState::UpForRetry
            | TaskState::UpstreamFailed
            | TaskState::Skipped => return Ok(false),
        };
        if event != TaskEvent::Cancel {
            self.step(row.key.task, TaskEvent::Claim)?;
        }
        self.step(row.key.task, event)?;
        self.keep_outputs(row);
        if row.state == TaskState::Failed && self.plan_retry(row, now, effects)? {
            return Ok(true);
        }
        self.note_failure(row);
        self.close(row.key.task, now, effects)?;
        Ok(true)
    }

    /// An attempt's worker is gone.
    pub fn lost(
        &mut self,
        key: AttemptKey,
        now: DateTime<Utc>,
        effects: &mut Effects,
    ) -> Result<bool, IllegalTransition> {
        let no = key.task.task;
        let cell = self.cells[no.0 as usize];
        if cell.state != TaskState::Queued || key.attempt != cell.attempt {
            return Ok(false);
        }
        self.step(no, TaskEvent::Claim)?;
        let losses = cell.losses + 1;
        let again = self.row.ending.is_none() && losses <= losses_allowed(self.dag.task(no));
        if again {
            self.step(no, TaskEvent::Retry)?;
            self.cells[no.0 as usize].losses = losses;
            let error = Some("the worker was lost; on_lost: retry starts it again".to_owned());
            effects.retries.push(PlannedRetry { key, retry_at: now, failures: cell.failures, losses, error });
            return Ok(true);
        }
        self.step(no, TaskEvent::Abort)?;
        let reason = match self.dag.task(no).on_lost {
            _ if self.row.ending.is_some() => "the worker was lost while the run was being ended".to_owned(),
            OnLost::Fail => "the worker was lost; on_lost: fail forbids another attempt".to_owned(),
            OnLost::Retry => {
                format!("the worker was lost {losses} times; {LOSSES_MAX} is the most rota goes along with")
            }
        };
        let words = format!("task {} failed: {reason}", self.dag.task(no).name);
        self.failures.note(no, Some(now), words);
        effects.aborts.push((key, reason));
        self.close(no, now, effects)?;
        Ok(true)
    }

    /// The time of a task's next attempt has come. Returns false if that is no longer so.
    pub fn retry_due(&mut self, key: AttemptKey) -> bool {
        let cell = &mut self.cells[key.task.task.0 as usize];
        let due = cell.state == TaskState::UpForRetry && cell.attempt == key.attempt && !cell.ready;
        cell.ready |= due;
        due
    }

    /// Takes a ready task into its queue: its next attempt, and whether it follows another. `None` if the task is no
    /// longer ready.
    pub fn queue(&mut self, task: TaskNo) -> Result<Option<(AttemptKey, bool)>, IllegalTransition> {
        let cell = self.cells[task.0 as usize];
        if !cell.ready {
            return Ok(None);
        }
        let again = cell.state == TaskState::UpForRetry;
        self.step(task, if again { TaskEvent::Requeue } else { TaskEvent::Queue })?;
        let cell = &mut self.cells[task.0 as usize];
        cell.ready = false;
        cell.attempt += 1;
        let attempt = cell.attempt;
        Ok(Some((self.key(task).attempt(attempt), again)))
    }

    /// Ends the run early: what waits is cancelled, what is queued or runs is to be cancelled.
    pub fn end(
        &mut self,
        ending: Ending,
        now: DateTime<Utc>,
        effects: &mut Effects,
    ) -> Result<(), IllegalTransition> {
        self.row.ending = Some(ending);
        self.cancel_open(now, effects)
    }

    /// Ends the tasks of a queued run that was started before and was to run again. A run that never started has no rows,
    /// and gets none.
    pub fn cancel_waiting(
        &mut self,
        reason: &str,
        now: DateTime<Utc>,
        effects: &mut Effects,
    ) -> Result<(), IllegalTransition> {
        if self.row.started_at.is_none() {
            return Ok(());
        }
        let waiting: Vec<TaskNo> = self.task_nos_in(TaskState::Waiting).collect();
        for task in waiting {
            self.settle(task, (TaskEvent::Cancel, reason.to_owned()), now, effects)?;
        }
        Ok(())
    }

    /// Takes finished tasks back for another go: the selected ones and all downstream of them. Returns how many.
    pub fn clear(
        &mut self,
        selection: &RetrySelection,
        now: DateTime<Utc>,
        effects: &mut Effects,
    ) -> Result<usize, IllegalTransition> {
        let (tasks, held) = self.downstream_of(self.selected(selection));
        for task in held {
            self.cells[task.0 as usize].ready = false;
        }
        for task in &tasks {
            let attempt = self.cells[task.0 as usize].attempt;
            effects.clears.push(self.key(*task).attempt(attempt));
            self.step(*task, TaskEvent::Clear)?;
            let cell = &mut self.cells[task.0 as usize];
            (cell.failures, cell.losses, cell.ready) = (0, 0, false);
            self.outputs.remove(self.dag.task(*task).name.as_str());
        }
        if tasks.is_empty() {
            return Ok(0);
        }
        self.failures.forget(&tasks);
        self.recount();
        if self.row.state == RunState::Running {
            self.consider_waiting(now, effects)?;
        } else {
            (self.row.state, self.row.finished_at) = (RunState::Queued, None);
            (self.row.ending, self.row.reason) = (None, None);
        }
        Ok(tasks.len())
    }

    /// The state that the run has come to, with the reason in words, once all its tasks have ended. It follows from the
    /// leaf tasks, as in Airflow.
    pub fn outcome(&self) -> Option<(RunState, Option<String>)> {
        if self.open > 0 {
            return None;
        }
        if let Some(ending) = &self.row.ending {
            return Some((ending.state, Some(ending.reason.clone())));
        }
        let failed_leaf = self
            .dag
            .task_nos()
            .any(|task| self.dag.graph.down[task.0 as usize].is_empty() && self.state(task).ended_badly());
        let reason = || self.failures.first().unwrap_or(NO_FAILURE).to_owned();
        Some(if failed_leaf { (RunState::Failed, Some(reason())) } else { (RunState::Success, None) })
    }

    fn key(&self, task: TaskNo) -> TaskKey {
        TaskKey::single(self.row.id, task)
    }

    fn task_nos_in(&self, state: TaskState) -> impl Iterator<Item = TaskNo> + '_ {
        self.dag.task_nos().filter(move |task| self.state(*task) == state)
    }

    fn step(&mut self, task: TaskNo, event: TaskEvent) -> Result<(), IllegalTransition> {
        let cell = &mut self.cells[task.0 as usize];
        cell.state = task_next(cell.state, event)?;
        Ok(())
    }

    fn adopt(&mut self, row: &TaskRow) {
        let Some(cell) = self.cells.get_mut(row.key.task.0 as usize) else { return };
        cell.state = match row.state {
            TaskState::Running => TaskState::Queued,
            other => other,
        };
        (cell.attempt, cell.failures, cell.losses) = (row.attempt, row.failures, row.losses);
        self.keep_outputs(row);
    }

    fn plan_retries(
        &mut self,
        rows: &[TaskRow],
        now: DateTime<Utc>,
        effects: &mut Effects,
    ) -> Result<(), IllegalTransition> {
        for row in rows.iter().filter(|row| row.state == TaskState::Failed) {
            self.plan_retry(row, now, effects)?;
        }
        Ok(())
    }

    fn resume(&mut self, now: DateTime<Utc>, effects: &mut Effects) -> Result<(), IllegalTransition> {
        if self.row.ending.is_some() {
            return self.cancel_open(now, effects);
        }
        self.consider_waiting(now, effects)
    }

    /// Plans another attempt after a failure, if the task has one left. The count of failures alone decides, so a leader
    /// that reads the same row after a crash decides the same.
    fn plan_retry(
        &mut self,
        row: &TaskRow,
        now: DateTime<Utc>,
        effects: &mut Effects,
    ) -> Result<bool, IllegalTransition> {
        let no = row.key.task;
        let task = self.dag.task(no);
        // What failed before the run was last started, a person has seen and not asked for. A row that was never queued ended without an attempt, even if a cleared task's last number stands in it.
        let is_old = row.finished_at.zip(self.row.started_at).is_some_and(|(ended, started)| ended < started);
        let final_already = is_old || row.queued_at.is_none() || row.losses > losses_allowed(task);
        if self.row.ending.is_some() || final_already || row.failures >= task.retries {
            return Ok(false);
        }
        let failures = row.failures + 1;
        let key = row.attempt_key();
        let wait = retry_wait(&task.backoff, failures, key);
        let wait = chrono::Duration::from_std(wait).unwrap_or(chrono::Duration::MAX);
        let retry_at = now.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC);
        self.step(no, TaskEvent::Retry)?;
        self.cells[no.0 as usize].failures = failures;
        effects.retries.push(PlannedRetry { key, retry_at, failures, losses: row.losses, error: None });
        Ok(true)
    }

    /// Looks at a waiting task: does it go ahead, and if it ends right here, what follows for those below it?
    fn consider(
        &mut self,
        task: TaskNo,
        now: DateTime<Utc>,
        effects: &mut Effects,
    ) -> Result<(), IllegalTransition> {
        if self.judge(task, now, effects)? {
            self.spread(task, now, effects)?;
        }
        Ok(())
    }

    /// A task has just ended.
    fn close(
        &mut self,
        task: TaskNo,
        now: DateTime<Utc>,
        effects: &mut Effects,
    ) -> Result<(), IllegalTransition> {
        self.open -= 1;
        self.spread(task, now, effects)
    }

    /// Tells the tasks below an ended one, and those below the ones that end because of it.
    fn spread(
        &mut self,
        ended: TaskNo,
        now: DateTime<Utc>,
        effects: &mut Effects,
    ) -> Result<(), IllegalTransition> {
        let dag = Arc::clone(&self.dag);
        let mut stack = vec![ended];
        while let Some(up) = stack.pop() {
            let state = self.state(up);
            for down in &dag.graph.down[up.0 as usize] {
                self.cells[down.0 as usize].tally.count(state);
                if self.judge(*down, now, effects)? {
                    stack.push(*down);
                }
            }
            for reader in self.when_readers.get(&up).cloned().unwrap_or_default() {
                if self.judge(reader, now, effects)? {
                    stack.push(reader);
                }
            }
        }
        Ok(())
    }

    /// Applies the trigger rule and `when` to a waiting task. Returns whether the task ended because of it.
    fn judge(
        &mut self,
        no: TaskNo,
        now: DateTime<Utc>,
        effects: &mut Effects,
    ) -> Result<bool, IllegalTransition> {
        let cell = self.cells[no.0 as usize];
        if cell.state != TaskState::Waiting || cell.ready || self.row.ending.is_some() {
            return Ok(false);
        }
        let task = self.dag.task(no);
        let (event, reason) = match verdict(task.trigger_rule, &cell.tally) {
            Verdict::Wait => return Ok(false),
            Verdict::Skip => (TaskEvent::Skip, format!("trigger rule {} skips it", rule_name(task))),
            Verdict::UpstreamFailed => (TaskEvent::FailUpstream, "an upstream task failed".to_owned()),
            Verdict::Run if self.when_waits_for(task).is_some() => return Ok(false),
            Verdict::Run if task.when.is_some() => {
                effects.asks.push(self.key(no));
                return Ok(false);
            }
            Verdict::Run => {
                self.make_ready(no, effects);
                return Ok(false);
            }
        };
        self.settle(no, (event, reason), now, effects)?;
        Ok(true)
    }

    fn make_ready(&mut self, no: TaskNo, effects: &mut Effects) {
        self.cells[no.0 as usize].ready = true;
        effects.ready.push(self.key(no));
    }

    /// Evaluates the `when` of a task that was in [`Effects::asks`]; one that does not ask (any more) stays as it is. Returns
    /// how many steps it took.
    pub fn answer(
        &mut self,
        no: TaskNo,
        now: DateTime<Utc>,
        effects: &mut Effects,
    ) -> Result<u64, IllegalTransition> {
        let cell = self.cells[no.0 as usize];
        let task = self.dag.task(no);
        let asks = cell.state == TaskState::Waiting
            && !cell.ready
            && self.row.ending.is_none()
            && verdict(task.trigger_rule, &cell.tally) == Verdict::Run
            && self.when_waits_for(task).is_none();
        if !asks {
            return Ok(0);
        }
        let answer = when::evaluate(self, task);
        let ends = match answer.holds {
            Ok(true) => {
                self.make_ready(no, effects);
                return Ok(answer.steps);
            }
            Ok(false) => (TaskEvent::Skip, "`when` is false".to_owned()),
            Err(error) => (TaskEvent::Abort, format!("`when` cannot be evaluated: {error}")),
        };
        self.settle(no, ends, now, effects)?;
        self.spread(no, now, effects)?;
        Ok(answer.steps)
    }

    /// Ends a waiting task without an attempt.
    fn settle(
        &mut self,
        no: TaskNo,
        (event, reason): (TaskEvent, String),
        now: DateTime<Utc>,
        effects: &mut Effects,
    ) -> Result<(), IllegalTransition> {
        self.step(no, event)?;
        self.open -= 1;
        let state = self.state(no);
        let name = self.dag.task(no).name.clone();
        if state == TaskState::Failed {
            self.failures.note(no, Some(now), format!("task {name} failed: {reason}"));
        }
        effects.settles.push(SettledTask { key: self.key(no), name, state, reason, at: now });
        Ok(())
    }

    fn cancel_open(&mut self, now: DateTime<Utc>, effects: &mut Effects) -> Result<(), IllegalTransition> {
        let reason = self.row.ending.as_ref().map(|ending| ending.reason.clone()).unwrap_or_default();
        for no in self.dag.task_nos() {
            self.cells[no.0 as usize].ready = false;
            match self.state(no) {
                TaskState::Waiting => self.settle(no, (TaskEvent::Cancel, reason.clone()), now, effects)?,
                TaskState::Queued | TaskState::UpForRetry => {
                    effects.cancels.push((self.key(no), reason.clone()))
                }
                TaskState::Running
                | TaskState::Deferred
                | TaskState::Success
                | TaskState::Failed
                | TaskState::UpstreamFailed
                | TaskState::Skipped
                | TaskState::Cancelled => {}
            }
        }
        Ok(())
    }

    /// Takes note of a row that ended while its task was in up_for_retry: it was cancelled, or it took over the late success
    /// of its lost attempt. Returns whether it did.
    pub fn ended_in_wait(
        &mut self,
        row: &TaskRow,
        now: DateTime<Utc>,
        effects: &mut Effects,
    ) -> Result<bool, IllegalTransition> {
        let no = row.key.task;
        let cell = &mut self.cells[no.0 as usize];
        if cell.state != TaskState::UpForRetry || row.attempt != cell.attempt {
            return Ok(false);
        }
        let event = match row.state {
            TaskState::Success => TaskEvent::TakeOver,
            TaskState::Cancelled => TaskEvent::Cancel,
            TaskState::Waiting
            | TaskState::Queued
            | TaskState::Running
            | TaskState::Deferred
            | TaskState::UpForRetry
            | TaskState::Failed
            | TaskState::UpstreamFailed
            | TaskState::Skipped => return Ok(false),
        };
        cell.ready = false;
        self.step(no, event)?;
        self.keep_outputs(row);
        self.close(no, now, effects)?;
        Ok(true)
    }

    /// A task whose outputs a task's `when` reads and that has not ended: the answer would depend on when it is asked.
    pub(super) fn when_waits_for(&self, task: &Task) -> Option<TaskNo> {
        task.when_reads_outputs_of.iter().copied().find(|read| !self.state(*read).is_terminal())
    }

    /// The outputs that `when` expressions of this run can see, by task.
    pub fn outputs(&self) -> &BTreeMap<String, Value> {
        &self.outputs
    }

    fn keep_outputs(&mut self, row: &TaskRow) {
        if row.state == TaskState::Success && self.when_readers.contains_key(&row.key.task) {
            let outputs = row.outputs.clone().unwrap_or_default();
            self.outputs.insert(row.name.to_string(), Value::Object(outputs));
        }
    }

    fn note_failure(&mut self, row: &TaskRow) {
        let state = self.cells.get(row.key.task.0 as usize).map(|cell| cell.state);
        if let Some(state @ (TaskState::Failed | TaskState::Cancelled)) = state {
            let why = row.error.as_deref().unwrap_or("no reason was recorded");
            let words = format!("task {} {state}: {why}", row.name);
            self.failures.note(row.key.task, row.finished_at, words);
        }
    }

    /// Counts anew what follows from the states alone.
    fn recount(&mut self) {
        let dag = Arc::clone(&self.dag);
        self.open = self.cells.iter().filter(|cell| !cell.state.is_terminal()).count() as u32;
        for (no, cell) in self.cells.iter_mut().enumerate() {
            cell.tally = Tally { total: dag.graph.up[no].len() as u32, ..Tally::default() };
        }
        for up in dag.task_nos() {
            let state = self.state(up);
            for down in &dag.graph.down[up.0 as usize] {
                self.cells[down.0 as usize].tally.count(state);
            }
        }
    }

    fn selected(&self, selection: &RetrySelection) -> Vec<TaskNo> {
        match selection {
            RetrySelection::Tasks(names) => {
                names.iter().filter_map(|name: &TaskName| self.dag.task_no(name.as_str())).collect()
            }
            RetrySelection::Failed => {
                self.dag.task_nos().filter(|task| self.state(*task).ended_badly()).collect()
            }
        }
    }

    /// These tasks and all below them, in topological order: those that have ended or wait for a retry, and those that
    /// wait for their first start.
    fn downstream_of(&self, selected: Vec<TaskNo>) -> (Vec<TaskNo>, Vec<TaskNo>) {
        let mut marked = vec![false; self.cells.len()];
        for task in selected {
            marked[task.0 as usize] = true;
        }
        let (mut tasks, mut waiting) = (Vec::new(), Vec::new());
        for task in &self.dag.graph.order {
            if marked[task.0 as usize] {
                for down in &self.dag.graph.down[task.0 as usize] {
                    marked[down.0 as usize] = true;
                }
                if self.state(*task).is_terminal() || self.state(*task) == TaskState::UpForRetry {
                    tasks.push(*task);
                } else if self.state(*task) == TaskState::Waiting {
                    waiting.push(*task);
                }
            }
        }
        (tasks, waiting)
    }
}

fn losses_allowed(task: &Task) -> u32 {
    match task.on_lost {
        OnLost::Fail if !seeded::bug("on-lost-ignored") => 0,
        OnLost::Fail | OnLost::Retry => LOSSES_MAX,
    }
}

fn rule_name(task: &Task) -> String {
    serde_json::to_value(task.trigger_rule)
        .ok()
        .and_then(|name| Some(name.as_str()?.to_owned()))
        .unwrap_or_default()
}
