//! Turns what `schedule::decide` said of slots into runs, or into entries of the ledger that say why there is none. A pause and an
//! overlap turn firing into skipping here.

use chrono::{DateTime, TimeDelta, Utc};

use super::active_runs::ActiveRuns;
use super::draft::Draft;
use super::planned_dag::PlannedDag;
use crate::dag::{Dag, Overlap};
use crate::failpoint;
use crate::port::{NewRun, Object, SlotOutcome, SlotRow};
use crate::schedule::{Catchup, Decision, MissedRange, Schedule, format_duration};
use crate::state::{IllegalTransition, RunState};

impl PlannedDag {
    /// Writes down a decision: every slot of it becomes a run or part of an entry.
    pub(super) fn enter(
        &self,
        schedule: &Schedule,
        decision: &Decision,
        runs: &mut ActiveRuns,
        draft: &mut Draft<'_>,
    ) -> Result<(), IllegalTransition> {
        if self.row.paused {
            self.skip_all(decision, draft);
            return Ok(());
        }
        for range in &decision.missed {
            let reason = missed_reason(schedule);
            draft.batch.slots.push(self.entry(*range, SlotOutcome::Missed, reason, draft.now));
        }
        self.fire(schedule, &decision.fire, runs, draft)
    }

    /// While a DAG is paused its slots are skipped: all that were due since the last look are one range.
    fn skip_all(&self, decision: &Decision, draft: &mut Draft<'_>) {
        let firsts = decision.fire.iter().copied().chain(decision.missed.iter().map(|range| range.from));
        let lasts = decision.fire.iter().copied().chain(decision.missed.iter().map(|range| range.to));
        if let (Some(from), Some(to)) = (firsts.min(), lasts.max()) {
            let missed: u64 = decision.missed.iter().map(|range| range.count).sum();
            let range = MissedRange { from, to, count: missed + decision.fire.len() as u64 };
            let reason = "the DAG was paused".to_owned();
            draft.batch.slots.push(self.entry(range, SlotOutcome::Skipped, reason, draft.now));
        }
    }

    /// Gives each slot its run, as far as `overlap` lets it have one.
    fn fire(
        &self,
        schedule: &Schedule,
        slots: &[DateTime<Utc>],
        runs: &mut ActiveRuns,
        draft: &mut Draft<'_>,
    ) -> Result<(), IllegalTransition> {
        let dag = &self.row.dag;
        let (mut running, mut queued) = (runs.running(dag), runs.queued(dag));
        for (place, slot) in slots.iter().enumerate() {
            let has_room = running < self.dag.max_active_runs as usize && queued == 0;
            let is_newest = place + 1 == slots.len();
            match self.dag.overlap {
                _ if has_room => {
                    running += 1;
                    self.create_run(schedule, *slot, RunState::Running, draft);
                    continue;
                }
                Overlap::Queue => {}
                Overlap::Skip => {
                    let reason = format!("overlap is skip, and {} had not ended", runs.holders(dag));
                    self.skip(*slot, reason, draft);
                    continue;
                }
                Overlap::CancelPrevious if is_newest => {
                    let reason =
                        format!("overlap is cancel_previous, and slot {} was due", slot.to_rfc3339());
                    runs.supersede(self, &reason, draft)?;
                }
                Overlap::CancelPrevious => {
                    let reason = "overlap is cancel_previous, and a newer slot was due".to_owned();
                    self.skip(*slot, reason, draft);
                    continue;
                }
            }
            queued += 1;
            self.create_run(schedule, *slot, RunState::Queued, draft);
        }
        Ok(())
    }

    fn create_run(&self, schedule: &Schedule, slot: DateTime<Utc>, state: RunState, draft: &mut Draft<'_>) {
        let run = NewRun {
            dag: self.row.dag.clone(),
            version: self.row.version,
            slot,
            interval_start: schedule.previous_before(slot),
            state,
            params: default_params(&self.dag),
            at: draft.now,
        };
        if failpoint::is_on("slot-twice") {
            draft.batch.runs.push(NewRun { slot: slot + TimeDelta::milliseconds(1), ..run.clone() });
        }
        draft.batch.runs.push(run);
    }

    fn skip(&self, slot: DateTime<Utc>, reason: String, draft: &mut Draft<'_>) {
        let range = MissedRange { from: slot, to: slot, count: 1 };
        draft.batch.slots.push(self.entry(range, SlotOutcome::Skipped, reason, draft.now));
    }

    fn entry(
        &self,
        range: MissedRange,
        outcome: SlotOutcome,
        reason: String,
        decided_at: DateTime<Utc>,
    ) -> SlotRow {
        SlotRow {
            dag: self.row.dag.clone(),
            slot: range.from,
            to: range.to,
            count: range.count,
            outcome,
            reason: Some(reason),
            run: None,
            decided_at,
        }
    }
}

fn missed_reason(schedule: &Schedule) -> String {
    let deadline = format_duration(schedule.spec().deadline);
    let policy = match schedule.spec().catchup {
        Catchup::None => "none",
        Catchup::Latest => "latest",
        Catchup::All => "all",
    };
    format!("more than {deadline} late when a leader looked, and catchup is {policy}")
}

fn default_params(dag: &Dag) -> Object {
    let defaults = dag.params.iter().filter_map(|(name, param)| Some((name.clone(), param.default.clone()?)));
    defaults.collect()
}
