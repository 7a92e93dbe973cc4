//! The checker is proved: each history has one seeded violation, and it must be named.

use super::*;
use crate::witness::history::{Excuse, Interruption, Plan, Slots, Task};
use crate::witness::record::{Event, Kind};

const SECOND: Micros = 1_000_000;

fn task(name: &str, needs: &[&str]) -> Task {
    Task { name: name.to_owned(), needs: needs.iter().map(ToString::to_string).collect(), ..Task::default() }
}

/// A DAG `d` with the tasks a -> b, where c must not be started twice, and slots every 10 s from 100 to 130.
fn history() -> History {
    let slots =
        Slots { every: 10, possible_from: 90, owed_from: 100, run_to: 110, owed_to: 130, possible_to: 140 };
    let once = Task { once: true, ..task("c", &[]) };
    let plan =
        Plan { tasks: vec![task("a", &[]), task("b", &["a"]), once], slots: Some(slots), ..Plan::default() };
    let mut history = History { quiet_at: 1000 * SECOND, ..History::default() };
    history.dags.insert("d".to_owned(), plan);
    for (run, slot) in [(1, 100), (2, 110), (3, 120), (4, 130)] {
        history.events.extend(attempt((run, slot), "a", 1, (0, 1)));
        history.events.extend(attempt((run, slot), "b", 1, (2, 3)));
    }
    history
}

fn event((run, slot): (i64, i64), name: &str, attempt: u32, kind: Kind) -> Event {
    Event {
        host: "w1".to_owned(),
        kind,
        dag: "d".to_owned(),
        slot: Some(slot),
        run,
        task: name.to_owned(),
        attempt,
        token: run * 1000 + i64::from(name.as_bytes()[0]) * 10 + i64::from(attempt),
        pid: 1,
        at: slot * SECOND,
        boot: slot * 100,
        key: String::new(),
    }
}

fn at(event: Event, second: i64) -> Event {
    Event { at: event.at + second * SECOND, boot: event.boot + second * 100, ..event }
}

/// An attempt that begins and ends so many seconds after the slot.
fn attempt(run: (i64, i64), name: &str, number: u32, (begin, end): (i64, i64)) -> [Event; 2] {
    [at(event(run, name, number, Kind::Start), begin), at(event(run, name, number, Kind::End(0)), end)]
}

fn failed(run: (i64, i64), name: &str, number: u32, (begin, end): (i64, i64)) -> [Event; 2] {
    let [start, stop] = attempt(run, name, number, (begin, end));
    [start, Event { kind: Kind::End(3), ..stop }]
}

fn kill(second: i64) -> Interruption {
    Interruption::all(second * SECOND, (second + 1) * SECOND)
}

fn excuse(from: i64, to: i64) -> Excuse {
    Excuse { dag: "d".to_owned(), from, to, reason: "the DAG was paused".to_owned() }
}

fn rules(history: &History) -> Vec<Rule> {
    let mut rules: Vec<Rule> = check(history).into_iter().map(|violation| violation.rule).collect();
    rules.dedup();
    rules
}

#[test]
fn a_good_history_has_no_violations() {
    assert_eq!(check(&history()), []);
}

#[test]
fn a_lost_slot_is_named_and_a_reason_excuses_it_where_one_may() {
    let mut lost = history();
    lost.events.retain(|event| event.run != 3);
    assert_eq!(rules(&lost), [Rule::LostSlot]);
    lost.excuses.push(excuse(120, 120));
    assert_eq!(rules(&lost), []);
    lost.excuses[0].reason.clear();
    assert_eq!(rules(&lost), [Rule::LostSlot]);

    let mut needless = history();
    needless.events.retain(|event| event.run != 2);
    needless.excuses.push(excuse(110, 110));
    assert_eq!(rules(&needless), [Rule::NeedlessSkip]);

    let mut both = history();
    both.excuses.push(excuse(115, 125));
    assert_eq!(rules(&both), [Rule::RanAndSkipped]);
}

#[test]
fn a_phantom_is_named() {
    for slot in [95, 150] {
        let mut phantom = history();
        phantom.events.extend(attempt((9, slot), "a", 1, (0, 1)));
        assert_eq!(rules(&phantom), [Rule::Phantom], "slot {slot}");
    }
    let mut unknown = history();
    unknown.events.extend(attempt((1, 100), "z", 1, (0, 1)));
    assert_eq!(rules(&unknown), [Rule::Phantom]);
    let mut manual = history();
    manual.events.push(Event { slot: None, ..event((9, 100), "a", 1, Kind::Start) });
    manual.events.push(Event { slot: None, ..event((9, 100), "a", 1, Kind::End(0)) });
    assert_eq!(rules(&manual), [Rule::Phantom]);
}

#[test]
fn a_slot_with_two_runs_is_named() {
    let mut twice = history();
    twice.events.extend(attempt((9, 100), "a", 1, (0, 1)));
    assert_eq!(rules(&twice), [Rule::DoubleRun]);
}

#[test]
fn an_attempt_or_a_claim_started_twice_is_named() {
    let mut twice = history();
    let again = at(event((1, 100), "c", 1, Kind::Start), 1);
    twice.events.extend(attempt((1, 100), "c", 1, (0, 1)));
    twice.events.push(Event { token: 77, ..again });
    twice.events.push(Event { token: 77, ..at(event((1, 100), "c", 1, Kind::End(0)), 2) });
    assert!(rules(&twice).contains(&Rule::DoubleStart), "{:?}", check(&twice));

    let mut claim = history();
    claim.events.extend(attempt((1, 100), "c", 1, (0, 1)));
    claim.events.push(Event {
        token: event((1, 100), "c", 1, Kind::Start).token,
        ..event((2, 110), "c", 1, Kind::Start)
    });
    assert!(rules(&claim).contains(&Rule::DoubleStart), "{:?}", check(&claim));
}

#[test]
fn a_start_after_a_success_is_named_unless_the_result_was_lost() {
    let mut again = history();
    again.events.extend(attempt((4, 130), "b", 2, (10, 11)));
    assert_eq!(rules(&again), [Rule::AfterSuccess]);
    again.interruptions.push(kill(134));
    assert_eq!(rules(&again), []);
    again.interruptions[0] = kill(138);
    assert_eq!(rules(&again), [Rule::AfterSuccess]);
    again.dags.get_mut("d").unwrap().has_people = true;
    assert_eq!(rules(&again), []);
}

#[test]
fn an_overlap_is_named() {
    let mut times = history();
    times.events.retain(|event| !(event.run == 4 && event.task == "b"));
    times.events.extend(failed((4, 130), "b", 1, (2, 6)));
    times.events.extend(attempt((4, 130), "b", 2, (5, 7)));
    assert_eq!(rules(&times), [Rule::Overlap]);
    let mut lock = history();
    lock.events.push(at(event((4, 130), "b", 1, Kind::Overlap), 2));
    assert_eq!(rules(&lock), [Rule::Overlap]);
}

#[test]
fn runs_that_crowd_a_narrow_dag_are_named() {
    let mut crowded = history();
    crowded.dags.get_mut("d").unwrap().is_narrow = true;
    assert_eq!(rules(&crowded), []);
    crowded.events.extend(attempt((1, 100), "c", 1, (9, 11)));
    assert_eq!(rules(&crowded), [Rule::CrowdedRuns]);
}

#[test]
fn an_early_downstream_is_named() {
    let mut early = history();
    early.events.retain(|event| event.run != 4);
    early.events.extend(attempt((4, 130), "a", 1, (0, 3)));
    early.events.extend(attempt((4, 130), "b", 1, (2, 4)));
    assert_eq!(rules(&early), [Rule::EarlyStart]);

    let mut without = history();
    without.events.retain(|event| !(event.run == 4 && event.task == "a"));
    assert_eq!(rules(&without), [Rule::EarlyStart]);

    let mut after_failure = history();
    after_failure.events.retain(|event| event.run != 4);
    after_failure.events.extend(failed((4, 130), "a", 1, (0, 1)));
    after_failure.events.extend(attempt((4, 130), "b", 1, (2, 3)));
    assert_eq!(rules(&after_failure), [Rule::EarlyStart]);
    after_failure.dags.get_mut("d").unwrap().tasks[1].after_any_end = true;
    assert_eq!(rules(&after_failure), []);
}

#[test]
fn a_gap_in_the_attempts_is_named_unless_one_was_interrupted_before_it_began() {
    let mut gap = history();
    gap.events.retain(|event| !(event.run == 4 && event.task == "b"));
    gap.events.extend(attempt((4, 130), "b", 2, (8, 9)));
    assert_eq!(rules(&gap), [Rule::AttemptGap]);
    gap.interruptions.push(kill(133));
    assert_eq!(rules(&gap), []);

    let mut backwards = history();
    backwards.events.retain(|event| !(event.run == 4 && event.task == "b"));
    backwards.events.extend(failed((4, 130), "b", 2, (2, 3)));
    backwards.events.extend(attempt((4, 130), "b", 1, (4, 5)));
    backwards.interruptions.push(kill(120));
    assert_eq!(rules(&backwards), [Rule::AttemptGap]);
}

#[test]
fn a_missing_end_is_named_unless_something_ended_the_attempt() {
    let mut endless = history();
    endless.events.retain(|event| !(event.run == 4 && event.task == "b" && event.kind == Kind::End(0)));
    assert_eq!(rules(&endless), [Rule::MissingEnd]);
    endless.interruptions.push(kill(120));
    assert_eq!(rules(&endless), [Rule::MissingEnd], "that was before it began");
    endless.interruptions[0] = Interruption::run(3, 133 * SECOND, 134 * SECOND);
    assert_eq!(rules(&endless), [Rule::MissingEnd], "that was another run");
    endless.interruptions[0] = kill(133);
    assert_eq!(rules(&endless), []);
}

#[test]
fn an_attempt_that_outlives_its_worker_is_named() {
    let mut outlived = history();
    outlived.events.retain(|event| !(event.run == 4 && event.task == "b"));
    outlived.events.extend(attempt((4, 130), "b", 1, (2, 9)));
    outlived.interruptions.push(kill(135));
    assert_eq!(rules(&outlived), [Rule::Outlived]);
}

#[test]
fn what_happens_to_one_host_excuses_nothing_on_another() {
    let of_host = |host: &str| Interruption::host(host, 133 * SECOND, 134 * SECOND);
    let mut endless = history();
    endless.events.retain(|event| !(event.run == 4 && event.task == "b" && event.kind == Kind::End(0)));
    endless.interruptions.push(of_host("w2"));
    assert_eq!(rules(&endless), [Rule::MissingEnd]);
    endless.interruptions[0] = of_host("w1");
    assert_eq!(rules(&endless), []);
    // The next attempt is another host's.
    let [start, end] = attempt((4, 130), "b", 2, (8, 9));
    endless.events.extend([start, end].map(|event| Event { host: "w2".to_owned(), ..event }));
    assert_eq!(rules(&endless), []);

    let mut again = history();
    again.events.extend(attempt((4, 130), "b", 2, (10, 11)));
    again.interruptions.push(of_host("w2"));
    assert_eq!(rules(&again), [Rule::AfterSuccess]);

    let mut gap = history();
    gap.events.retain(|event| !(event.run == 4 && event.task == "b"));
    gap.events.extend(attempt((4, 130), "b", 2, (8, 9)));
    gap.interruptions.push(of_host("w2"));
    assert_eq!(rules(&gap), [], "an attempt without a line may have been anywhere");
}

#[test]
fn who_may_be_spared_may_live_on() {
    let mut outlived = history();
    outlived.events.retain(|event| !(event.run == 4 && event.task == "b"));
    outlived.events.extend(attempt((4, 130), "b", 1, (2, 9)));
    outlived.interruptions.push(Interruption::host("w2", 135 * SECOND, 136 * SECOND));
    assert_eq!(rules(&outlived), [], "another host's worker was gone");
    outlived.interruptions[0] = Interruption::host("w1", 135 * SECOND, 136 * SECOND);
    assert_eq!(rules(&outlived), [Rule::Outlived]);
    outlived.interruptions[0] = outlived.interruptions[0].clone().spares_some();
    assert_eq!(rules(&outlived), []);
}

#[test]
fn attempts_of_two_hosts_at_a_time_are_named() {
    let mut both = history();
    both.events.extend(failed((1, 100), "c", 1, (0, 5)));
    both.events
        .extend(attempt((1, 100), "c", 2, (4, 6)).map(|event| Event { host: "w2".to_owned(), ..event }));
    both.dags.get_mut("d").unwrap().tasks[2].once = false;
    assert_eq!(rules(&both), [Rule::Overlap]);
}

#[test]
fn a_second_start_of_what_must_not_be_started_twice_is_named() {
    let mut twice = history();
    twice.events.extend(failed((1, 100), "c", 1, (0, 1)));
    twice.events.extend(attempt((1, 100), "c", 2, (2, 3)));
    assert_eq!(rules(&twice), [Rule::OnceTwice]);
}

#[test]
fn keys_make_one_run_each() {
    let mut keys = history();
    keys.keys.push("k1".to_owned());
    assert_eq!(rules(&keys), [Rule::LostKey]);
    for event in keys.events.iter_mut().filter(|event| event.run < 3) {
        event.key = "k1".to_owned();
    }
    assert_eq!(rules(&keys), [Rule::DoubledKey]);
}

#[test]
fn what_comes_after_the_quiet_is_named() {
    let mut late = history();
    late.quiet_at = 132 * SECOND;
    assert_eq!(rules(&late), [Rule::NotQuiet]);
}

#[test]
fn a_witness_that_is_no_good_is_named() {
    let mut torn = history();
    torn.unreadable.push("start|".to_owned());
    assert_eq!(rules(&torn), [Rule::NoEvidence]);
    let mut jumped = history();
    jumped.events[0].boot += 100;
    assert_eq!(rules(&jumped), [Rule::NoEvidence]);
}
