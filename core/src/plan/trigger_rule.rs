//! Trigger rules: what the ends of a task's upstream tasks say about it. Airflow's thirteen rules
//! (airflow/ti_deps/deps/trigger_rule_dep.py, 3.3), except that the order of ends never shows. A rule is a function of how
//! all upstream tasks ended; it decides before that only when every possible rest gives the same answer: `all_success`
//! does not wait for the rest once one task failed, but does once one was skipped, because a failure may still come.

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

    fn ends(&self) -> Ends {
        let ways = [
            (self.success, Ends::SUCCESS),
            (self.failed, Ends::FAILED),
            (self.upstream_failed, Ends::UPSTREAM_FAILED),
            (self.skipped, Ends::SKIPPED),
        ];
        ways.iter().filter(|(count, _)| *count > 0).fold(Ends::NONE, |all, (_, way)| all.and(*way))
    }
}

/// What `rule` says about a task whose upstream tasks stand as in `tally`: the verdict that every possible rest would
/// give, or to wait. So it never depends on which of them ended first. A task without upstream tasks runs.
pub fn verdict(rule: TriggerRule, tally: &Tally) -> Verdict {
    let open = tally.total.saturating_sub(tally.done());
    let so_far = tally.ends();
    if open == 0 {
        return settled(rule, so_far);
    }
    if comes_last(rule) {
        return Verdict::Wait;
    }
    let mut verdicts = Ends::of(open).map(|rest| settled(rule, so_far.and(rest)));
    let first = verdicts.next().unwrap_or(Verdict::Wait);
    if verdicts.all(|other| other == first) { first } else { Verdict::Wait }
}

/// Whether a task waits for all upstream tasks although it does not matter how they end.
fn comes_last(rule: TriggerRule) -> bool {
    matches!(rule, TriggerRule::AllDone | TriggerRule::AllDoneSetupSuccess)
}

/// What `rule` says once all upstream tasks have ended. How many ended in a way never matters, only whether one did.
fn settled(rule: TriggerRule, ends: Ends) -> Verdict {
    use TriggerRule as R;
    use Verdict::{Run, Skip, UpstreamFailed};
    if ends == Ends::NONE {
        return Run;
    }
    let succeeded = ends.has(Ends::SUCCESS);
    let skipped = ends.has(Ends::SKIPPED);
    let failed = ends.has(Ends::FAILED) || ends.has(Ends::UPSTREAM_FAILED);
    match rule {
        R::AllSuccess if failed => UpstreamFailed,
        R::AllSuccess if skipped => Skip,
        R::AllFailed if succeeded || skipped => Skip,
        R::AllDoneMinOneSuccess if skipped => Skip,
        R::AllDoneMinOneSuccess if !succeeded => UpstreamFailed,
        R::OneSuccess | R::OneDone if ends == Ends::SKIPPED => Skip,
        R::OneSuccess if !succeeded => UpstreamFailed,
        R::OneDone if !succeeded && !ends.has(Ends::FAILED) => UpstreamFailed,
        R::OneFailed if !failed => Skip,
        R::NoneFailed | R::NoneFailedMinOneSuccess if failed => UpstreamFailed,
        R::NoneFailedMinOneSuccess if !succeeded => Skip,
        R::NoneSkipped if skipped => Skip,
        R::AllSkipped if ends != Ends::SKIPPED => Skip,
        R::AllSuccess
        | R::AllFailed
        | R::AllDone
        // rota has no setup tasks, and without one Airflow's teardown rule is all_done.
        | R::AllDoneSetupSuccess
        | R::AllDoneMinOneSuccess
        | R::OneSuccess
        | R::OneFailed
        | R::OneDone
        | R::NoneFailed
        | R::NoneFailedMinOneSuccess
        | R::NoneSkipped
        | R::AllSkipped
        | R::Always => Run,
    }
}

/// The ways of ending that occur among some tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ends(u8);

impl Ends {
    const NONE: Self = Self(0);
    const SUCCESS: Self = Self(1);
    const FAILED: Self = Self(2);
    const UPSTREAM_FAILED: Self = Self(4);
    const SKIPPED: Self = Self(8);
    const ALL: Self = Self(15);

    /// Everything that `tasks` tasks, at least one, may turn out to be.
    fn of(tasks: u32) -> impl Iterator<Item = Self> {
        (1..=Self::ALL.0).map(Self).filter(move |ends| ends.0.count_ones() <= tasks)
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn has(self, way: Self) -> bool {
        self.0 & way.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
            (R::AllSuccess, tally(3, 0, 0, 0, 1), V::Wait),
            (R::AllSuccess, tally(3, 2, 0, 0, 1), V::Skip),
            (R::AllSuccess, tally(3, 0, 1, 0, 1), V::UpstreamFailed),
            (R::AllFailed, tally(2, 0, 1, 1, 0), V::Run),
            (R::AllFailed, tally(2, 0, 1, 0, 1), V::Skip),
            (R::AllDone, tally(2, 1, 0, 0, 0), V::Wait),
            (R::AllDone, tally(2, 0, 1, 0, 1), V::Run),
            (R::AllDone, tally(0, 0, 0, 0, 0), V::Run),
            (R::NoneFailed, tally(3, 0, 0, 1, 1), V::UpstreamFailed),
            (R::NoneFailedMinOneSuccess, tally(3, 1, 0, 0, 1), V::Wait),
            (R::OneFailed, tally(3, 1, 0, 0, 1), V::Wait),
            (R::OneSuccess, tally(3, 0, 1, 0, 1), V::Wait),
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
    fn a_failure_is_passed_on_exactly_where_it_decides_alone() {
        for rule in TriggerRule::ALL {
            for end in [TaskState::Failed, TaskState::UpstreamFailed] {
                for above in 1..=4 {
                    let mut tally = Tally { total: above, ..Tally::default() };
                    tally.count(end);
                    let is_decided = verdict(*rule, &tally) == Verdict::UpstreamFailed;
                    assert_eq!(rule.passes_on(end, above as usize), is_decided, "{rule:?} {end:?} {above}");
                }
            }
        }
    }

    const ENDS: [TaskState; 5] = [
        TaskState::Success,
        TaskState::Failed,
        TaskState::Cancelled,
        TaskState::UpstreamFailed,
        TaskState::Skipped,
    ];

    /// All texts of `len` ends.
    fn sequences(len: u32) -> impl Iterator<Item = Vec<TaskState>> {
        let ways = ENDS.len();
        (0..ways.pow(len)).map(move |no| (0..len).map(|place| ENDS[no / ways.pow(place) % ways]).collect())
    }

    /// The verdicts after each end, the first of them before any.
    fn course(rule: TriggerRule, ends: &[TaskState]) -> Vec<Verdict> {
        let mut tally = Tally { total: ends.len() as u32, ..Tally::default() };
        let mut verdicts = vec![verdict(rule, &tally)];
        for end in ends {
            tally.count(*end);
            verdicts.push(verdict(rule, &tally));
        }
        verdicts
    }

    #[test]
    fn every_rule_gives_one_result_whatever_the_order_of_ends() {
        for rule in TriggerRule::ALL {
            for len in 0..=5 {
                let mut results: BTreeMap<Vec<TaskState>, Verdict> = BTreeMap::new();
                for ends in sequences(len) {
                    let verdicts = course(*rule, &ends);
                    let last = *verdicts.last().expect("there is one more than ends");
                    assert_ne!(last, Verdict::Wait, "{rule:?} {ends:?}");
                    let acted = verdicts.iter().find(|verdict| **verdict != Verdict::Wait);
                    assert_eq!(acted, Some(&last), "{rule:?} decides early otherwise than late: {ends:?}");
                    let mut multiset = ends.clone();
                    multiset.sort_unstable();
                    let same = *results.entry(multiset).or_insert(last);
                    assert_eq!(same, last, "{rule:?} {ends:?}");
                }
            }
        }
    }

    #[test]
    fn a_rule_waits_only_while_the_rest_may_change_its_answer() {
        for rule in TriggerRule::ALL {
            for so_far in (0..=3).flat_map(sequences) {
                for open in 1..=3_u32 {
                    let mut tally = Tally { total: so_far.len() as u32 + open, ..Tally::default() };
                    so_far.iter().for_each(|end| tally.count(*end));
                    let mut answers: Vec<Verdict> = Vec::new();
                    for rest in sequences(open) {
                        let mut whole = tally;
                        rest.iter().for_each(|end| whole.count(*end));
                        let answer = verdict(*rule, &whole);
                        if !answers.contains(&answer) {
                            answers.push(answer);
                        }
                    }
                    let waits = verdict(*rule, &tally) == Verdict::Wait;
                    assert_eq!(
                        waits,
                        answers.len() > 1 || comes_last(*rule),
                        "{rule:?} {tally:?} {answers:?}"
                    );
                }
            }
        }
    }
}
