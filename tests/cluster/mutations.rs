//! The checker on trial: faults are sown into rota itself, one at a time, and each must turn the checker red by the right
//! rule, in a scenario that is green without it.

use std::thread;
use std::time::Duration;

use rota_tests::lab::dag::{Dag, task};
use rota_tests::lab::is_full;
use rota_tests::lab::rng::Rng;
use rota_tests::witness::check::Rule;
use rota_tests::witness::history::Interruption;

use super::process::Role;
use super::rig::{Cluster, Setup};
use super::workload;

/// How often a scenario is tried before the checker has failed.
const TRIES: u32 = 4;

/// What is done to a cluster.
type Scenario = fn(&mut Cluster, &mut Rng);

/// A fault that is sown.
struct Sown {
    bug: &'static str,
    scenario: Scenario,
    /// Any of these says what is wrong.
    rules: &'static [Rule],
}

const SOWN: [Sown; 12] = [
    Sown { bug: "claim-unguarded", scenario: flood, rules: &[Rule::DoubleStart] },
    Sown { bug: "spawn-before-commit", scenario: calm, rules: &[Rule::DoubleStart] },
    Sown { bug: "downstream-early", scenario: calm, rules: &[Rule::EarlyStart] },
    Sown { bug: "slot-twice", scenario: calm, rules: &[Rule::DoubleRun] },
    Sown { bug: "commit-unfenced", scenario: cut_leader, rules: &[Rule::OldEpoch] },
    Sown { bug: "cursor-apart", scenario: kill_leaders, rules: &[Rule::LostSlot, Rule::BadLedger] },
    Sown { bug: "reap-early", scenario: doze_workers, rules: &[Rule::Overlap] },
    Sown { bug: "no-self-fence", scenario: cut_worker, rules: &[Rule::Overlap, Rule::Outlived] },
    Sown {
        bug: "finish-without-token",
        scenario: cut_worker,
        rules: &[Rule::SuccessWithoutEnd, Rule::EarlyStart, Rule::EndNotRecorded],
    },
    Sown { bug: "on-lost-ignored", scenario: kill_workers, rules: &[Rule::OnceTwice] },
    Sown { bug: "ack-before-claim", scenario: calm, rules: &[Rule::Stuck] },
    Sown { bug: "sweep-off", scenario: wipe_broker, rules: &[Rule::Stuck] },
];

/// Besides the usual load, tasks that outlive a worker's lease.
fn dags() -> Vec<Dag> {
    let mut dags = workload::dags();
    let old = vec![
        task("left", &[], "sleep 9"),
        task("right", &[], "sleep 9"),
        task("after", &["left", "right"], ":"),
    ];
    dags.push(Dag::every(5, "old", old));
    dags
}

fn setup(bug: &'static str) -> Setup {
    let quiet_max = Duration::from_secs(if bug.is_empty() { 60 } else { 20 });
    Setup { schedulers: 2, workers: 2, bug, quiet_max, ..Setup::default() }
}

/// Runs every scenario on a rota without a sown fault: nothing is found.
pub(crate) fn nothing_is_found_without_a_fault(rng: &mut Rng) {
    let mut cluster = Cluster::start("unsown", dags(), setup(""));
    let scenarios: [Scenario; 8] =
        [calm, flood, cut_leader, kill_leaders, doze_workers, cut_worker, kill_workers, wipe_broker];
    for scenario in scenarios {
        scenario(&mut cluster, rng);
    }
    cluster.verdict();
}

/// Sows each fault and expects the checker to name it.
pub(crate) fn each_fault_is_found(rng: &mut Rng) {
    let has_faults = cfg!(debug_assertions);
    assert!(has_faults, "a program built with optimisations has no faults to sow (core/src/failpoint.rs)");
    let missed: Vec<&str> = SOWN.iter().filter(|sown| !is_found(sown, rng)).map(|sown| sown.bug).collect();
    assert!(missed.is_empty(), "the checker is blind to {missed:?}");
}

fn is_found(sown: &Sown, rng: &mut Rng) -> bool {
    let mut cluster = Cluster::start("sown", dags(), setup(sown.bug));
    let tries = if is_full() { TRIES * 2 } else { TRIES };
    for attempt in 1..=tries {
        (sown.scenario)(&mut cluster, rng);
        if let Some(rule) = sown.rules.iter().find(|rule| cluster.breaks(**rule)) {
            println!("  {}: {rule:?} after {attempt} tries", sown.bug);
            return true;
        }
    }
    cluster.heal();
    let found = cluster.judge();
    let named = found.iter().find(|it| sown.rules.contains(&it.rule));
    match named {
        Some(violation) => println!("  {}: {violation}", sown.bug),
        None => {
            let all: Vec<String> = found.iter().take(10).map(ToString::to_string).collect();
            println!("  {}: not found; instead: {all:?}", sown.bug);
        }
    }
    named.is_some()
}

fn calm(_: &mut Cluster, _: &mut Rng) {
    thread::sleep(Duration::from_secs(3));
}

fn flood(cluster: &mut Cluster, _: &mut Rng) {
    thread::sleep(Duration::from_secs(1));
    cluster.flooded(200);
}

fn cut_leader(cluster: &mut Cluster, _: &mut Rng) {
    cluster.leader_cut_from_etcd(Duration::from_secs(5));
}

fn kill_leaders(cluster: &mut Cluster, rng: &mut Rng) {
    for _ in 0..2 {
        // Just after a slot.
        rng.pause_into_second(100, 350);
        cluster.leader_killed();
    }
}

fn doze_workers(cluster: &mut Cluster, rng: &mut Rng) {
    thread::sleep(Duration::from_secs(1));
    let worker = cluster.any_worker(rng);
    let at = rota_tests::lab::rng::now();
    cluster.worker_dozed(&worker, Duration::from_millis(3600));
    // Together with the time since its last heartbeat this may have been more than 4/6 of its lease.
    let until = rota_tests::lab::rng::now() + 2_000_000;
    cluster.history.interruptions.push(Interruption::host(&worker, at, until).spares_some());
}

fn cut_worker(cluster: &mut Cluster, rng: &mut Rng) {
    thread::sleep(Duration::from_secs(2));
    let worker = cluster.any_worker(rng);
    cluster.worker_cut_from_postgres(&worker, Duration::from_secs(9));
    thread::sleep(Duration::from_secs(1));
}

fn kill_workers(cluster: &mut Cluster, rng: &mut Rng) {
    for name in cluster.names(Role::Worker) {
        rng.pause(500, 2500);
        cluster.kill_worker(&name);
        cluster.process(&name).start();
    }
    thread::sleep(Duration::from_secs(1));
}

fn wipe_broker(cluster: &mut Cluster, _: &mut Rng) {
    let at = rota_tests::lab::rng::now();
    // What is published while no worker hears the broker is in it when it is wiped.
    let workers = cluster.names(Role::Worker);
    workers.iter().for_each(|name| cluster.wires[name].broker.cut());
    thread::sleep(Duration::from_millis(2500));
    workers.iter().for_each(|name| cluster.wires[name].broker.reset());
    cluster.services.wipe_broker(&cluster.place);
    workers.iter().for_each(|name| cluster.wires[name].broker.heal());
    cluster.note("broker wiped", at);
    thread::sleep(Duration::from_secs(1));
}
