//! The cluster under faults: real processes and services, judged by what tasks and Postgres witnessed.
//!
//! Each test prints its seed; `FAULT_SEED=n` makes the same choices again. `ROTA_TESTS_FULL=1` makes them longer. The tests
//! take turns, because they break the services that they share.

#![expect(clippy::unwrap_used, reason = "a test that cannot do what it is about has failed")]

mod faults;
mod flood;
mod mutations;
mod nemesis;
mod process;
mod rig;
mod services;
mod workload;

use std::time::Duration;

use faults::Measured;
use process::Role;
use rig::{Cluster, Setup};
use rota_tests::lab::is_full;
use rota_tests::lab::rng::Rng;
use workload::dags;

/// How often something is done: in the short form, and in the long one.
fn times(short: u32, long: u32) -> u32 {
    if is_full() { long } else { short }
}

fn seconds(short: u64, long: u64) -> Duration {
    Duration::from_secs(if is_full() { long } else { short })
}

#[test]
fn a_leader_that_is_killed_or_stops_is_followed_at_once() {
    let mut rng = Rng::from_environment("leaders");
    let mut cluster = Cluster::start("leaders", dags(), Setup::default());
    let (mut killed, mut handed) = (Measured::default(), Measured::default());
    for _ in 0..times(5, 50) {
        rng.pause(300, 2000);
        rng.pause_into_second(940, 1000);
        killed.add(cluster.leader_killed());
    }
    for _ in 0..times(3, 50) {
        rng.pause(500, 2000);
        rng.pause_into_second(940, 1000);
        handed.add(cluster.leader_handed_over());
    }
    killed.print("leader killed, until another one led");
    handed.print("leader asked to stop, until another one led");
    cluster.verdict();
}

#[test]
fn leaders_that_are_stopped_and_go_on_commit_nothing() {
    let mut rng = Rng::from_environment("stopped");
    let mut cluster = Cluster::start("stopped", dags(), Setup::default());
    let (mut stopped, mut frozen, mut started) =
        (Measured::default(), Measured::default(), Measured::default());
    for _ in 0..times(2, 20) {
        rng.pause(300, 1500);
        stopped.add(cluster.leader_stopped());
    }
    for _ in 0..times(2, 20) {
        rng.pause(300, 1500);
        frozen.add(cluster.leader_stopped_in_transaction());
    }
    for _ in 0..times(2, 50) {
        rng.pause(300, 1500);
        started.add(cluster.schedulers_started_at_once());
    }
    stopped.print("stopped leader goes on, until it stepped down");
    frozen.print("leader stopped inside a transaction, until another one led");
    started.print("all schedulers started at once, until one led");
    cluster.verdict();
}

#[test]
fn without_the_fast_path_a_dead_leader_is_followed_when_its_lease_ends() {
    let mut rng = Rng::from_environment("lease");
    let setup = Setup { fast_path: false, ..Setup::default() };
    let mut cluster = Cluster::start("lease", dags(), setup);
    let mut killed = Measured::default();
    for _ in 0..times(3, 50) {
        rng.pause(300, 2000);
        killed.add(cluster.leader_killed());
    }
    killed.print("leader killed, until another one led");
    cluster.verdict();
}

#[test]
fn etcd_decides_who_tries_and_nothing_else() {
    let mut rng = Rng::from_environment("etcd");
    let mut cluster = Cluster::start("etcd", dags(), Setup::default());
    for _ in 0..times(2, 10) {
        rng.pause(500, 2000);
        cluster.leader_cut_from_etcd(Duration::from_millis(rng.between(3000, 6000)));
    }
    for _ in 0..times(4, 30) {
        rng.pause(1500, 3000);
        cluster.lease_revoked();
    }
    cluster.etcd_down(seconds(8, 60));
    rng.pause(1000, 2000);
    for _ in 0..times(1, 5) {
        cluster.etcd_wiped();
        rng.pause(1000, 3000);
    }
    cluster.verdict();
}

#[test]
fn the_broker_decides_who_is_woken_and_nothing_else() {
    let mut rng = Rng::from_environment("broker");
    let mut cluster = Cluster::start("broker", dags(), Setup::default());
    let (mut killed, mut wiped, mut deleted) =
        (Measured::default(), Measured::default(), Measured::default());
    for _ in 0..times(2, 10) {
        rng.pause(1000, 2000);
        cluster.connections_closed();
        rng.pause(1000, 2000);
        deleted.add(cluster.queues_deleted());
    }
    cluster.flooded(times(2000, 10_000) as usize);
    cluster.memory_alarm(seconds(5, 30));
    for _ in 0..times(1, 5) {
        rng.pause(1000, 2000);
        killed.add(cluster.broker_killed());
        rng.pause(1000, 2000);
        wiped.add(cluster.broker_wiped());
    }
    killed.print("broker killed and back, until all that was queued was claimed");
    wiped.print("broker wiped, until all that was queued was claimed");
    deleted.print("queues deleted, until all that was queued was claimed");
    cluster.verdict();
}

#[test]
fn postgres_crashes_and_nothing_is_lost_or_doubled() {
    let mut rng = Rng::from_environment("postgres");
    let mut cluster = Cluster::start("postgres", dags(), Setup::default());
    let mut crashed = Measured::default();
    for _ in 0..times(3, 50) {
        rng.pause(1000, 3000);
        crashed.add(cluster.postgres_crashed());
    }
    cluster.sessions_terminated(seconds(6, 60));
    for _ in 0..times(1, 10) {
        rng.pause(1000, 2000);
        cluster.leader_cut_from_postgres(Duration::from_millis(rng.between(3000, 8000)));
    }
    crashed.print("Postgres crashed, from its accepting until something ran");
    cluster.verdict();
}

#[test]
fn workers_die_with_their_tasks_and_others_take_over() {
    let mut rng = Rng::from_environment("workers");
    let mut cluster = Cluster::start("workers", dags(), Setup::default());
    let (mut buried, mut stopped, mut late) = (Measured::default(), Measured::default(), 0);
    for _ in 0..times(4, 50) {
        rng.pause(500, 2500);
        let worker = cluster.any_worker(&mut rng);
        let after = cluster.kill_worker(&worker);
        late += after.late;
        buried.add(after.took);
        if rng.percent(50) {
            rng.pause(0, 8000);
        }
        cluster.process(&worker).start();
    }
    for _ in 0..times(1, 10) {
        rng.pause(1000, 2000);
        let worker = cluster.any_worker(&mut rng);
        cluster.worker_dozed(&worker, Duration::from_millis(rng.between(500, 2500)));
        rng.pause(1000, 2000);
        let worker = cluster.any_worker(&mut rng);
        stopped.add(cluster.worker_stopped(&worker));
        rng.pause(1000, 2000);
        let worker = cluster.any_worker(&mut rng);
        cluster.worker_cut_from_postgres(&worker, Duration::from_millis(rng.between(7000, 10_000)));
    }
    buried.print("worker killed, until none of its tasks was alive");
    println!("  processes alive 1 s after a kill: {late}");
    stopped.print("worker stopped, until none of its tasks was alive");
    assert_eq!(cluster.names(Role::Worker).len(), 3);
    cluster.verdict();
}

#[test]
fn a_worker_without_descriptors_gives_back_what_it_claimed_and_others_run_it() {
    let mut rng = Rng::from_environment("starved");
    let mut cluster = Cluster::start("starved", dags(), Setup::default());
    for _ in 0..times(3, 30) {
        rng.pause(1000, 2000);
        let worker = cluster.any_worker(&mut rng);
        cluster.worker_starved(&worker, Duration::from_millis(rng.between(2000, 4000)));
    }
    println!("  attempts given back: {}", cluster.given_back());
    assert!(cluster.given_back() > 0);
    cluster.verdict();
}

#[test]
fn a_result_that_comes_late_ends_its_task_and_the_next_attempt_never_starts() {
    let mut rng = Rng::from_environment("late");
    let setup = Setup { schedulers: 1, workers: 1, ..Setup::default() };
    let mut cluster = Cluster::start("late", dags(), setup);
    let worker = cluster.names(Role::Worker).remove(0);
    let mut taken_over = 0;
    for _ in 0..times(1, 10) {
        // Tasks of four seconds start every three.
        rng.pause(4000, 6000);
        taken_over += cluster.worker_delivered_late(&worker);
    }
    println!("  late successes that their tasks took over: {taken_over}");
    assert!(taken_over > 0);
    cluster.verdict();
}

#[test]
fn everything_at_random_loses_nothing_and_doubles_nothing() {
    let mut rng = Rng::from_environment("nemesis");
    let mut cluster = Cluster::start("nemesis", dags(), Setup::default());
    nemesis::rage(&mut cluster, &mut rng, seconds(20, 300));
    cluster.verdict();
}

#[test]
fn the_checker_is_green_on_what_is_to_be_sown() {
    mutations::nothing_is_found_without_a_fault(&mut Rng::from_environment("unsown"));
}

#[test]
fn the_checker_finds_every_sown_fault() {
    mutations::each_fault_is_found(&mut Rng::from_environment("sown"));
}
