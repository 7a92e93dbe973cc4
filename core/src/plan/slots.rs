//! The DAGs and their schedules: whose slots are due, and when to look next. What becomes of them `schedule::decide` says. Every slot up to a DAG's cursor has
//! exactly one ledger entry, written in the transaction that moves the cursor ([`super::ledger`] writes them).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::active_runs::ActiveRuns;
use super::draft::Draft;
use super::planned_dag::PlannedDag;
use crate::dag::{Dag, Overlap};
use crate::id::DagId;
use crate::port::{CursorMove, DagRow};
use crate::schedule;
use crate::state::IllegalTransition;

/// Most schedules that one batch looks at, so that a midnight herd does not make one endless transaction.
const DAGS_PER_BATCH: usize = 512;
/// Most slots of one DAG that one batch fires.
const SLOTS_PER_DAG: usize = 256;
/// Most runs of one DAG that wait for their turn. Further slots are decided once there is room.
const QUEUED_RUNS_MAX: usize = 1000;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Slots {
    dags: BTreeMap<DagId, PlannedDag>,
    /// The [`PlannedDag::due`] of all that have one.
    due: BTreeSet<(DateTime<Utc>, DagId)>,
}

impl Slots {
    /// Learns of a DAG, or of a change to it.
    pub(super) fn dag_known(&mut self, row: DagRow, dag: Arc<Dag>) {
        let id = row.dag.clone();
        self.forget_due(&id);
        self.dags.insert(id.clone(), PlannedDag { row, dag, due: None });
        self.schedule_next(&id);
    }

    /// The DAG of that name.
    pub(super) fn get(&self, dag: &DagId) -> Option<&PlannedDag> {
        self.dags.get(dag)
    }

    /// When the first schedule is to be looked at.
    pub(super) fn wake_at(&self) -> Option<DateTime<Utc>> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Looks after a DAG's schedule again that was left alone until there is room.
    pub(super) fn look_again(&mut self, dag: &DagId) {
        if self.dags.get(dag).is_some_and(|known| known.due.is_none()) {
            self.schedule_next(dag);
        }
    }

    /// Decides the slots that are due.
    pub(super) fn fire_due(
        &mut self,
        runs: &mut ActiveRuns,
        draft: &mut Draft<'_>,
    ) -> Result<(), IllegalTransition> {
        let due = self.due.iter().take_while(|(at, _)| *at <= draft.now).take(DAGS_PER_BATCH);
        let due: Vec<DagId> = due.map(|(_, dag)| dag.clone()).collect();
        for dag in due {
            self.fire(&dag, runs, draft)?;
        }
        Ok(())
    }

    fn fire(
        &mut self,
        dag: &DagId,
        runs: &mut ActiveRuns,
        draft: &mut Draft<'_>,
    ) -> Result<(), IllegalTransition> {
        let Some(known) = self.dags.get(dag) else { return Ok(()) };
        let (Some(schedule), Some(cursor)) = (&known.dag.schedule, known.row.cursor) else {
            return Ok(());
        };
        let room = known.room(runs);
        if room == 0 {
            self.forget_due(dag);
            return Ok(());
        }
        let decision = schedule::decide(schedule, cursor, draft.now, room);
        known.enter(schedule, &decision, runs, draft)?;
        self.move_cursor(dag, decision.cursor.max(cursor));
        if decision.cursor > cursor
            && let Some(known) = self.dags.get(dag)
        {
            draft.batch.cursors.push(CursorMove {
                dag: dag.clone(),
                from: Some(cursor),
                to: decision.cursor,
                next_slot: known.row.next_slot,
            });
        }
        Ok(())
    }

    fn move_cursor(&mut self, dag: &DagId, to: DateTime<Utc>) {
        if let Some(known) = self.dags.get_mut(dag) {
            known.row.cursor = Some(to);
        }
        self.schedule_next(dag);
    }

    /// Computes when to look at a DAG's schedule next.
    fn schedule_next(&mut self, dag: &DagId) {
        self.forget_due(dag);
        let Some(known) = self.dags.get_mut(dag) else { return };
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

    /// Takes a DAG off the list of those to be looked at.
    fn forget_due(&mut self, dag: &DagId) {
        if let Some(known) = self.dags.get_mut(dag)
            && let Some(due) = known.due.take()
        {
            self.due.remove(&(due, dag.clone()));
        }
    }
}

impl PlannedDag {
    /// How many slots may be decided now.
    fn room(&self, runs: &ActiveRuns) -> usize {
        if self.row.paused || self.dag.overlap != Overlap::Queue {
            return SLOTS_PER_DAG;
        }
        QUEUED_RUNS_MAX.saturating_sub(runs.queued(&self.row.dag)).min(SLOTS_PER_DAG)
    }
}
