//! The planner of all active runs: a fold over facts that yields batches of changes. It makes no call; the leader feeds it,
//! commits what it returns and tells it the result. It changes its own state as it decides, so a batch that could not be
//! committed makes it worthless: the leader then throws it away and loads a new one from the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::questions::Questions;
use super::ready_queue::Lane;
use super::run::{Effects, RunWalk};
use crate::dag::Dag;
use crate::id::{AttemptKey, DagId, QueueName, RunId, TaskKey, WorkerId};
use crate::port::{
    Batch, Change, Committed, DagRow, Dispatch, Ending, Intent, IntentKind, NewRun, QueueCapacity,
    QueuedTask, RetrySelection, RunMove, RunRow, TaskRow,
};
use crate::schedule::format_duration;
use crate::state::{IllegalTransition, RunEvent, RunState, TaskState, Trigger, run_next};

/// Queued tasks per worker slot that the leader keeps in a queue: enough that no slot waits for the leader, few enough
/// that priorities decide at dispatch time.
const WINDOW_PER_SLOT: u32 = 4;
/// The smallest window: what is let into a queue that no worker serves, so that people see the tasks wait.
const WINDOW_MIN: u32 = 64;
/// The window of the `noop` lane, whose tasks take no slot.
const WINDOW_NOOP: u32 = 2048;
/// Most queued runs of a deleted DAG that one batch ends.
const DROPS_PER_BATCH: usize = 256;

/// What a commit means for others.
#[derive(Debug, Default, PartialEq)]
pub struct Aftermath {
    /// Workers that run attempts which are to be cancelled.
    pub nudge: Vec<WorkerId>,
    /// What dashboards may want to read again.
    pub changed: Vec<Change>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Retry(AttemptKey),
    RunTimeout(RunId),
}

/// A DAG as the planner knows it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) row: DagRow,
    pub(super) dag: Arc<Dag>,
    /// When to look at its schedule next.
    pub(super) due: Option<DateTime<Utc>>,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Planner {
    pub(super) dags: BTreeMap<DagId, Known>,
    pub(super) due: BTreeSet<(DateTime<Utc>, DagId)>,
    pub(super) runs: BTreeMap<RunId, RunWalk>,
    /// Queued runs, by DAG.
    pub(super) line: BTreeMap<DagId, BTreeSet<RunId>>,
    /// Running runs, by DAG.
    pub(super) active: BTreeMap<DagId, BTreeSet<RunId>>,
    /// DAGs whose queued runs may have got room.
    pub(super) stirred: BTreeSet<DagId>,
    /// Runs that something happened to.
    pub(super) touched: BTreeSet<RunId>,
    lanes: BTreeMap<QueueName, Lane>,
    timers: BTreeSet<(DateTime<Utc>, Timer)>,
    pub(super) effects: Effects,
    pub(super) batch: Batch,
    /// Runs that the current batch moves or begins to end. A batch changes a run once: a second change waits for the next.
    moved: BTreeSet<RunId>,
    /// Runs that the current batch ends, with their DAGs.
    ended: BTreeMap<RunId, DagId>,
    /// The `when`s that are to be evaluated.
    pub(super) questions: Questions,
}

impl Planner {
    /// Learns of a DAG, or of a change to it (version, pause switch, presence, cursor).
    pub fn dag_known(&mut self, row: DagRow, dag: Arc<Dag>) {
        if let Some(known) = self.dags.remove(&row.dag)
            && let Some(due) = known.due
        {
            self.due.remove(&(due, row.dag.clone()));
        }
        self.stirred.insert(row.dag.clone());
        let id = row.dag.clone();
        self.dags.insert(id.clone(), Known { row, dag, due: None });
        self.schedule_next(&id);
    }

    /// The row of a DAG, as the planner knows it.
    pub fn dag_row(&self, dag: &DagId) -> Option<&DagRow> {
        self.dags.get(dag).map(|known| &known.row)
    }

    /// Whether the run is one of those that the planner walks.
    pub fn has_run(&self, run: RunId) -> bool {
        self.runs.contains_key(&run)
    }

    /// Learns of a run from its rows: all queued and running ones at the start of a term, manual ones as they come, and
    /// finished ones just before a retry intent for them.
    pub fn run_known(
        &mut self,
        row: RunRow,
        dag: Arc<Dag>,
        rows: &[TaskRow],
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let (id, state) = (row.id, row.state);
        let home = row.dag.clone();
        let walk = RunWalk::load(row, dag, rows, now, &mut self.effects)?;
        for key in walk.outstanding() {
            let queue = walk.dag().task(key.task).queue.clone();
            self.lane(queue).outstanding += 1;
        }
        for row in rows.iter().filter(|row| row.state == TaskState::UpForRetry) {
            self.timers.insert((row.retry_at.unwrap_or(now), Timer::Retry(row.attempt_key())));
        }
        match state {
            RunState::Queued => {
                self.line.entry(home.clone()).or_default().insert(id);
                self.stirred.insert(home);
            }
            RunState::Running => {
                self.active.entry(home).or_default().insert(id);
                self.timers.extend(run_timeout(&walk, now));
            }
            RunState::Success | RunState::Failed | RunState::Cancelled => {}
        }
        if !state.is_terminal() {
            self.touched.insert(id);
        }
        self.runs.insert(id, walk);
        Ok(())
    }

    /// Takes note of task rows as they are now.
    pub fn observed(&mut self, rows: &[TaskRow], now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        for row in rows {
            let Some(walk) = self.runs.get_mut(&row.key.run) else { continue };
            if walk.ended_in_wait(row, now, &mut self.effects)? {
                self.touched.insert(row.key.run);
            } else if walk.observe(row, now, &mut self.effects)? {
                let queue = walk.dag().task(row.key.task).queue.clone();
                self.touched.insert(row.key.run);
                self.give_back(queue);
            }
        }
        Ok(())
    }

    /// Takes note of attempts whose worker is gone.
    pub fn lost(&mut self, keys: &[AttemptKey], now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        for key in keys {
            let Some(walk) = self.runs.get_mut(&key.task.run) else { continue };
            if walk.lost(*key, now, &mut self.effects)? {
                let queue = walk.dag().task(key.task.task).queue.clone();
                self.touched.insert(key.task.run);
                self.give_back(queue);
            }
        }
        Ok(())
    }

    /// Carries out what a person asked for. A retry of a finished run needs the run to be known. While something else is
    /// still to be committed nothing happens and the intent stays pending, so that a batch never writes a row twice.
    pub fn intent(&mut self, intent: &Intent, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        if !self.batch.is_empty() || !self.effects.is_empty() {
            return Ok(());
        }
        let outcome = match &intent.kind {
            IntentKind::Cancel => {
                self.touched.insert(intent.run);
                self.cancel(intent, now)?
            }
            IntentKind::Retry(selection) => self.retry(intent.run, selection, now)?,
        };
        self.batch.intents_done.push((intent.id, outcome));
        Ok(())
    }

    /// Learns what live workers offer.
    pub fn capacity_known(&mut self, capacity: &[QueueCapacity]) {
        for (queue, lane) in &mut self.lanes {
            lane.window = window(queue, capacity);
        }
        for offered in capacity {
            self.lanes.entry(offered.queue.clone()).or_default().window = window(&offered.queue, capacity);
        }
    }

    /// What is to be committed now; empty if nothing is. Call again after [`Planner::committed`] until it is empty.
    pub fn plan(&mut self, now: DateTime<Utc>) -> Result<Batch, IllegalTransition> {
        // What has happened goes before what time brings: a run whose tasks have ended is not late, and room that a
        // run has left is there for queued runs first and for due slots then.
        self.settle_down(now)?;
        self.expire_timers(now)?;
        self.settle_down(now)?;
        self.start_queued_runs(now)?;
        self.settle_down(now)?;
        self.fire_due(now)?;
        self.settle_down(now)?;
        self.fill_queues(now)?;
        if self.answer_questions(now)? {
            self.settle_down(now)?;
            self.fill_queues(now)?;
        }
        for run in std::mem::take(&mut self.moved) {
            // A run that was put into line by this batch may be started by the next.
            self.stirred.extend(self.runs.get(&run).map(|walk| walk.row().dag.clone()));
        }
        Ok(std::mem::take(&mut self.batch))
    }

    /// Learns that `batch` was committed.
    pub fn committed(
        &mut self,
        batch: Batch,
        committed: Committed,
        now: DateTime<Utc>,
    ) -> Result<Aftermath, IllegalTransition> {
        let changed = self.changes(&batch);
        for (new, id) in batch.runs.into_iter().zip(committed.runs) {
            let Some(known) = self.dags.get(&new.dag) else { continue };
            let dag = Arc::clone(&known.dag);
            self.run_known(fresh_row(new, id), dag, &[], now)?;
        }
        let mut aftermath = Aftermath { nudge: Vec::new(), changed };
        for row in &committed.cancelled {
            if let (TaskState::Running, Some(worker)) = (row.state, &row.worker)
                && !aftermath.nudge.contains(worker)
            {
                aftermath.nudge.push(worker.clone());
            }
            self.touched.insert(row.key.run);
        }
        self.observed(&committed.cancelled, now)?;
        Ok(aftermath)
    }

    /// When [`Planner::plan`] has something to do by itself, at the latest.
    pub fn wake_at(&self) -> Option<DateTime<Utc>> {
        if self.questions.are_open() {
            return Some(DateTime::<Utc>::MIN_UTC);
        }
        let slot = self.due.first().map(|(at, _)| *at);
        let timer = self.timers.first().map(|(at, _)| *at);
        slot.into_iter().chain(timer).min()
    }

    /// All tasks whose attempt is queued or running, to be compared with their rows.
    pub fn outstanding(&self) -> Vec<TaskKey> {
        self.runs.values().flat_map(RunWalk::outstanding).collect()
    }

    /// Messages for all attempts that are queued or running, for the start of a term: the last leader may have died before
    /// it published them.
    pub fn dispatches(&self) -> Vec<Dispatch> {
        let mut dispatches = Vec::new();
        for walk in self.runs.values() {
            for key in walk.outstanding() {
                let task = walk.dag().task(key.task);
                let key = key.attempt(walk.attempt(key.task));
                dispatches.push(Dispatch { key, queue: task.queue.clone(), priority: task.priority });
            }
        }
        dispatches
    }

    /// The runs and DAGs that a batch is about.
    fn changes(&mut self, batch: &Batch) -> Vec<Change> {
        let tasks = batch.queues.iter().chain(&batch.requeues).map(|it| it.key.task.run);
        let tasks = tasks.chain(batch.settles.iter().map(|it| it.key.run));
        let tasks = tasks.chain(batch.retries.iter().map(|it| it.key.task.run));
        let tasks = tasks.chain(batch.aborts.iter().map(|(key, _)| key.task.run));
        let tasks = tasks.chain(batch.cancels.iter().map(|(key, _)| key.run));
        let runs: BTreeSet<RunId> = tasks.chain(batch.run_moves.iter().map(|it| it.run)).collect();
        let mut dags: BTreeSet<DagId> = batch.slots.iter().map(|it| it.dag.clone()).collect();
        dags.extend(batch.runs.iter().map(|it| it.dag.clone()));
        let mut ended = std::mem::take(&mut self.ended);
        let runs = runs.into_iter().filter_map(|run| {
            let dag = ended.remove(&run).or_else(|| Some(self.runs.get(&run)?.row().dag.clone()))?;
            Some(Change::Run { run, dag })
        });
        runs.chain(dags.into_iter().map(Change::Dag)).collect()
    }

    fn lane(&mut self, queue: QueueName) -> &mut Lane {
        self.lanes.entry(queue).or_insert_with_key(|queue| Lane::new(window(queue, &[])))
    }

    fn give_back(&mut self, queue: QueueName) {
        let lane = self.lane(queue);
        lane.outstanding = lane.outstanding.saturating_sub(1);
    }

    fn expire_timers(&mut self, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        while let Some((at, timer)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            match timer {
                Timer::Retry(key) => self.retry_due(key),
                Timer::RunTimeout(run) => self.time_out(run, now)?,
            }
        }
        Ok(())
    }

    fn retry_due(&mut self, key: AttemptKey) {
        if let Some(walk) = self.runs.get_mut(&key.task.run)
            && walk.retry_due(key)
        {
            self.effects.ready.push(key.task);
        }
    }

    fn time_out(&mut self, run: RunId, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        let Some(walk) = self.runs.get_mut(&run) else { return Ok(()) };
        // A run that was started again since has a later limit, and its own timer for it.
        let is_up = run_timeout(walk, now).is_some_and(|(at, _)| at <= now);
        if walk.row().state != RunState::Running || !is_up {
            return Ok(());
        }
        let limit = walk.dag().timeout.unwrap_or_default();
        let reason = format!("the run's time limit of {} was up", format_duration(limit));
        self.end_run(run, Ending { state: RunState::Failed, reason }, now)
    }

    pub(super) fn end_run(
        &mut self,
        run: RunId,
        ending: Ending,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let Some(walk) = self.runs.get_mut(&run) else { return Ok(()) };
        self.batch.endings.push((run, ending.clone()));
        self.moved.insert(run);
        walk.end(ending, now, &mut self.effects)?;
        self.touched.insert(run);
        Ok(())
    }

    fn settle_down(&mut self, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        self.absorb(now);
        self.finish_runs(now)
    }

    /// Moves what followed from the facts into the batch, and ready tasks into their lanes.
    pub(super) fn absorb(&mut self, now: DateTime<Utc>) {
        let effects = std::mem::take(&mut self.effects);
        self.batch.clears.extend(effects.clears);
        self.batch.settles.extend(effects.settles);
        self.batch.aborts.extend(effects.aborts);
        self.batch.cancels.extend(effects.cancels);
        self.questions.extend(effects.asks);
        let mut ready = effects.ready;
        for retry in effects.retries {
            if retry.retry_at > now {
                self.timers.insert((retry.retry_at, Timer::Retry(retry.key)));
            } else if self.runs.get_mut(&retry.key.task.run).is_some_and(|walk| walk.retry_due(retry.key)) {
                ready.push(retry.key.task);
            }
            self.batch.retries.push(retry);
        }
        for key in ready {
            let Some(walk) = self.runs.get(&key.run) else { continue };
            let task = walk.dag().task(key.task);
            let (queue, priority) = (task.queue.clone(), task.priority);
            self.lane(queue).push(priority, key);
        }
    }

    fn finish_runs(&mut self, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        let mut later = BTreeSet::new();
        for run in std::mem::take(&mut self.touched) {
            let Some(walk) = self.runs.get_mut(&run) else { continue };
            if walk.row().state != RunState::Running {
                if walk.row().state.is_terminal() {
                    self.runs.remove(&run);
                }
                continue;
            }
            let Some((to, reason)) = walk.outcome() else { continue };
            if self.moved.contains(&run) {
                later.insert(run);
                continue;
            }
            let event = match to {
                RunState::Success => RunEvent::Succeed,
                RunState::Cancelled => RunEvent::Cancel,
                RunState::Failed | RunState::Queued | RunState::Running => RunEvent::Fail,
            };
            let to = run_next(RunState::Running, event)?;
            self.batch.run_moves.push(RunMove { run, from: RunState::Running, to, at: now, reason });
            let dag = walk.row().dag.clone();
            self.runs.remove(&run);
            leave(&mut self.active, &dag, run);
            self.ended.insert(run, dag.clone());
            self.stirred.insert(dag);
        }
        self.touched = later;
        Ok(())
    }

    fn start_queued_runs(&mut self, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        for dag in std::mem::take(&mut self.stirred) {
            self.end_line_of_deleted(&dag, now)?;
            if self.dags.get(&dag).is_some_and(|known| known.due.is_none()) {
                self.schedule_next(&dag);
            }
            while let Some(run) = self.next_to_start(&dag) {
                leave(&mut self.line, &dag, run);
                self.active.entry(dag.clone()).or_default().insert(run);
                let Some(walk) = self.runs.get_mut(&run) else { continue };
                let to = run_next(walk.row().state, RunEvent::Start)?;
                let from = RunState::Queued;
                self.batch.run_moves.push(RunMove { run, from, to, at: now, reason: None });
                self.moved.insert(run);
                walk.start(now, &mut self.effects)?;
                self.touched.insert(run);
                let timer = run_timeout(walk, now);
                self.timers.extend(timer);
            }
        }
        Ok(())
    }

    /// Ends the queued runs that only the schedule of a deleted file wanted: a file that comes back starts anew, so nobody
    /// would ever let them go. In several batches if there are many.
    fn end_line_of_deleted(&mut self, dag: &DagId, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        if self.dags.get(dag).is_none_or(|known| known.row.present) {
            return Ok(());
        }
        let line = self.line.get(dag).into_iter().flatten().copied();
        let is_idle = |run: &RunId| {
            self.runs.get(run).is_some_and(|walk| is_of_schedule_alone(walk.row()))
                && !self.moved.contains(run)
        };
        let ended: Vec<RunId> = line.filter(is_idle).take(DROPS_PER_BATCH).collect();
        if ended.len() == DROPS_PER_BATCH {
            self.stirred.insert(dag.clone());
        }
        for run in ended {
            self.drop_queued(run, "its DAG's file was deleted before it started".to_owned(), now)?;
        }
        Ok(())
    }

    /// The oldest queued run that may start. Scheduled ones are held while their DAG is paused or its file is gone.
    fn next_to_start(&self, dag: &DagId) -> Option<RunId> {
        let line = self.line.get(dag)?;
        let known = self.dags.get(dag);
        let active = self.active.get(dag).map_or(0, BTreeSet::len);
        if active >= known.map_or(usize::MAX, |known| known.dag.max_active_runs as usize) {
            return None;
        }
        let held = known.is_some_and(|known| known.row.paused || !known.row.present);
        line.iter()
            .copied()
            .filter(|run| !self.moved.contains(run))
            .find(|run| !held || self.runs.get(run).is_some_and(|walk| !is_of_schedule_alone(walk.row())))
    }

    fn fill_queues(&mut self, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        for (queue, lane) in &mut self.lanes {
            while lane.has_room()
                && let Some(ready) = lane.pop()
            {
                let Some(walk) = self.runs.get_mut(&ready.run) else { continue };
                let Some((key, again)) = walk.queue(ready.task)? else { continue };
                let task = walk.dag().task(ready.task);
                let (name, priority) = (task.name.clone(), task.priority);
                let queued = QueuedTask { key, name, queue: queue.clone(), priority, at: now };
                if again {
                    self.batch.requeues.push(queued)
                } else {
                    self.batch.queues.push(queued)
                }
                lane.outstanding += 1;
            }
        }
        Ok(())
    }

    fn cancel(&mut self, intent: &Intent, now: DateTime<Utc>) -> Result<String, IllegalTransition> {
        let run = intent.run;
        let Some(walk) = self.runs.get(&run) else { return Ok("the run had ended already".to_owned()) };
        let reason = format!("cancelled by {}", intent.actor);
        match walk.row().state {
            RunState::Queued => {
                self.drop_queued(run, reason, now)?;
                Ok("cancelled".to_owned())
            }
            RunState::Running if walk.row().ending.is_some() => {
                Ok("the run was being ended already".to_owned())
            }
            RunState::Running => {
                self.end_run(run, Ending { state: RunState::Cancelled, reason }, now)?;
                Ok("its tasks are being ended".to_owned())
            }
            RunState::Success | RunState::Failed | RunState::Cancelled => {
                Ok("the run had ended already".to_owned())
            }
        }
    }

    /// Cancels a run that has not started.
    pub(super) fn drop_queued(
        &mut self,
        run: RunId,
        reason: String,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let Some(mut walk) = self.runs.remove(&run) else { return Ok(()) };
        let to = run_next(walk.row().state, RunEvent::Cancel)?;
        walk.cancel_waiting(&reason, now, &mut self.effects)?;
        leave(&mut self.line, &walk.row().dag, run);
        self.ended.insert(run, walk.row().dag.clone());
        let from = RunState::Queued;
        self.batch.run_moves.push(RunMove { run, from, to, at: now, reason: Some(reason) });
        Ok(())
    }

    fn retry(
        &mut self,
        run: RunId,
        selection: &RetrySelection,
        now: DateTime<Utc>,
    ) -> Result<String, IllegalTransition> {
        self.touched.insert(run);
        let Some(walk) = self.runs.get_mut(&run) else {
            return Ok("the run, or the DAG version it is pinned to, cannot be read any more".to_owned());
        };
        let from = walk.row().state;
        if from == RunState::Queued || walk.row().ending.is_some() && from == RunState::Running {
            return Ok("the run has not started or is being ended; retry it when it has ended".to_owned());
        }
        let cleared = walk.clear(selection, now, &mut self.effects)?;
        if cleared == 0 {
            return Ok("no task of the selection has ended, so there is nothing to run again".to_owned());
        }
        if from.is_terminal() {
            let to = run_next(from, RunEvent::Restart)?;
            self.batch.run_moves.push(RunMove { run, from, to, at: now, reason: None });
            self.moved.insert(run);
            let dag = walk.row().dag.clone();
            self.line.entry(dag.clone()).or_default().insert(run);
            self.stirred.insert(dag);
        }
        Ok(format!("{cleared} tasks run again"))
    }
}

/// Whether only its schedule wants the run: such a run waits while its DAG is paused, and gives way to a newer slot.
pub(super) fn is_of_schedule_alone(run: &RunRow) -> bool {
    run.trigger == Trigger::Schedule && run.started_at.is_none()
}

/// When the run's time limit will be up.
fn run_timeout(walk: &RunWalk, now: DateTime<Utc>) -> Option<(DateTime<Utc>, Timer)> {
    if walk.row().ending.is_some() {
        return None;
    }
    let limit = chrono::Duration::from_std(walk.dag().timeout?).ok()?;
    let at = walk.row().started_at.unwrap_or(now).checked_add_signed(limit)?;
    Some((at, Timer::RunTimeout(walk.id())))
}

/// How many attempts may be outstanding in a queue.
fn window(queue: &QueueName, capacity: &[QueueCapacity]) -> u32 {
    if queue.as_str() == QueueName::NOOP {
        return WINDOW_NOOP;
    }
    let slots = capacity.iter().find(|offered| offered.queue == *queue).map_or(0, |offered| offered.slots);
    slots.saturating_mul(WINDOW_PER_SLOT).max(WINDOW_MIN)
}

fn leave(sets: &mut BTreeMap<DagId, BTreeSet<RunId>>, dag: &DagId, run: RunId) {
    if let Some(set) = sets.get_mut(dag) {
        set.remove(&run);
        if set.is_empty() {
            sets.remove(dag);
        }
    }
}

fn fresh_row(new: NewRun, id: RunId) -> RunRow {
    RunRow {
        id,
        dag: new.dag,
        version: new.version,
        slot: Some(new.slot),
        interval_start: new.interval_start,
        trigger: Trigger::Schedule,
        state: new.state,
        params: new.params,
        reason: None,
        created_at: new.at,
        started_at: (new.state == RunState::Running).then_some(new.at),
        finished_at: None,
        ending: None,
    }
}
