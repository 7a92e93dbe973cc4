//! Everything at random: faults begin and end at any moment, several at a time.

use std::time::{Duration, Instant};

use rota_tests::lab::rng::{Rng, now};
use rota_tests::witness::history::Interruption;
use rota_tests::witness::record::Micros;
use rustix::process::Signal;

use super::process::Role;
use super::rig::Cluster;

/// What was ended by a fault is known to all by then.
const AFTER: Micros = 2_000_000;

/// A fault that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hazard {
    Killed,
    Stopped,
    CutFromPostgres,
    CutFromBroker,
    CutFromEtcd,
    Reset,
    Slow,
}

const HAZARDS: [Hazard; 7] = [
    Hazard::Killed,
    Hazard::Stopped,
    Hazard::CutFromPostgres,
    Hazard::CutFromBroker,
    Hazard::CutFromEtcd,
    Hazard::Reset,
    Hazard::Slow,
];

/// One that has begun.
struct Active {
    hazard: Hazard,
    name: String,
    at: Micros,
    until: Instant,
}

/// Does things to the cluster for so long, then heals all.
pub(crate) fn rage(cluster: &mut Cluster, rng: &mut Rng, length: Duration) {
    let over = Instant::now() + length;
    let mut active: Vec<Active> = Vec::new();
    let mut done = 0;
    while Instant::now() < over {
        done += 1;
        if rng.percent(30) {
            strike(cluster, rng);
        } else {
            active.extend(begin(cluster, rng, &active));
        }
        rng.pause(100, 1200);
        let (ended, rest): (Vec<Active>, Vec<Active>) =
            active.into_iter().partition(|it| Instant::now() >= it.until);
        active = rest;
        ended.iter().for_each(|it| end(cluster, it));
    }
    active.iter().for_each(|it| end(cluster, it));
    cluster.heal();
    println!("  {done} faults in {length:?}");
}

/// Something that is over at once.
fn strike(cluster: &mut Cluster, rng: &mut Rng) {
    match rng.between(0, 4) {
        0 => {
            let at = now();
            cluster.services.revoke_lease(&cluster.place.prefix);
            cluster.note("lease revoked", at);
        }
        1 => cluster.connections_closed(),
        2 => {
            let at = now();
            cluster.services.delete_queues(&cluster.place);
            cluster.note("queues deleted", at);
        }
        3 => {
            let at = now();
            cluster.services.postgres.terminate_sessions(&cluster.place.name);
            cluster.note("sessions terminated", at);
        }
        _ => {
            let at = now();
            cluster.services.postgres.crash();
            cluster.services.postgres.restart();
            cluster.note("Postgres crashed", at);
            // Together with other faults a worker may have been without an answer for too long.
            let until = now() + AFTER;
            cluster.history.interruptions.push(Interruption::all(at, until).spares_some());
        }
    }
}

/// Something that lasts, done to one process. At most two are hit at a time, so that work goes on.
fn begin(cluster: &mut Cluster, rng: &mut Rng, active: &[Active]) -> Option<Active> {
    let hazard = *rng.pick(&HAZARDS);
    let role = if rng.percent(50) { Role::Scheduler } else { Role::Worker };
    let leader = cluster.leader().filter(|_| role == Role::Scheduler && rng.percent(70));
    let name = leader.unwrap_or_else(|| rng.pick(&cluster.names(role)).clone());
    if active.len() >= 2 || active.iter().any(|it| it.name == name) {
        return None;
    }
    let at = now();
    let length = Duration::from_millis(rng.between(200, 8000));
    match hazard {
        Hazard::Killed if role == Role::Worker => drop(cluster.kill_worker(&name)),
        Hazard::Killed => cluster.kill(&name),
        Hazard::Stopped => cluster.process(&name).signal(Signal::STOP),
        Hazard::CutFromPostgres => cluster.wires[&name].postgres.cut(),
        Hazard::CutFromBroker => cluster.wires[&name].broker.cut(),
        Hazard::CutFromEtcd => cluster.wires[&name].etcd.cut(),
        Hazard::Reset => {
            let wires = &cluster.wires[&name];
            wires.postgres.reset();
            wires.broker.reset();
            wires.etcd.reset();
        }
        Hazard::Slow => {
            let wires = &cluster.wires[&name];
            wires.postgres.slow(Duration::from_millis(100));
            wires.broker.slow(Duration::from_millis(200));
            wires.etcd.slow(Duration::from_millis(200));
        }
    }
    Some(Active { hazard, name, at, until: Instant::now() + length })
}

fn end(cluster: &mut Cluster, it: &Active) {
    match it.hazard {
        Hazard::Killed => cluster.process(&it.name).start(),
        Hazard::Stopped => cluster.process(&it.name).signal(Signal::CONT),
        _ => {
            let wires = &cluster.wires[&it.name];
            wires.postgres.heal();
            wires.broker.heal();
            wires.etcd.heal();
        }
    }
    let is_worker = cluster.process(&it.name).role == Role::Worker;
    let is_beatless = matches!(it.hazard, Hazard::Stopped | Hazard::CutFromPostgres);
    if is_worker && is_beatless {
        // Even a short time is too long together with what else was done.
        let interruption = Interruption::host(&it.name, it.at, now() + AFTER).spares_some();
        cluster.history.interruptions.push(interruption);
    }
    cluster.note(&format!("{:?}", it.hazard), it.at);
}
