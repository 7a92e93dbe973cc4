//! The runs that have not ended: which of each DAG wait and which go on, who starts next, who gives way, who is done.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::Draft;
use super::planned_dag::PlannedDag;
use super::run::RunWalk;
use crate::id::{AttemptKey, DagId, RunId};
use crate::port::{Batch, Change, Ending};
use crate::state::{IllegalTransition, RunState};

/// Most queued runs of a deleted DAG that one batch ends.
const DROPS_PER_BATCH: usize = 256;
/// Runs that are named where a DAG has no room.
const HOLDERS_NAMED: usize = 3;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct ActiveRuns {
    walks: BTreeMap<RunId, RunWalk>,
    queued_runs: BTreeMap<DagId, BTreeSet<RunId>>,
    running_runs: BTreeMap<DagId, BTreeSet<RunId>>,
    /// DAGs whose queued runs may have got room.
    dags_to_check: BTreeSet<DagId>,
    /// Runs that something happened to, so that they may have come to their end.
    touched: BTreeSet<RunId>,
    /// Runs that the current batch moves or begins to end. A batch changes a run once: a second change waits for the next.
    moved: BTreeSet<RunId>,
    /// Runs that the current batch ends, with their DAGs: they are no longer walked when others hear of it.
    ended: BTreeMap<RunId, DagId>,
}

impl ActiveRuns {
    /// Takes in a run that was read from its rows, also a finished one of which tasks are to run again.
    pub(super) fn add(&mut self, walk: RunWalk) {
        let (run, dag) = (walk.id(), walk.row().dag.clone());
        match walk.row().state {
            RunState::Queued => self.line_up(run, dag),
            RunState::Running => _ = self.running_runs.entry(dag).or_default().insert(run),
            RunState::Success | RunState::Failed | RunState::Cancelled => {}
        }
        if !walk.row().state.is_terminal() {
            self.touched.insert(run);
        }
        self.walks.insert(run, walk);
    }

    /// All of them, by number.
    pub(super) fn walks(&self) -> impl Iterator<Item = &RunWalk> {
        self.walks.values()
    }

    /// One of them.
    pub(super) fn walk(&self, run: RunId) -> Option<&RunWalk> {
        self.walks.get(&run)
    }

    /// One of them. Whoever changes it says so with [`Self::touch`].
    pub(super) fn walk_mut(&mut self, run: RunId) -> Option<&mut RunWalk> {
        self.walks.get_mut(&run)
    }

    /// Something happened to this run.
    pub(super) fn touch(&mut self, run: RunId) {
        self.touched.insert(run);
    }

    /// Something happened to this DAG.
    pub(super) fn check(&mut self, dag: DagId) {
        self.dags_to_check.insert(dag);
    }

    /// Runs of a DAG that wait for their turn.
    pub(super) fn queued(&self, dag: &DagId) -> usize {
        self.queued_runs.get(dag).map_or(0, BTreeSet::len)
    }

    /// Runs of a DAG that go on.
    pub(super) fn running(&self, dag: &DagId) -> usize {
        self.running_runs.get(dag).map_or(0, BTreeSet::len)
    }

    /// The running runs of a DAG, in words: `run 41`, `runs 41, 42`.
    pub(super) fn holders(&self, dag: &DagId) -> String {
        let runs = self.running_runs.get(dag).into_iter().flatten();
        let runs: Vec<String> = runs.take(HOLDERS_NAMED).map(RunId::to_string).collect();
        match runs.as_slice() {
            [] => "an earlier run".to_owned(),
            [run] => format!("run {run}"),
            runs => format!("runs {}", runs.join(", ")),
        }
    }

    /// The time of a task's next attempt has come. Returns false if that is no longer so.
    pub(super) fn retry_due(&mut self, key: AttemptKey) -> bool {
        self.walks.get_mut(&key.task.run).is_some_and(|walk| walk.retry_due(key))
    }

    /// Begins to end a run: its tasks are cancelled, and it ends once they have ended.
    pub(super) fn end(
        &mut self,
        run: RunId,
        ending: Ending,
        draft: &mut Draft<'_>,
    ) -> Result<(), IllegalTransition> {
        let Some(walk) = self.walks.get_mut(&run) else { return Ok(()) };
        walk.end(ending, draft)?;
        self.moved.insert(run);
        self.touched.insert(run);
        Ok(())
    }

    /// Cancels a run that has not started.
    pub(super) fn cancel_queued(
        &mut self,
        run: RunId,
        reason: &str,
        draft: &mut Draft<'_>,
    ) -> Result<(), IllegalTransition> {
        let Some(walk) = self.walks.remove(&run) else { return Ok(()) };
        let dag = walk.row().dag.clone();
        walk.cancel_queued(reason, draft)?;
        leave(&mut self.queued_runs, &dag, run);
        self.ended.insert(run, dag);
        Ok(())
    }

    /// A finished run waits for its turn again.
    pub(super) fn requeue(&mut self, run: RunId, dag: DagId) {
        self.moved.insert(run);
        self.line_up(run, dag);
    }

    /// `overlap: cancel_previous`: ends the oldest active run and drops scheduled runs that have not started.
    pub(super) fn supersede(
        &mut self,
        known: &PlannedDag,
        reason: &str,
        draft: &mut Draft<'_>,
    ) -> Result<(), IllegalTransition> {
        let dag = &known.row.dag;
        let queued: Vec<RunId> = self.queued_runs.get(dag).into_iter().flatten().copied().collect();
        for run in queued {
            if self.is_of_schedule_alone(run) {
                self.cancel_queued(run, reason, draft)?;
            }
        }
        if self.running(dag) < known.dag.max_active_runs as usize {
            return Ok(());
        }
        let mut running = self.running_runs.get(dag).into_iter().flatten().copied();
        let goes_on = |run: &RunId| self.walks.get(run).is_some_and(|walk| walk.row().ending.is_none());
        match running.find(goes_on) {
            Some(run) => {
                self.end(run, Ending { state: RunState::Cancelled, reason: reason.to_owned() }, draft)
            }
            None => Ok(()),
        }
    }

    /// Ends the runs whose tasks have all ended, and lets go of finished ones of which nothing was wanted in the end.
    pub(super) fn finish_ended(&mut self, draft: &mut Draft<'_>) -> Result<(), IllegalTransition> {
        for run in std::mem::take(&mut self.touched) {
            let Some(walk) = self.walks.get(&run) else { continue };
            if walk.row().state.is_terminal() {
                self.walks.remove(&run);
            } else if walk.is_over() && self.moved.contains(&run) {
                self.touched.insert(run);
            } else if walk.is_over() {
                walk.finish(draft)?;
                let dag = walk.row().dag.clone();
                self.walks.remove(&run);
                leave(&mut self.running_runs, &dag, run);
                self.ended.insert(run, dag.clone());
                self.dags_to_check.insert(dag);
            }
        }
        Ok(())
    }

    /// Takes the DAGs whose queued runs may have got room.
    pub(super) fn take_dags_to_check(&mut self) -> BTreeSet<DagId> {
        std::mem::take(&mut self.dags_to_check)
    }

    /// The batch is complete: what it moved may move again in the next one.
    pub(super) fn close_batch(&mut self) {
        for run in std::mem::take(&mut self.moved) {
            // A run that was put into line by this batch may be started by the next.
            self.dags_to_check.extend(self.walks.get(&run).map(|walk| walk.row().dag.clone()));
        }
    }

    /// The runs and DAGs that a committed batch is about.
    pub(super) fn changes_of(&mut self, batch: &Batch) -> Vec<Change> {
        let tasks = batch.queues.iter().chain(&batch.requeues).map(|it| it.key.task.run);
        let tasks = tasks.chain(batch.ends_without_attempt.iter().map(|it| it.key.run));
        let tasks = tasks.chain(batch.retries.iter().map(|it| it.key.task.run));
        let tasks = tasks.chain(batch.lost_for_good.iter().map(|(key, _)| key.task.run));
        let tasks = tasks.chain(batch.cancels.iter().map(|(key, _)| key.run));
        let runs: BTreeSet<RunId> = tasks.chain(batch.run_transitions.iter().map(|it| it.run)).collect();
        let mut dags: BTreeSet<&DagId> = batch.slots.iter().map(|it| &it.dag).collect();
        dags.extend(batch.runs.iter().map(|it| &it.dag));
        let mut ended = std::mem::take(&mut self.ended);
        let runs = runs.into_iter().filter_map(|run| {
            let dag = ended.remove(&run).or_else(|| Some(self.walks.get(&run)?.row().dag.clone()))?;
            Some(Change::Run { run, dag })
        });
        runs.chain(dags.into_iter().cloned().map(Change::Dag)).collect()
    }

    /// Ends the queued runs that only the schedule of a deleted file wanted: a file that comes back starts anew, so nobody
    /// would ever let them go. In several batches if there are many.
    pub(super) fn cancel_queued_of_deleted(
        &mut self,
        dag: &DagId,
        draft: &mut Draft<'_>,
    ) -> Result<(), IllegalTransition> {
        let queued = self.queued_runs.get(dag).into_iter().flatten().copied();
        let is_idle = |run: &RunId| self.is_of_schedule_alone(*run) && !self.moved.contains(run);
        let ended: Vec<RunId> = queued.filter(is_idle).take(DROPS_PER_BATCH).collect();
        if ended.len() == DROPS_PER_BATCH {
            self.dags_to_check.insert(dag.clone());
        }
        for run in ended {
            self.cancel_queued(run, "its DAG's file was deleted before it started", draft)?;
        }
        Ok(())
    }

    /// The oldest queued run that may start. Scheduled ones are held while their DAG is paused or its file is gone.
    pub(super) fn next_to_start(&self, dag: &DagId, known: Option<&PlannedDag>) -> Option<RunId> {
        let queued = self.queued_runs.get(dag)?;
        if self.running(dag) >= known.map_or(usize::MAX, |known| known.dag.max_active_runs as usize) {
            return None;
        }
        let held = known.is_some_and(|known| known.row.paused || !known.row.present);
        let mut free = queued.iter().copied().filter(|run| !self.moved.contains(run));
        free.find(|run| !held || self.walks.get(run).is_some_and(|walk| !walk.is_of_schedule_alone()))
    }

    /// Starts a queued run.
    pub(super) fn start(
        &mut self,
        run: RunId,
        dag: &DagId,
        draft: &mut Draft<'_>,
    ) -> Result<(), IllegalTransition> {
        leave(&mut self.queued_runs, dag, run);
        self.running_runs.entry(dag.clone()).or_default().insert(run);
        let Some(walk) = self.walks.get_mut(&run) else { return Ok(()) };
        walk.start(draft)?;
        self.moved.insert(run);
        self.touched.insert(run);
        Ok(())
    }

    fn line_up(&mut self, run: RunId, dag: DagId) {
        self.queued_runs.entry(dag.clone()).or_default().insert(run);
        self.dags_to_check.insert(dag);
    }

    fn is_of_schedule_alone(&self, run: RunId) -> bool {
        self.walks.get(&run).is_some_and(RunWalk::is_of_schedule_alone)
    }
}

fn leave(sets: &mut BTreeMap<DagId, BTreeSet<RunId>>, dag: &DagId, run: RunId) {
    if let Some(set) = sets.get_mut(dag) {
        set.remove(&run);
        if set.is_empty() {
            sets.remove(dag);
        }
    }
}
