//! A model of the store: plain maps, every write guarded as the port's documentation says.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rota_core::id::{AttemptKey, DagId, DagVersion, QueueName, RunId, TaskKey, TaskName, WorkerId};
use rota_core::late_result::{Standing, taken_over};
use rota_core::port::{Batch, Committed, DagRow, Intent, QueuedTask, RunRow, SlotOutcome, SlotRow, TaskRow};
use rota_core::state::{RunState, TaskState, Trigger};

use super::is_active;

/// What came of a commit.
pub(crate) enum Write {
    Done(Committed),
    Conflict(String),
}

/// When a process was really started: the independent record.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) key: AttemptKey,
    /// The states of all tasks of the run at that moment.
    pub(crate) states: BTreeMap<u32, TaskState>,
}

#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) dag: DagRow,
    pub(crate) runs: BTreeMap<RunId, RunRow>,
    pub(crate) tasks: BTreeMap<TaskKey, TaskRow>,
    pub(crate) history: BTreeMap<AttemptKey, TaskRow>,
    pub(crate) slots: Vec<SlotRow>,
    pub(crate) intents: Vec<Intent>,
    pub(crate) starts: Vec<Start>,
    /// Runs of which a person had tasks run again.
    pub(crate) cleared: BTreeSet<RunId>,
    /// Runs that were cancelled while they were queued.
    pub(crate) dropped: BTreeSet<RunId>,
    lost: BTreeSet<AttemptKey>,
}

type Guard<T> = Result<T, String>;

impl Model {
    pub(crate) fn new(dag: DagRow) -> Self {
        Self {
            dag,
            runs: BTreeMap::new(),
            tasks: BTreeMap::new(),
            history: BTreeMap::new(),
            slots: Vec::new(),
            intents: Vec::new(),
            starts: Vec::new(),
            cleared: BTreeSet::new(),
            dropped: BTreeSet::new(),
            lost: BTreeSet::new(),
        }
    }

    pub(crate) fn commit(&mut self, batch: &Batch, now: DateTime<Utc>) -> Write {
        let mut after = self.clone();
        match after.apply(batch, now) {
            Ok(committed) => {
                *self = after;
                Write::Done(committed)
            }
            Err(why) => Write::Conflict(why),
        }
    }

    fn apply(&mut self, batch: &Batch, now: DateTime<Utc>) -> Guard<Committed> {
        let mut committed = Committed::default();
        for new in &batch.runs {
            let id = self.insert_run(Some(new.slot), Trigger::Schedule, new.state, new.at);
            let (slot, to, dag) = (new.slot, new.slot, new.dag.clone());
            let outcome = SlotOutcome::Fired;
            self.slots.push(SlotRow {
                dag,
                slot,
                to,
                count: 1,
                outcome,
                reason: None,
                run: Some(id),
                decided_at: now,
            });
            committed.runs.push(id);
        }
        self.slots.extend(batch.slots.iter().cloned());
        for cursor in &batch.cursors {
            guard(self.dag.cursor == cursor.from && Some(cursor.to) > cursor.from, "cursor")?;
            self.dag.cursor = Some(cursor.to);
        }
        self.apply_runs(batch)?;
        self.apply_tasks(batch, now)?;
        for (key, reason) in &batch.cancels {
            if let Some(row) = self.tasks.get_mut(key) {
                match row.state {
                    TaskState::Queued | TaskState::UpForRetry => {
                        row.state = TaskState::Cancelled;
                        row.error = Some(reason.clone());
                    }
                    TaskState::Running => row.cancel_requested = true,
                    _ => {}
                }
                committed.cancelled.push(row.clone());
            }
        }
        self.intents.retain(|intent| !batch.intents_done.iter().any(|(id, _)| *id == intent.id));
        Ok(committed)
    }

    fn apply_runs(&mut self, batch: &Batch) -> Guard<()> {
        let mut moved = BTreeSet::new();
        for transition in &batch.run_transitions {
            guard(moved.insert(transition.run), "two moves of one run in one batch")?;
            let run = self.runs.get_mut(&transition.run).ok_or("run")?;
            guard(run.state == transition.from, &format!("run move {transition:?} in {}", run.state))?;
            run.state = transition.to;
            if transition.to == RunState::Cancelled && transition.from == RunState::Queued {
                self.dropped.insert(run.id);
            } else {
                self.dropped.remove(&run.id);
            }
            match transition.to {
                RunState::Running => run.started_at = Some(transition.at),
                RunState::Queued => (run.finished_at, run.ending) = (None, None),
                _ => run.finished_at = Some(transition.at),
            }
            run.reason.clone_from(&transition.reason);
        }
        for (id, ending) in &batch.end_requests {
            let run = self.runs.get_mut(id).ok_or("run")?;
            // A run may end in the very batch that says so.
            guard(
                run.state == RunState::Running && run.ending.is_none() || run.state == ending.state,
                "ending",
            )?;
            run.ending = Some(ending.clone());
        }
        Ok(())
    }

    fn apply_tasks(&mut self, batch: &Batch, now: DateTime<Utc>) -> Guard<()> {
        for key in &batch.clears {
            self.cleared.insert(key.task.run);
            let row = self.tasks.get_mut(&key.task).ok_or("clear")?;
            let is_over = row.state.is_terminal() || row.state == TaskState::UpForRetry;
            guard(is_over && row.attempt == key.attempt, "clear")?;
            // A cleared task that was then skipped has an attempt number, but that attempt is in the history already.
            if key.attempt > 0 {
                self.history.entry(*key).or_insert_with(|| row.clone());
            }
            *row = blank(key.task, row.name.clone(), TaskState::Waiting, key.attempt);
        }
        for task in &batch.queues {
            let before = self
                .tasks
                .get(&task.key.task)
                .map_or((TaskState::Waiting, 0), |row| (row.state, row.attempt));
            guard(before == (TaskState::Waiting, task.key.attempt - 1), "queue")?;
            let mut row = blank(task.key.task, task.name.clone(), TaskState::Queued, task.key.attempt);
            row.queued_at = Some(task.at);
            self.tasks.insert(task.key.task, row);
        }
        for settle in &batch.ends_without_attempt {
            let attempt = self.tasks.get(&settle.key).map_or(0, |row| row.attempt);
            guard(self.tasks.get(&settle.key).is_none_or(|row| row.state == TaskState::Waiting), "settle")?;
            let mut row = blank(settle.key, settle.name.clone(), settle.state, attempt);
            row.error = Some(settle.reason.clone());
            self.tasks.insert(settle.key, row);
        }
        for retry in &batch.retries {
            let row = self.current(retry.key)?;
            guard(matches!(row.state, TaskState::Failed | TaskState::Running), "retry")?;
            row.state = TaskState::UpForRetry;
            (row.failures, row.losses, row.retry_at) = (retry.failures, retry.losses, Some(retry.retry_at));
            self.lost.remove(&retry.key);
        }
        for task in &batch.requeues {
            self.requeue(task)?;
        }
        for (key, reason) in &batch.lost_for_good {
            let row = self.current(*key)?;
            guard(row.state == TaskState::Running, "abort")?;
            row.state = TaskState::Failed;
            row.finished_at = Some(now);
            row.losses += 1;
            row.error = Some(reason.clone());
            self.lost.remove(key);
        }
        Ok(())
    }

    fn requeue(&mut self, task: &QueuedTask) -> Guard<()> {
        let before = task.key.task.attempt(task.key.attempt - 1);
        let row = self.current(before)?;
        guard(row.state == TaskState::UpForRetry, "requeue")?;
        let old = row.clone();
        row.state = TaskState::Queued;
        row.attempt = task.key.attempt;
        row.retry_at = None;
        row.error = None;
        guard(self.history.insert(before, old).is_none(), "requeue: history")
    }

    fn current(&mut self, key: AttemptKey) -> Guard<&mut TaskRow> {
        let row = self.tasks.get_mut(&key.task).ok_or("no row")?;
        guard(row.attempt == key.attempt, "attempt")?;
        Ok(row)
    }

    fn insert_run(
        &mut self,
        slot: Option<DateTime<Utc>>,
        trigger: Trigger,
        state: RunState,
        at: DateTime<Utc>,
    ) -> RunId {
        let id = RunId(self.runs.len() as i64 + 1);
        let run = RunRow {
            id,
            dag: DagId::trusted("sim"),
            version: DagVersion(1),
            slot,
            interval_start: None,
            trigger,
            state,
            params: serde_json::Map::new(),
            reason: None,
            created_at: at,
            started_at: (state == RunState::Running).then_some(at),
            finished_at: None,
            ending: None,
        };
        self.runs.insert(id, run);
        id
    }

    pub(crate) fn trigger(&mut self, now: DateTime<Utc>) {
        self.insert_run(None, Trigger::Manual, RunState::Queued, now);
    }

    pub(crate) fn claim(&mut self, key: AttemptKey, now: DateTime<Utc>) {
        let states = self.rows_of(key.task.run).iter().map(|row| (row.key.task.0, row.state)).collect();
        if let Some(row) = self.tasks.get_mut(&key.task)
            && row.state == TaskState::Queued
            && row.attempt == key.attempt
        {
            row.state = TaskState::Running;
            row.started_at = Some(now);
            row.worker = Some(WorkerId::trusted("w"));
            self.starts.push(Start { key, states });
        }
    }

    /// Returns whether the outcome was recorded.
    pub(crate) fn finish(&mut self, key: AttemptKey, state: TaskState, now: DateTime<Utc>) -> bool {
        let Some(row) = self.tasks.get_mut(&key.task) else { return false };
        let held = row.state == TaskState::Running && row.attempt == key.attempt && !self.lost.contains(&key);
        if held {
            row.state = state;
            row.finished_at = Some(now);
        }
        held
    }

    /// A lost attempt's success comes after all. Returns whether its task takes it over.
    pub(crate) fn take_over(&mut self, key: AttemptKey, now: DateTime<Utc>) -> bool {
        let Some(row) = self.tasks.get_mut(&key.task) else { return false };
        let standing = Standing { attempt: row.attempt, state: row.state, losses: row.losses };
        let counts = taken_over(TaskState::Success, key.attempt, standing).is_some();
        if counts {
            (row.state, row.finished_at, row.retry_at) = (TaskState::Success, Some(now), None);
        }
        counts
    }

    pub(crate) fn lose(&mut self, keys: BTreeSet<AttemptKey>) {
        self.lost.extend(keys);
    }

    pub(crate) fn lost(&self) -> Vec<AttemptKey> {
        self.lost.iter().copied().collect()
    }

    pub(crate) fn running(&self) -> Vec<AttemptKey> {
        let running =
            self.tasks.values().filter(|row| row.state == TaskState::Running).map(TaskRow::attempt_key);
        running.filter(|key| !self.lost.contains(key)).collect()
    }

    pub(crate) fn queued(&self) -> Vec<AttemptKey> {
        self.tasks.values().filter(|row| row.state == TaskState::Queued).map(TaskRow::attempt_key).collect()
    }

    pub(crate) fn cancel_requested(&self, key: AttemptKey) -> bool {
        self.tasks.get(&key.task).is_some_and(|row| row.cancel_requested)
    }

    pub(crate) fn active_runs(&self) -> Vec<RunRow> {
        self.runs.values().filter(|run| is_active(run.state)).cloned().collect()
    }

    pub(crate) fn rows_of(&self, run: RunId) -> Vec<TaskRow> {
        self.tasks.values().filter(|row| row.key.run == run).cloned().collect()
    }

    pub(crate) fn rows(&self, keys: &[TaskKey]) -> Vec<TaskRow> {
        keys.iter().filter_map(|key| self.tasks.get(key)).cloned().collect()
    }

    pub(crate) fn count(&self, outcome: SlotOutcome) -> u64 {
        self.slots.iter().filter(|slot| slot.outcome == outcome).map(|slot| slot.count).sum()
    }

    pub(crate) fn is_quiet(&self) -> bool {
        let held = |run: &RunRow| {
            run.state == RunState::Queued && run.trigger == Trigger::Schedule && run.started_at.is_none()
        };
        self.intents.is_empty() && self.runs.values().all(|run| run.state.is_terminal() || held(run))
    }

    pub(crate) fn open_work(&self) -> String {
        let runs: Vec<String> =
            self.active_runs().iter().map(|run| format!("run {} {}", run.id, run.state)).collect();
        let tasks: Vec<String> = self
            .tasks
            .values()
            .filter(|row| !row.state.is_terminal())
            .map(|row| format!("{} {}", row.attempt_key(), row.state))
            .collect();
        format!("{} {} intents {}", runs.join(", "), tasks.join(", "), self.intents.len())
    }
}

fn guard(holds: bool, what: &str) -> Guard<()> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn blank(key: TaskKey, name: TaskName, state: TaskState, attempt: u32) -> TaskRow {
    TaskRow {
        key,
        name,
        attempt,
        state,
        queue: QueueName::trusted("default"),
        priority: 0,
        failures: 0,
        losses: 0,
        queued_at: None,
        started_at: None,
        finished_at: None,
        retry_at: None,
        worker: None,
        incarnation: None,
        exit_code: None,
        signal: None,
        error: None,
        outputs: None,
        cancel_requested: false,
    }
}
