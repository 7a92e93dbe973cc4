//! The `when`s that are to be evaluated: last of all that a planner does, a bounded number of steps at a time, and each run in
//! turn, so that whatever a file says, all else goes on.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::active_runs::ActiveRuns;
use super::draft::Draft;
use crate::id::{RunId, TaskKey, TaskNo};
use crate::state::IllegalTransition;

/// Steps after which a plan leaves the rest to the next one. With the last question, which takes as many again at most, that
/// is some 40 ms.
const STEPS_PER_PLAN: u64 = 200_000;

/// What each question takes beside the steps of its evaluation.
const STEPS_PER_QUESTION: u64 = 100;

/// Which tasks ask whether their `when` holds.
#[derive(Debug, Default)]
pub(super) struct Questions {
    open: BTreeSet<TaskKey>,
    /// The run whose question was answered last; none before answers may be given at all.
    last: Option<RunId>,
}

impl Questions {
    /// Lets answers begin: with the run that is `turn`-th among those that ask.
    pub(super) fn begin(&mut self, turn: u64) {
        if self.last.is_some() {
            return;
        }
        let runs: BTreeSet<RunId> = self.open.iter().map(|key| key.run).collect();
        let before = usize::try_from(turn % (runs.len().max(1) as u64)).unwrap_or(0);
        self.last = Some(runs.into_iter().nth(before).unwrap_or(RunId(0)));
    }

    /// Whether there is something to answer, and it may be answered.
    pub(super) fn are_open(&self) -> bool {
        self.last.is_some() && !self.open.is_empty()
    }

    /// Takes in what asks, and evaluates as far as the steps go. Returns whether anything was evaluated.
    pub(super) fn answer(
        &mut self,
        runs: &mut ActiveRuns,
        draft: &mut Draft<'_>,
    ) -> Result<bool, IllegalTransition> {
        let mut steps = 0;
        self.open.extend(draft.asks.drain(..));
        while steps < STEPS_PER_PLAN
            && let Some(key) = self.next()
        {
            steps += STEPS_PER_QUESTION;
            let Some(walk) = runs.walk_mut(key.run) else { continue };
            steps += walk.answer(key.node(), draft)?;
            runs.touch(key.run);
            // What follows from the answer may ask as well.
            self.open.extend(draft.asks.drain(..));
        }
        Ok(steps > 0)
    }

    /// Takes the next question: one of each run in turn.
    fn next(&mut self) -> Option<TaskKey> {
        let last = self.last?;
        let after = TaskKey { run: last, task: TaskNo(u32::MAX), index: u32::MAX };
        let next = self.open.range((Bound::Excluded(after), Bound::Unbounded)).next();
        let key = next.or_else(|| self.open.first()).copied()?;
        self.open.remove(&key);
        self.last = Some(key.run);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::{DateTime, Utc};
    use serde_json::Map;

    use super::*;
    use crate::dag::{self, Dag};
    use crate::id::{DagId, DagVersion, IntentId};
    use crate::plan::Planner;
    use crate::port::{Batch, Committed, Intent, IntentKind, RunRow};
    use crate::state::{RunState, TaskState, Trigger};

    /// Takes more than half of the steps of one plan.
    const LONG: &str = "range(130000) | length > 0";

    fn dag(when: &str) -> Arc<Dag> {
        let source = format!(
            "dag: d\ntasks:\n  a: {{noop: true, when: {when:?}}}\n  b: {{noop: true, when: {when:?}}}\n"
        );
        Arc::new(dag::parse("d.yaml", &source).expect("a valid file"))
    }

    fn running(id: i64, now: DateTime<Utc>) -> RunRow {
        RunRow {
            id: RunId(id),
            dag: DagId::trusted("d"),
            version: DagVersion(1),
            slot: None,
            interval_start: None,
            trigger: Trigger::Manual,
            state: RunState::Running,
            params: Map::new(),
            reason: None,
            created_at: now,
            started_at: Some(now),
            finished_at: None,
            ending: None,
        }
    }

    fn planner(runs: std::ops::Range<i64>, when: &str, now: DateTime<Utc>) -> Planner {
        let mut planner = Planner::default();
        for run in runs {
            planner.run_known(running(run, now), dag(when), &[], now).expect("a legal start");
        }
        planner
    }

    /// The runs of the tasks that became queued or ended by their `when`.
    fn answered(batch: &Batch) -> Vec<i64> {
        let queued = batch.queues.iter().map(|task| task.key.task.run.0);
        queued.chain(batch.ends_without_attempt.iter().map(|task| task.key.run.0)).collect()
    }

    #[test]
    fn each_run_is_answered_in_turn_and_few_at_a_time() {
        let now = DateTime::UNIX_EPOCH;
        let mut planner = planner(1..5, LONG, now);
        assert_eq!(
            planner.plan(now).map(|batch| answered(&batch)),
            Ok(vec![]),
            "before answers may be given"
        );
        assert_eq!(planner.wake_at(), None);
        planner.begin_answers(5);
        let mut order = Vec::new();
        while planner.wake_at().is_some_and(|at| at < now) {
            let batch = planner.plan(now).expect("legal moves");
            let answered = answered(&batch);
            assert!((1..=2).contains(&answered.len()), "{answered:?}");
            order.extend(answered);
            planner.committed(batch, Committed::default(), now).expect("legal moves");
        }
        assert_eq!(order, [3, 4, 1, 2, 3, 4, 1, 2]);
    }

    #[test]
    fn a_cancel_that_comes_before_the_answer_ends_the_run_without_one() {
        let now = DateTime::UNIX_EPOCH;
        let mut planner = planner(1..3, "[][0].x", now);
        assert!(planner.plan(now).expect("legal moves").is_empty());
        let cancel = Intent {
            id: IntentId(1),
            run: RunId(1),
            kind: IntentKind::Cancel,
            actor: "ada".to_owned(),
            created_at: now,
        };
        planner.intent(&cancel, now).expect("legal moves");
        planner.begin_answers(0);
        let batch = planner.plan(now).expect("legal moves");
        let ends: Vec<(i64, TaskState)> =
            batch.ends_without_attempt.iter().map(|task| (task.key.run.0, task.state)).collect();
        let (cancelled, failed) = (TaskState::Cancelled, TaskState::Failed);
        assert_eq!(ends, [(1, cancelled), (1, cancelled), (2, failed), (2, failed)]);
    }
}
