//! The slots of schedules: which are due, and what becomes of each. Every slot up to a DAG's cursor has exactly one ledger
//! entry, written in the transaction that moves the cursor.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::planner::{Known, Planner, is_of_schedule_alone};
use crate::dag::{Dag, Overlap};
use crate::id::{DagId, RunId};
use crate::port::{CursorMove, Ending, NewRun, Object, SlotOutcome, SlotRow};
use crate::schedule::{self, Catchup, Decision, Schedule, format_duration};
use crate::seeded;
use crate::state::{IllegalTransition, RunState};

/// Most schedules that one batch looks at, so that a midnight herd does not make one endless transaction.
const DAGS_PER_BATCH: usize = 512;
/// Most slots of one DAG that one batch fires.
const SLOTS_PER_DAG: usize = 256;
/// Most runs of one DAG that wait for their turn. Further slots are decided once there is room.
const QUEUED_RUNS_MAX: usize = 1000;

impl Planner {
    pub(super) fn fire_due(&mut self, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        let due: Vec<DagId> = self
            .due
            .iter()
            .take_while(|(at, _)| *at <= now)
            .take(DAGS_PER_BATCH)
            .map(|(_, dag)| dag.clone())
            .collect();
        for dag in due {
            self.fire(&dag, now)?;
        }
        Ok(())
    }

    /// Computes when to look at a DAG's schedule next.
    pub(super) fn schedule_next(&mut self, dag: &DagId) {
        let Some(known) = self.dags.get_mut(dag) else { return };
        if let Some(due) = known.due.take() {
            self.due.remove(&(due, dag.clone()));
        }
        let (Some(schedule), Some(cursor), true) = (&known.dag.schedule, known.row.cursor, known.row.present)
        else {
            known.row.next_slot = None;
            return;
        };
        known.row.next_slot = schedule.next_after(cursor);
        if let Some(slot) = known.row.next_slot {
            let due = schedule.due_at(slot);
            known.due = Some(due);
            self.due.insert((due, dag.clone()));
        }
    }

    fn fire(&mut self, dag: &DagId, now: DateTime<Utc>) -> Result<(), IllegalTransition> {
        let Some(known) = self.dags.get(dag) else { return Ok(()) };
        let (Some(schedule), Some(cursor)) = (known.dag.schedule.clone(), known.row.cursor) else {
            return Ok(());
        };
        let room = self.room(dag, known);
        if room == 0 {
            self.wait_for_room(dag);
            return Ok(());
        }
        let decision = schedule::decide(&schedule, cursor, now, room);
        if known.row.paused {
            self.skip_all(dag, &decision, now);
        } else {
            self.note_missed(dag, &schedule, &decision, now);
            self.fire_slots(dag, &schedule, &decision.fire, now)?;
        }
        if let Some(known) = self.dags.get_mut(dag) {
            known.row.cursor = Some(decision.cursor.max(cursor));
        }
        self.schedule_next(dag);
        if decision.cursor > cursor
            && let Some(known) = self.dags.get(dag)
        {
            self.batch.cursors.push(CursorMove {
                dag: dag.clone(),
                from: Some(cursor),
                to: decision.cursor,
                next_slot: known.row.next_slot,
            });
        }
        Ok(())
    }

    /// How many slots of a DAG may be decided now.
    fn room(&self, dag: &DagId, known: &Known) -> usize {
        if known.row.paused || known.dag.overlap != Overlap::Queue {
            return SLOTS_PER_DAG;
        }
        let queued = self.line.get(dag).map_or(0, BTreeSet::len);
        QUEUED_RUNS_MAX.saturating_sub(queued).min(SLOTS_PER_DAG)
    }

    /// Leaves a DAG's schedule alone until one of its runs has ended.
    fn wait_for_room(&mut self, dag: &DagId) {
        if let Some(known) = self.dags.get_mut(dag)
            && let Some(due) = known.due.take()
        {
            self.due.remove(&(due, dag.clone()));
        }
    }

    /// While a DAG is paused its slots are skipped: all that were due since the last look are one range.
    fn skip_all(&mut self, dag: &DagId, decision: &Decision, now: DateTime<Utc>) {
        let firsts = decision.fire.iter().copied().chain(decision.missed.iter().map(|range| range.from));
        let lasts = decision.fire.iter().copied().chain(decision.missed.iter().map(|range| range.to));
        if let (Some(slot), Some(to)) = (firsts.min(), lasts.max()) {
            let missed: u64 = decision.missed.iter().map(|range| range.count).sum();
            let count = missed + decision.fire.len() as u64;
            let outcome = SlotOutcome::Skipped;
            let reason = Some("the DAG was paused".to_owned());
            self.batch.slots.push(SlotRow {
                dag: dag.clone(),
                slot,
                to,
                count,
                outcome,
                reason,
                run: None,
                decided_at: now,
            });
        }
    }

    fn note_missed(&mut self, dag: &DagId, schedule: &Schedule, decision: &Decision, now: DateTime<Utc>) {
        let deadline = format_duration(schedule.spec().deadline);
        let policy = match schedule.spec().catchup {
            Catchup::None => "none",
            Catchup::Latest => "latest",
            Catchup::All => "all",
        };
        for range in &decision.missed {
            self.batch.slots.push(SlotRow {
                dag: dag.clone(),
                slot: range.from,
                to: range.to,
                count: range.count,
                outcome: SlotOutcome::Missed,
                reason: Some(format!(
                    "more than {deadline} late when a leader looked, and catchup is {policy}"
                )),
                run: None,
                decided_at: now,
            });
        }
    }

    fn fire_slots(
        &mut self,
        dag: &DagId,
        schedule: &Schedule,
        slots: &[DateTime<Utc>],
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let mut active = self.active.get(dag).map_or(0, |runs| runs.len());
        let mut queued = self.line.get(dag).map_or(0, |runs| runs.len());
        for (place, slot) in slots.iter().enumerate() {
            let Some(known) = self.dags.get(dag) else { return Ok(()) };
            let room = active < known.dag.max_active_runs as usize && queued == 0;
            let is_newest = place + 1 == slots.len();
            let state = match known.dag.overlap {
                _ if room => RunState::Running,
                Overlap::Queue => RunState::Queued,
                Overlap::Skip => {
                    let reason = format!("overlap is skip, and {} had not ended", self.holders(dag));
                    self.skip_slot(dag, *slot, reason, now);
                    continue;
                }
                Overlap::CancelPrevious if is_newest => {
                    self.supersede(dag, *slot, now)?;
                    RunState::Queued
                }
                Overlap::CancelPrevious => {
                    let reason = "overlap is cancel_previous, and a newer slot was due".to_owned();
                    self.skip_slot(dag, *slot, reason, now);
                    continue;
                }
            };
            if state == RunState::Running {
                active += 1
            } else {
                queued += 1
            }
            self.create_run(dag, schedule, (*slot, state), now);
        }
        Ok(())
    }

    fn create_run(
        &mut self,
        dag: &DagId,
        schedule: &Schedule,
        (slot, state): (DateTime<Utc>, RunState),
        now: DateTime<Utc>,
    ) {
        let Some(known) = self.dags.get(dag) else { return };
        let run = NewRun {
            dag: dag.clone(),
            version: known.row.version,
            slot,
            interval_start: schedule.previous_before(slot),
            state,
            params: default_params(&known.dag),
            at: now,
        };
        if seeded::bug("slot-twice") {
            self.batch.runs.push(NewRun { slot: slot + TimeDelta::milliseconds(1), ..run.clone() });
        }
        self.batch.runs.push(run);
    }

    fn skip_slot(&mut self, dag: &DagId, slot: DateTime<Utc>, reason: String, now: DateTime<Utc>) {
        self.batch.slots.push(SlotRow {
            dag: dag.clone(),
            slot,
            to: slot,
            count: 1,
            outcome: SlotOutcome::Skipped,
            reason: Some(reason),
            run: None,
            decided_at: now,
        });
    }

    /// `overlap: cancel_previous`: ends the oldest active run and drops scheduled runs that have not started.
    fn supersede(
        &mut self,
        dag: &DagId,
        slot: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), IllegalTransition> {
        let reason = format!("overlap is cancel_previous, and slot {} was due", slot.to_rfc3339());
        let waiting: Vec<RunId> = self.line.get(dag).into_iter().flatten().copied().collect();
        for run in waiting {
            if self.runs.get(&run).is_some_and(|walk| is_of_schedule_alone(walk.row())) {
                self.drop_queued(run, reason.clone(), now)?;
            }
        }
        let known_max = self.dags.get(dag).map_or(0, |known| known.dag.max_active_runs as usize);
        if self.active.get(dag).map_or(0, BTreeSet::len) < known_max {
            return Ok(());
        }
        let oldest = self
            .active
            .get(dag)
            .into_iter()
            .flatten()
            .copied()
            .find(|run| self.runs.get(run).is_some_and(|walk| walk.row().ending.is_none()));
        match oldest {
            Some(run) => self.end_run(run, Ending { state: RunState::Cancelled, reason }, now),
            None => Ok(()),
        }
    }

    /// The active runs of a DAG, in words: `run 41`, `runs 41, 42`.
    pub(super) fn holders(&self, dag: &DagId) -> String {
        let runs: Vec<String> =
            self.active.get(dag).into_iter().flatten().take(3).map(RunId::to_string).collect();
        match runs.len() {
            0 => "an earlier run".to_owned(),
            1 => format!("run {}", runs[0]),
            _ => format!("runs {}", runs.join(", ")),
        }
    }
}

fn default_params(dag: &Dag) -> Object {
    let defaults = dag.params.iter().filter_map(|(name, param)| Some((name.clone(), param.default.clone()?)));
    defaults.collect()
}
