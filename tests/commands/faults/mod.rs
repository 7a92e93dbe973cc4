//! `rota standalone` under faults, judged by what its tasks witnessed.
//!
//! Each test prints its seed; `FAULT_SEED=n` makes the same choices again. `ROTA_TESTS_FULL=1` makes them longer.

#![expect(clippy::unwrap_used, reason = "a test that cannot do what it is about has failed")]

mod lab;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use lab::Lab;
use rota_tests::lab::api::Api;
use rota_tests::lab::dag::{Dag, diamond, task};
use rota_tests::lab::is_full;
use rota_tests::lab::rng::{Rng, now};
use rota_tests::witness::check::{Rule, Violation};
use rota_tests::witness::history::Interruption;
use rota_tests::witness::record::{self, Kind};
use rota_tests::witness::residue;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{rota, wait_for};

/// How long a server is stopped: a worker of a cluster has its tasks killed after 25 s and given to others after 35 s.
const STOPPED: Duration = Duration::from_secs(37);
/// From when on a stopping worker ends what still runs: nearly its `drain_grace` of 10 s.
const DRAIN_MICROS: i64 = 9_000_000;

/// A DAG that is asked for with keys: two tasks, one of which fails at first.
fn asked() -> Dag {
    let flaky = task("second", &["first"], "((ROTA_ATTEMPT > 1)) || finish 5").with("retries: 3");
    Dag::asked("asked", vec![task("first", &[], "sleep 0.3"), flaky])
}

/// Asks for a run by `rota dag trigger`.
fn trigger_by_command(data: &Path, dag: &str, key: &str) -> Option<i64> {
    let param = format!("key={key}");
    let args = ["dag", "trigger", dag, "--param", &param, "--idempotency-key", key, "-o", "json"];
    let end = rota().args(args).arg("--data").arg(data).finish();
    let run: Value = serde_json::from_str(&end.stdout).ok()?;
    run["id"].as_i64().filter(|_| end.code == 0)
}

/// Asks for runs until it is told to stop, each key again and again until it is granted, some even then.
fn ask(data: &Path, mut rng: Rng, is_over: &AtomicBool) -> (Vec<String>, Vec<Violation>) {
    let api = Api::beside(data);
    let (mut granted, mut found): (Vec<(String, i64)>, Vec<Violation>) = (Vec::new(), Vec::new());
    let mut serial = 0;
    while !is_over.load(Ordering::Relaxed) {
        let again = granted.last().filter(|_| rng.percent(30)).cloned();
        let key = again.as_ref().map_or_else(|| format!("key-{serial}"), |(key, _)| key.clone());
        let by_command = rng.percent(30);
        let run =
            if by_command { trigger_by_command(data, "asked", &key) } else { api.trigger("asked", &key) };
        match (run, again) {
            (Some(run), Some((_, before))) if run != before => {
                let what = format!("key {key} was answered with run {before}, then with run {run}");
                found.push(Violation::new(Rule::DoubledKey, what));
            }
            (Some(run), None) => {
                granted.push((key, run));
                serial += 1;
            }
            _ => {}
        }
        rng.pause(50, 500);
    }
    (granted.into_iter().map(|(key, _)| key).collect(), found)
}

#[test]
fn kill_minus_9_at_random_moments_loses_nothing_and_doubles_nothing() {
    let mut rng = Rng::from_environment("kill");
    let stray = "setsid sleep 30 &\nsleep 1";
    let steady = vec![task("once", &[], stray).once(), task("after", &["once"], ":").after_any_end()];
    let steady = Dag { policy: "deadline: 1s, catchup: all", ..Dag::every(5, "steady", steady) };
    let strict = Dag::every(1, "strict", vec![task("beat", &[], ":")]);
    let strict = Dag { policy: "deadline: 1s, catchup: none", must_run: false, ..strict };
    let narrow = vec![task("one", &[], "sleep 0.6"), task("two", &["one"], "sleep 0.3")];
    let narrow = Dag { is_narrow: true, must_run: false, ..Dag::every(1, "narrow", narrow) };
    let mut lab = Lab::start("kill", vec![diamond("tick"), steady, strict, narrow, asked()]);
    let rounds = if is_full() { 60 } else { 12 };
    let is_over = AtomicBool::new(false);
    let (data, asker) = (lab.data(), rng.split());
    let (keys, found) = thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&data, asker, &is_over));
        for _ in 0..rounds {
            // One in five dies while it starts.
            let life = if rng.percent(20) { rng.between(5, 200) } else { rng.between(200, 3000) };
            thread::sleep(Duration::from_millis(life));
            if rng.percent(20) {
                // It is killed while it stops.
                lab.signal(Signal::TERM);
                rng.pause(0, 1000);
            }
            let killed = lab.kill();
            if rng.percent(50) {
                lab.bury(&killed);
                rng.pause(0, 2500);
                lab.spawn();
            } else {
                lab.spawn();
                lab.bury(&killed);
            }
        }
        lab.wait_ready();
        rng.pause(1000, 2000);
        is_over.store(true, Ordering::Relaxed);
        asking.join().unwrap()
    });
    lab.history.keys = keys;
    lab.found.extend(found);
    lab.verdict();
}

#[test]
fn a_graceful_stop_lets_tasks_end_and_takes_up_the_rest_at_the_next_start() {
    let mut rng = Rng::from_environment("stop");
    let long = vec![
        task("long", &[], "((ROTA_ATTEMPT > 1)) || sleep 60"),
        task("once", &[], "sleep 60").once(),
        task("stubborn", &[], "trap '' TERM\n((ROTA_ATTEMPT > 1)) || for i in {1..600}; do sleep 0.1; done")
            .with("grace: 1s"),
    ];
    let mut lab = Lab::start("stop", vec![diamond("tick"), Dag::asked("long", long)]);
    for _ in 0..if is_full() { 12 } else { 3 } {
        rng.pause(500, 2500);
        // All tasks of `tick` end within the time that running tasks are given, so nothing may be lost.
        assert_eq!(lab.stop().code(), Some(0));
        rng.pause(0, 1500);
        lab.spawn();
        lab.wait_ready();
    }
    let api = lab.api();
    wait_for("a run of `long`", || api.trigger("long", "long-1").is_some());
    wait_for("its three tasks", || {
        let (events, _) = record::read(&lab.witness());
        events.iter().filter(|event| event.kind == Kind::Start && event.dag == "long").count() == 3
    });
    let at = now() + DRAIN_MICROS;
    assert_eq!(lab.stop().code(), Some(0));
    lab.history.interruptions.push(Interruption::all(at, now()));
    lab.spawn();
    lab.history.keys.push("long-1".to_owned());
    lab.verdict();
}

#[test]
fn short_pauses_and_dead_wardens_cost_no_attempt() {
    let mut rng = Rng::from_environment("warden");
    let mut lab = Lab::start("warden", vec![diamond("tick"), asked()]);
    for _ in 0..if is_full() { 12 } else { 2 } {
        rng.pause(500, 1500);
        lab.signal(Signal::STOP);
        rng.pause(1000, 4000);
        lab.signal(Signal::CONT);
    }
    for _ in 0..if is_full() { 12 } else { 3 } {
        rng.pause(100, 1500);
        replace_warden(&lab);
    }
    rng.pause(500, 1500);
    let killed = lab.kill();
    lab.bury(&killed);
    lab.spawn();
    lab.wait_ready();
    rng.pause(1500, 2500);
    // Killed in the same moment as its warden, the server leaves tasks behind, which its next start ends.
    let warden = residue::warden_of(lab.pid()).unwrap();
    kill_minus_9(warden);
    let killed = lab.kill();
    lab.spawn();
    lab.bury_within(&killed, Duration::from_secs(10));
    lab.wait_ready();
    rng.pause(1000, 2000);
    lab.verdict();
}

/// Kills the warden and waits until there is another one.
fn replace_warden(lab: &Lab) {
    let before = residue::warden_of(lab.pid()).unwrap();
    kill_minus_9(before);
    wait_for("another warden", || residue::warden_of(lab.pid()).is_some_and(|pid| pid != before));
}

fn kill_minus_9(pid: i32) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn a_standalone_that_is_stopped_beyond_any_lease_goes_on_with_the_tasks_that_it_ran() {
    let mut rng = Rng::from_environment("lease");
    let held = "until [ -e \"$WITNESS_DIR/go\" ]; do sleep 0.1; done";
    let long = vec![task("long", &[], held), task("once", &[], held).once(), task("after", &["long"], ":")];
    let mut lab = Lab::start("lease", vec![Dag::asked("long", long)]);
    let starts = |lab: &Lab| {
        let (events, _) = record::read(&lab.witness());
        let starts = events.into_iter().filter(|event| event.kind == Kind::Start);
        starts.map(|event| (event.task, event.attempt)).collect::<Vec<_>>()
    };
    let api = lab.api();
    wait_for("a run of `long`", || api.trigger("long", "long-1").is_some());
    wait_for("its tasks", || starts(&lab).len() == 2);
    rng.pause(0, 2000);
    lab.signal(Signal::STOP);
    thread::sleep(STOPPED);
    lab.signal(Signal::CONT);
    // The loops of the server have had time to think the worse of it.
    rng.pause(2000, 4000);
    fs::write(lab.witness().join("go"), "").unwrap();
    lab.history.keys.push("long-1".to_owned());
    wait_for("the last task", || starts(&lab).len() > 2);
    let mut started = starts(&lab);
    started.sort();
    assert_eq!(started, [("after", 1), ("long", 1), ("once", 1)].map(|(task, no)| (task.to_owned(), no)));
    lab.verdict();
}

#[test]
fn edits_pauses_cancels_and_retries_leave_everything_accounted_for() {
    let mut rng = Rng::from_environment("storm");
    let held = Dag { must_run: false, ..Dag::every(1, "held", vec![task("beat", &[], ":")]) };
    let edited = Dag::every(1, "edited", vec![task("one", &[], "sleep 0.1"), task("two", &["one"], ":")]);
    // Slots of a schedule that was replaced while nobody led are missed, and that must be told.
    let moved = Dag { must_run: false, ..Dag::every(1, "moved", vec![task("beat", &[], ":")]) };
    let tossed = vec![
        task("first", &[], "sleep 0.$((RANDOM % 6))"),
        task("second", &["first"], "sleep 0.2\n((RANDOM % 3)) || finish 4"),
        task("third", &["first"], "sleep 0.$((RANDOM % 9))"),
        task("last", &["second", "third"], ":"),
    ];
    let tossed = Dag { has_people: true, ..Dag::asked("tossed", tossed) };
    let mut lab = Lab::start("storm", vec![held, edited, moved, tossed]);
    let (edited, moved, data) = (lab.dag_file("edited"), lab.dag_file("moved"), lab.data());
    let is_over = AtomicBool::new(false);
    let (editor, mover, switcher, tosser) = (rng.split(), rng.split(), rng.split(), rng.split());
    let tossing = thread::scope(|scope| {
        scope.spawn(|| edit(&edited, reword, editor, &is_over));
        scope.spawn(|| edit(&moved, reschedule, mover, &is_over));
        scope.spawn(|| switch(&data, switcher, &is_over));
        let tossing = scope.spawn(|| toss(&data, tosser, &is_over));
        for _ in 0..if is_full() { 12 } else { 3 } {
            rng.pause(2000, 4000);
            let killed = lab.kill();
            lab.bury(&killed);
            rng.pause(0, 2500);
            lab.spawn();
            lab.wait_ready();
        }
        rng.pause(1000, 3000);
        is_over.store(true, Ordering::Relaxed);
        tossing.join().unwrap()
    });
    lab.history.interruptions.extend(tossing.cancels);
    lab.history.keys = tossing.keys;
    lab.found.extend(tossing.found);
    assert!(lab.witnessed() > 20, "hardly anything ran");
    lab.verdict();
}

/// Another text that means the same, or a broken one.
fn reword(good: &str, rng: &mut Rng) -> String {
    match rng.between(0, 3) {
        0 => format!("{good}  broken: [\n"),
        1 => good.replace("needs: [one]", "needs: [nobody]"),
        _ => format!("# edition {}\n{good}", rng.between(0, 1_000_000)),
    }
}

/// Another schedule with the same slots.
fn reschedule(good: &str, rng: &mut Rng) -> String {
    good.replace("deadline: 10m", &format!("deadline: {}m", rng.between(10, 20)))
}

/// Changes a file again and again: at once or by renaming, at any moment or just when a slot is due. As it was in the end.
fn edit(file: &Path, change: impl Fn(&str, &mut Rng) -> String, mut rng: Rng, is_over: &AtomicBool) {
    let good = fs::read_to_string(file).unwrap();
    while !is_over.load(Ordering::Relaxed) {
        let text = change(&good, &mut rng);
        if rng.percent(50) {
            fs::write(file, text).unwrap();
        } else {
            let beside = file.with_extension("new");
            fs::write(&beside, text).unwrap();
            fs::rename(&beside, file).unwrap();
        }
        if rng.percent(50) {
            rng.pause(20, 400);
        } else {
            // A change is read some 50 ms after it was made.
            let to_slot = 1_000_000 - now().rem_euclid(1_000_000).unsigned_abs();
            let lead = rng.between(30_000, 90_000);
            thread::sleep(Duration::from_micros((to_slot + 1_000_000 - lead) % 1_000_000));
        }
    }
    fs::write(file, good).unwrap();
}

/// Pauses and releases a DAG again and again. Released in the end.
fn switch(data: &Path, mut rng: Rng, is_over: &AtomicBool) {
    let api = Api::beside(data);
    while !is_over.load(Ordering::Relaxed) {
        let _answered = if rng.percent(50) { api.hold("held") } else { api.release("held") };
        rng.pause(5, 300);
    }
}

/// What came of a storm of triggers, cancels and retries.
#[derive(Default)]
struct Tossing {
    keys: Vec<String>,
    cancels: Vec<Interruption>,
    found: Vec<Violation>,
}

/// Asks for runs, cancels them and asks for their tasks again, as fast as the server answers.
fn toss(data: &Path, mut rng: Rng, is_over: &AtomicBool) -> Tossing {
    let api = Api::beside(data);
    let mut tossing = Tossing::default();
    let mut runs = Vec::new();
    let mut serial = 0;
    while !is_over.load(Ordering::Relaxed) {
        let choice = rng.between(0, 9);
        if choice < 3 || runs.is_empty() {
            serial += 1;
            let key = format!("toss-{serial}");
            runs.extend(api.trigger("tossed", &key));
            // A run that is cancelled before it begins leaves no trace, so keys are only checked for doubles.
        } else {
            let newest = runs.len().min(6) as u64;
            let run: i64 = runs[runs.len() - 1 - rng.between(0, newest - 1) as usize];
            let verb = if choice < 6 { "cancel" } else { "retry" };
            let body = match choice {
                6 | 7 => json!({"failed_only": true}),
                8 => json!({"tasks": ["first"]}),
                9 => json!({"tasks": ["third"]}),
                _ => json!({}),
            };
            let at = now();
            let answer = api.post(&format!("/runs/{run}/{verb}"), &body);
            if verb == "cancel" {
                tossing.cancels.push(Interruption::run(run, at, now() + 20_000_000));
            }
            if let Some((status, body)) = answer.filter(|(status, _)| *status >= 500) {
                let what = format!("{verb} of run {run} was answered with {status}: {body}");
                tossing.found.push(Violation::new(Rule::Disagreement, what));
            }
        }
        rng.pause(0, 120);
    }
    tossing
}
