//! Trigger rules: what the states of a task's upstream tasks say about it. Airflow's thirteen rules with their exact
//! meaning (airflow/ti_deps/deps/trigger_rule_dep.py, 3.3). A rule decides as early as it can: `all_success` does not
//! wait for the rest once one upstream task failed.

use crate::dag::TriggerRule;
use crate::state::TaskState;

/// How many upstream tasks a task has, and how they ended so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All upstream tasks.
    pub total: u32,
    /// Ended well.
    pub success: u32,
    /// Ended badly; cancelled tasks count here.
    pub failed: u32,
    /// Could not run because of a failure further up.
    pub upstream_failed: u32,
    /// Skipped.
    pub skipped: u32,
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Too early to say.
    Wait,
    /// Start the task.
    Run,
    /// Skip it.
    Skip,
    /// Mark it upstream_failed.
    UpstreamFailed,
}

impl Tally {
    /// Counts one upstream task that ended in `state`. States that are no end are not counted.
    pub fn count(&mut self, state: TaskState) {
        match state {
            TaskState::Success => self.success += 1,
            TaskState::Failed | TaskState::Cancelled => self.failed += 1,
            TaskState::UpstreamFailed => self.upstream_failed += 1,
            TaskState::Skipped => self.skipped += 1,
            TaskState::Waiting
            | TaskState::Queued
            | TaskState::Running
            | TaskState::Deferred
            | TaskState::UpForRetry => {}
        }
    }

    /// How many have ended.
    pub fn done(&self) -> u32 {
        self.success + self.failed + self.upstream_failed + self.skipped
    }

    fn all_done(&self) -> bool {
        self.done() == self.total
    }

    fn any_failed(&self) -> bool {
        self.failed + self.upstream_failed > 0
    }
}

/// What `rule` says about a task whose upstream tasks stand as in `tally`. A task without upstream tasks runs.
pub fn verdict(rule: TriggerRule, tally: &Tally) -> Verdict {
    use TriggerRule as R;
    if tally.total == 0 {
        return Verdict::Run;
    }
    match rule {
        R::AllSuccess => first(&[
            (tally.any_failed(), Verdict::UpstreamFailed),
            (tally.skipped > 0, Verdict::Skip),
            (tally.all_done(), Verdict::Run),
        ]),
        R::AllFailed => {
            first(&[(tally.success + tally.skipped > 0, Verdict::Skip), (tally.all_done(), Verdict::Run)])
        }
        // rota has no setup tasks, and without one Airflow's teardown rule is all_done.
        R::AllDone | R::AllDoneSetupSuccess => first(&[(tally.all_done(), Verdict::Run)]),
        R::AllDoneMinOneSuccess => first(&[
            (tally.skipped > 0, Verdict::Skip),
            (tally.all_done() && tally.success > 0, Verdict::Run),
            (tally.all_done(), Verdict::UpstreamFailed),
        ]),
        R::OneSuccess => first(&[
            (tally.success > 0, Verdict::Run),
            (tally.skipped == tally.total, Verdict::Skip),
            (tally.all_done(), Verdict::UpstreamFailed),
        ]),
        R::OneFailed => first(&[(tally.any_failed(), Verdict::Run), (tally.all_done(), Verdict::Skip)]),
        R::OneDone => first(&[
            (tally.success + tally.failed > 0, Verdict::Run),
            (tally.skipped == tally.total, Verdict::Skip),
            (tally.all_done(), Verdict::UpstreamFailed),
        ]),
        R::NoneFailed => {
            first(&[(tally.any_failed(), Verdict::UpstreamFailed), (tally.all_done(), Verdict::Run)])
        }
        R::NoneFailedMinOneSuccess => first(&[
            (tally.any_failed(), Verdict::UpstreamFailed),
            (tally.skipped == tally.total, Verdict::Skip),
            (tally.all_done(), Verdict::Run),
        ]),
        R::NoneSkipped => first(&[(tally.skipped > 0, Verdict::Skip), (tally.all_done(), Verdict::Run)]),
        R::AllSkipped => {
            first(&[(tally.done() > tally.skipped, Verdict::Skip), (tally.all_done(), Verdict::Run)])
        }
        R::Always => Verdict::Run,
    }
}

fn first(cases: &[(bool, Verdict)]) -> Verdict {
    cases.iter().find(|(holds, _)| *holds).map_or(Verdict::Wait, |(_, verdict)| *verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(total: u32, success: u32, failed: u32, upstream_failed: u32, skipped: u32) -> Tally {
        Tally { total, success, failed, upstream_failed, skipped }
    }

    #[test]
    fn rules_decide_as_airflow_does() {
        use TriggerRule as R;
        use Verdict as V;
        let cases = [
            (R::AllSuccess, tally(2, 1, 0, 0, 0), V::Wait),
            (R::AllSuccess, tally(2, 2, 0, 0, 0), V::Run),
            (R::AllSuccess, tally(2, 0, 1, 0, 0), V::UpstreamFailed),
            (R::AllSuccess, tally(2, 0, 0, 1, 1), V::UpstreamFailed),
            (R::AllSuccess, tally(3, 0, 0, 0, 1), V::Skip),
            (R::AllFailed, tally(2, 0, 1, 1, 0), V::Run),
            (R::AllFailed, tally(2, 0, 1, 0, 1), V::Skip),
            (R::AllDone, tally(2, 1, 0, 0, 0), V::Wait),
            (R::AllDone, tally(2, 0, 1, 0, 1), V::Run),
            (R::AllDoneMinOneSuccess, tally(2, 1, 1, 0, 0), V::Run),
            (R::AllDoneMinOneSuccess, tally(2, 1, 0, 0, 1), V::Skip),
            (R::AllDoneMinOneSuccess, tally(2, 0, 2, 0, 0), V::UpstreamFailed),
            (R::AllDoneSetupSuccess, tally(2, 0, 2, 0, 0), V::Run),
            (R::OneSuccess, tally(3, 1, 0, 0, 0), V::Run),
            (R::OneSuccess, tally(2, 0, 0, 0, 2), V::Skip),
            (R::OneSuccess, tally(2, 0, 1, 0, 1), V::UpstreamFailed),
            (R::OneFailed, tally(3, 0, 0, 1, 0), V::Run),
            (R::OneFailed, tally(2, 1, 0, 0, 1), V::Skip),
            (R::OneDone, tally(3, 0, 1, 0, 0), V::Run),
            (R::OneDone, tally(3, 0, 0, 1, 1), V::Wait),
            (R::OneDone, tally(2, 0, 0, 1, 1), V::UpstreamFailed),
            (R::NoneFailed, tally(2, 0, 0, 0, 2), V::Run),
            (R::NoneFailed, tally(2, 1, 1, 0, 0), V::UpstreamFailed),
            (R::NoneFailedMinOneSuccess, tally(2, 0, 0, 0, 2), V::Skip),
            (R::NoneFailedMinOneSuccess, tally(2, 1, 0, 0, 1), V::Run),
            (R::NoneSkipped, tally(2, 1, 1, 0, 0), V::Run),
            (R::NoneSkipped, tally(2, 0, 0, 0, 1), V::Skip),
            (R::AllSkipped, tally(2, 0, 0, 0, 2), V::Run),
            (R::AllSkipped, tally(2, 0, 0, 1, 0), V::Skip),
            (R::Always, tally(5, 0, 0, 0, 0), V::Run),
            (R::AllFailed, tally(0, 0, 0, 0, 0), V::Run),
        ];
        for (rule, tally, expected) in cases {
            assert_eq!(verdict(rule, &tally), expected, "{rule:?} {tally:?}");
        }
    }

    #[test]
    fn no_rule_waits_once_all_upstream_tasks_have_ended() {
        use TriggerRule as R;
        let rules = [
            R::AllSuccess,
            R::AllFailed,
            R::AllDone,
            R::AllDoneMinOneSuccess,
            R::AllDoneSetupSuccess,
            R::OneSuccess,
            R::OneFailed,
            R::OneDone,
            R::NoneFailed,
            R::NoneFailedMinOneSuccess,
            R::NoneSkipped,
            R::AllSkipped,
            R::Always,
        ];
        for rule in rules {
            for n in 0..256_u32 {
                let tally = tally(
                    (n & 3) + (n >> 2 & 3) + (n >> 4 & 3) + (n >> 6),
                    n & 3,
                    n >> 2 & 3,
                    n >> 4 & 3,
                    n >> 6,
                );
                assert_ne!(verdict(rule, &tally), Verdict::Wait, "{rule:?} {tally:?}");
            }
        }
    }
}
