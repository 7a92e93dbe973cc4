//! The planner of all active runs: a fold over facts that yields batches of changes. It makes no call; the leader feeds it,
//! commits what it returns and tells it the result. It changes its own state as it decides, so a batch that could not be
//! committed makes it worthless: the leader then throws it away and loads a new one from the rows.
//!
//! Its organs each know one thing: [`Slots`] the schedules, [`ActiveRuns`] the runs, [`Admission`] the queues, [`Timers`] the
//! time, [`Questions`] the `when`s. What they decide they write into the [`Draft`].

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::active_runs::ActiveRuns;
use super::admission::Admission;
use super::draft::{Draft, Undelivered};
use super::intents;
use super::questions::Questions;
use super::run::{Heard, RunWalk};
use super::slots::Slots;
use super::timers::Timers;
use crate::dag::Dag;
use crate::id::{AttemptKey, DagId, RunId, TaskKey};
use crate::port::{Batch, Change, Committed, DagRow, Dispatch, Intent, QueueCapacity, RunRow, TaskRow};
use crate::state::IllegalTransition;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Planner {
    slots: Slots,
    runs: ActiveRuns,
    admission: Admission,
    timers: Timers,
    questions: Questions,
    next: Undelivered,
}

impl Planner {
    /// Learns of a DAG, or of a change to it (version, pause switch, presence, cursor).
    pub fn dag_known(&mut self, row: DagRow, dag: Arc<Dag>) {
        self.runs.check(row.dag.clone());
        self.slots.dag_known(row, dag);
    }

    /// The row of a DAG, as the planner knows it.
    pub fn dag_row(&self, dag: &DagId) -> Option<&DagRow> {
        self.slots.get(dag).map(|known| &known.row)
    }

    /// Whether the run is one of those that the planner walks.
    pub fn has_run(&self, run: RunId) -> bool {
        self.runs.walk(run).is_some()
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
        let walk = RunWalk::load(row, dag, rows, &mut self.next.at(now))?;
        self.admission.take_back(&walk);
        self.timers.take_back(&walk, rows, now);
        self.runs.add(walk);
        Ok(())
    }

    /// Takes note of task rows as they are now.
    pub fn observed(&mut self, rows: &[TaskRow], now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        for row in rows {
            let Some(walk) = self.runs.walk_mut(row.key.run) else { continue };
            let heard = walk.observe(row, &mut self.next.at(now))?;
            self.take_note(row.key, heard);
        }
        Ok(())
    }

    /// Takes note of attempts whose worker is gone.
    pub fn lost(&mut self, keys: &[AttemptKey], now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        for key in keys {
            let Some(walk) = self.runs.walk_mut(key.task.run) else { continue };
            let heard = walk.lost(*key, &mut self.next.at(now))?;
            self.take_note(key.task, heard);
        }
        Ok(())
    }

    /// Carries out what a person asked for. A retry of a finished run needs the run to be known. While something else is
    /// still to be committed nothing happens and the intent stays pending, so that a batch never writes a row twice.
    pub fn intent(&mut self, intent: &Intent, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        if !self.next.is_empty() {
            return Ok(());
        }
        intents::carry_out(intent, &mut self.runs, &mut self.next.at(now))
    }

    /// Learns what live workers offer.
    pub fn capacity_known(&mut self, capacity: &[QueueCapacity]) {
        self.admission.capacity_known(capacity);
    }

    /// From now on `when`s are evaluated. A leader says so when all that was stored for its runs (cancels above all) has been
    /// heard, and the rest of what it found was committed. `turn` decides which run is first: another one each term, so that
    /// a run whose evaluation was under way when the last leader died is not the first again.
    pub fn begin_answers(&mut self, turn: u64) {
        self.questions.begin(turn);
    }

    /// What is to be committed now; empty if nothing is. Call again after [`Planner::committed`] until it is empty.
    pub fn plan(&mut self, now: DateTime<Utc>) -> Result<Batch, IllegalTransition> {
        let Self { slots, runs, admission, timers, questions, next } = self;
        let draft = &mut next.at(now);
        // What has happened goes before what time brings: a run whose tasks have ended is not late, and room that a
        // run has left is there for queued runs first and for due slots then.
        runs.finish_ended(draft)?;
        timers.begin_waits(runs, draft);
        timers.expire(runs, draft)?;
        start_queued(runs, slots, timers, draft)?;
        slots.fire_due(runs, draft)?;
        // No run can have come to its end since: whatever moved above is in this batch already, and ends in the next.
        admission.admit(runs, draft)?;
        if questions.answer(runs, draft)? {
            runs.finish_ended(draft)?;
            admission.admit(runs, draft)?;
        }
        runs.close_batch();
        Ok(next.take())
    }

    /// Learns that `batch` was committed. Returns what dashboards may want to read again.
    pub fn committed(
        &mut self,
        batch: Batch,
        committed: Committed,
        now: DateTime<Utc>,
    ) -> Result<Vec<Change>, IllegalTransition> {
        let changes = self.runs.changes_of(&batch);
        for (new, id) in batch.runs.into_iter().zip(committed.runs) {
            let Some(known) = self.slots.get(&new.dag) else { continue };
            let dag = Arc::clone(&known.dag);
            self.run_known(new.into_row(id), dag, &[], now)?;
        }
        for row in &committed.cancelled {
            self.runs.touch(row.key.run);
        }
        self.observed(&committed.cancelled, now)?;
        Ok(changes)
    }

    /// When [`Planner::plan`] has something to do by itself, at the latest.
    pub fn wake_at(&self) -> Option<DateTime<Utc>> {
        if self.questions.are_open() {
            return Some(DateTime::<Utc>::MIN_UTC);
        }
        self.slots.wake_at().into_iter().chain(self.timers.wake_at()).min()
    }

    /// All tasks whose attempt is queued or running, to be compared with their rows.
    pub fn outstanding(&self) -> Vec<TaskKey> {
        self.runs.walks().flat_map(RunWalk::outstanding).map(|attempt| attempt.task).collect()
    }

    /// Messages for all attempts that are queued or running, for the start of a term: the last leader may have died before
    /// it published them.
    pub fn dispatches(&self) -> Vec<Dispatch> {
        self.runs.walks().flat_map(RunWalk::dispatches).collect()
    }

    fn take_note(&mut self, key: TaskKey, heard: Heard) {
        match heard {
            Heard::Nothing => return,
            Heard::Change => {}
            Heard::RoomInQueue(queue) => self.admission.give_back(queue),
        }
        self.runs.touch(key.run);
    }
}

/// Starts queued runs where there is room, the oldest first.
fn start_queued(
    runs: &mut ActiveRuns,
    slots: &mut Slots,
    timers: &mut Timers,
    draft: &mut Draft<'_>,
) -> Result<(), IllegalTransition> {
    for dag in runs.take_dags_to_check() {
        if slots.get(&dag).is_some_and(|known| !known.row.present) {
            runs.cancel_queued_of_deleted(&dag, draft)?;
        }
        slots.look_again(&dag);
        while let Some(run) = runs.next_to_start(&dag, slots.get(&dag)) {
            runs.start(run, &dag, draft)?;
            if let Some(walk) = runs.walk(run) {
                timers.limit(walk, draft.now);
            }
        }
    }
    Ok(())
}
