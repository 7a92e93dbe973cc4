//! What is done to a cluster, one fault at a time, each with its record for the checker and what it cost for the report.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rota_core::id::AttemptKey;
use rota_tests::lab::descriptors::Starved;
use rota_tests::lab::rng::{Rng, now};
use rota_tests::lab::{wait_for, wait_within};
use rota_tests::witness::check::{Rule, Violation};
use rota_tests::witness::history::Interruption;
use rustix::process::Signal;
use serde_json::Value;

use super::process::Role;
use super::rig::{Cluster, LEADER_TTL, SELF_KILL_MAX, WORKER_LEASE};

/// A worker's beats may be unanswered for so long without any task being ended: 4/6 of the lease, less one beat.
const BEATLESS_MAX: Duration = Duration::from_secs(3);
/// A leader that goes on after a stop notices within this time that it leads no more.
const STEP_DOWN_MAX: Duration = Duration::from_secs(1);
/// Slots this long after the end of a fault are counted as hit by it.
const AFTERMATH: Duration = Duration::from_millis(500);

/// Descriptors that are left: too few for the pipes of a process.
const STARVED_SPARE: usize = 3;

/// Durations of one kind, for the report.
#[derive(Default)]
pub(crate) struct Measured(Vec<Duration>);

impl Measured {
    pub(crate) fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub(crate) fn print(&mut self, what: &str) {
        self.0.sort_unstable();
        let (Some(most), count) = (self.0.last(), self.0.len()) else { return };
        let p50 = self.0[count.div_ceil(2) - 1];
        println!("  {what}: {count} times, p50 {:.3} s, max {:.3} s", p50.as_secs_f64(), most.as_secs_f64());
    }
}

impl Cluster {
    /// Ends the leader as `kill -9` does: how long nobody led.
    pub(crate) fn leader_killed(&mut self) -> Duration {
        let leader = self.wait_leader();
        let (at, since) = (now(), Instant::now());
        self.kill(&leader);
        self.wait_leader_besides(&leader);
        let took = since.elapsed();
        thread::sleep(AFTERMATH);
        self.note("leader killed", at);
        self.process(&leader).start();
        took
    }

    /// Asks the leader to stop: how long nobody led.
    pub(crate) fn leader_handed_over(&mut self) -> Duration {
        let leader = self.wait_leader();
        let (at, since) = (now(), Instant::now());
        self.process(&leader).signal(Signal::TERM);
        self.wait_leader_besides(&leader);
        let took = since.elapsed();
        thread::sleep(AFTERMATH);
        self.note("leader handed over", at);
        let status = self.process(&leader).stop(Duration::from_secs(20));
        if status.is_none_or(|status| !status.success()) {
            self.found.push(Violation::new(Rule::Disagreement, format!("{leader} ended with {status:?}")));
        }
        self.process(&leader).start();
        took
    }

    /// Stops the leader for three times its lease, then lets it go on: how long until it knows that it leads no more.
    pub(crate) fn leader_stopped(&mut self) -> Duration {
        let leader = self.wait_leader();
        let at = now();
        self.process(&leader).signal(Signal::STOP);
        self.leader_stopped_since(&leader, at)
    }

    fn leader_stopped_since(&mut self, leader: &str, at: i64) -> Duration {
        let since = Instant::now();
        self.wait_leader_besides(leader);
        let took = since.elapsed();
        thread::sleep(AFTERMATH);
        self.note("leader stopped", at);
        thread::sleep((LEADER_TTL * 3).saturating_sub(took));
        self.process(leader).signal(Signal::CONT);
        let since = Instant::now();
        let process = self.process(leader);
        // As it comes to itself it may answer once what it believed before it was stopped.
        let has_stepped_down = wait_within(STEP_DOWN_MAX * 5, || process.page("/leader") == Some(503));
        let took = since.elapsed();
        if !has_stepped_down || took > STEP_DOWN_MAX {
            let what = format!("{leader} went on after a stop and said for {took:?} that it leads");
            self.found.push(Violation::new(Rule::OldEpoch, what));
        }
        took
    }

    /// Stops the leader inside a transaction that holds the fence: it waits for a lock when it is stopped, and gets it
    /// afterwards. How long nobody led.
    pub(crate) fn leader_stopped_in_transaction(&mut self) -> Duration {
        let leader = self.wait_leader();
        let url = self.services.postgres.url(&self.place.name);
        let hold = "begin; lock table slot in exclusive mode; select pg_sleep(2); commit";
        let held = format!(
            "select count(*) from pg_stat_activity where application_name like '%{leader}%' and wait_event_type = 'Lock'"
        );
        let at = now();
        let mut holder = std::process::Command::new("psql");
        holder.args(["-X", "-q", "-c", hold, "-d", &url]).stdout(std::process::Stdio::null());
        let mut holder = holder.spawn().unwrap();
        wait_within(Duration::from_secs(2), || self.count(&held) > 0);
        self.process(&leader).signal(Signal::STOP);
        let _ended = holder.wait();
        let since = Instant::now();
        self.wait_leader_besides(&leader);
        let took = since.elapsed();
        self.leader_stopped_since(&leader, at);
        took
    }

    /// Cuts the leader off from etcd alone.
    pub(crate) fn leader_cut_from_etcd(&mut self, length: Duration) {
        let (leader, at) = (self.wait_leader(), now());
        self.wires[&leader].etcd.cut();
        thread::sleep(length);
        self.wires[&leader].etcd.heal();
        self.note("leader cut from etcd", at);
    }

    /// Cuts the leader off from Postgres alone.
    pub(crate) fn leader_cut_from_postgres(&mut self, length: Duration) {
        let (leader, at) = (self.wait_leader(), now());
        self.wires[&leader].postgres.cut();
        thread::sleep(length);
        self.wires[&leader].postgres.heal();
        self.wait_leader();
        self.wait_progress();
        self.note("leader cut from Postgres", at);
    }

    /// Takes the leader's lease away behind its back.
    pub(crate) fn lease_revoked(&mut self) {
        self.wait_leader();
        let at = now();
        self.services.revoke_lease(&self.place.prefix);
        self.wait_leader();
        thread::sleep(AFTERMATH);
        self.note("lease revoked", at);
    }

    /// Ends all schedulers and starts them at once: how long until one leads.
    pub(crate) fn schedulers_started_at_once(&mut self) -> Duration {
        let (at, names) = (now(), self.names(Role::Scheduler));
        names.iter().for_each(|name| self.kill(name));
        names.iter().for_each(|name| self.process(name).start());
        let since = Instant::now();
        self.wait_leader();
        let took = since.elapsed();
        thread::sleep(AFTERMATH);
        self.note("all schedulers started at once", at);
        took
    }

    /// Ends etcd for a while, with the leader alive.
    pub(crate) fn etcd_down(&mut self, length: Duration) {
        let at = now();
        self.services.stop_etcd();
        thread::sleep(length);
        self.note("etcd down", at);
        self.services.start_etcd();
    }

    /// Ends etcd and starts it with nothing in it.
    pub(crate) fn etcd_wiped(&mut self) {
        let at = now();
        self.services.etcd.wipe();
        self.wait_leader();
        self.wait_progress();
        self.note("etcd wiped", at);
    }

    /// Waits until all that was queued before an instant is claimed.
    pub(crate) fn wait_claimed(&mut self, before: i64) -> Duration {
        let since = Instant::now();
        let sql = format!("select count(*) from task where state = 'queued' and queued_at < {before}");
        wait_for("the claims of all that was queued", || self.count(&sql) == 0);
        since.elapsed()
    }

    /// Ends the broker as `kill -9` does and starts it again.
    pub(crate) fn broker_killed(&mut self) -> Duration {
        let at = now();
        self.services.rabbit.kill();
        thread::sleep(Duration::from_secs(1));
        self.services.rabbit.start_again();
        let took = self.wait_claimed(now());
        self.note("broker killed", at);
        took
    }

    /// Takes everything out of the broker: how long until all that is queued is claimed.
    pub(crate) fn broker_wiped(&mut self) -> Duration {
        let at = now();
        self.services.wipe_broker(&self.place);
        let took = self.wait_claimed(now());
        self.note("broker wiped", at);
        took
    }

    /// Deletes all queues.
    pub(crate) fn queues_deleted(&mut self) -> Duration {
        let at = now();
        self.services.delete_queues(&self.place);
        let took = self.wait_claimed(now());
        self.note("queues deleted", at);
        took
    }

    /// Closes all connections of the broker.
    pub(crate) fn connections_closed(&mut self) {
        let at = now();
        self.services.close_connections(&self.place);
        thread::sleep(AFTERMATH);
        self.note("broker's connections closed", at);
    }

    /// The broker blocks whoever publishes.
    pub(crate) fn memory_alarm(&mut self, length: Duration) {
        let at = now();
        self.services.memory_alarm();
        thread::sleep(length);
        self.note("memory alarm", at);
        self.services.end_memory_alarm();
    }

    /// Ends Postgres as a crash does and starts it again: how long from its accepting until something runs.
    pub(crate) fn postgres_crashed(&mut self) -> Duration {
        let (at, since) = (now(), Instant::now());
        self.services.postgres.crash();
        self.services.postgres.restart();
        let outage = since.elapsed();
        let took = self.wait_progress();
        if outage > BEATLESS_MAX {
            println!("  Postgres was away for {outage:?}: workers may have ended their tasks");
            let until = now() + SELF_KILL_MAX;
            self.history.interruptions.push(Interruption::all(at, until).spares_some());
        }
        self.note("Postgres crashed", at);
        took
    }

    /// Ends all sessions of the database again and again.
    pub(crate) fn sessions_terminated(&mut self, length: Duration) {
        let (at, since) = (now(), Instant::now());
        while since.elapsed() < length {
            self.services.postgres.terminate_sessions(&self.place.name);
            thread::sleep(Duration::from_millis(200));
        }
        self.note("sessions terminated", at);
    }

    /// Stops a worker beyond its lease: its tasks are gone before others may start them. How long they lived.
    pub(crate) fn worker_stopped(&mut self, name: &str) -> Duration {
        let (at, since) = (now(), Instant::now());
        self.process(name).signal(Signal::STOP);
        let mark = format!("ROTA_WORKER={name}@");
        let lives = rota_tests::witness::residue::lives(&self.strays_of(&mark));
        let is_gone = wait_within(WORKER_LEASE * 2, || {
            !self.strays_of(&mark).iter().any(|stray| lives.contains(&stray.life))
        });
        let lived = since.elapsed();
        if !is_gone || lived > WORKER_LEASE {
            let what = format!("tasks of {name} lived for {lived:?} while it was stopped");
            self.found.push(Violation::new(Rule::Outlived, what));
        }
        thread::sleep((WORKER_LEASE * 3 / 2).saturating_sub(lived));
        self.process(name).signal(Signal::CONT);
        self.history.interruptions.push(Interruption::host(name, at, now()));
        self.note("worker stopped", at);
        lived
    }

    fn strays_of(&self, mark: &str) -> Vec<rota_tests::witness::residue::Stray> {
        let mut strays = rota_tests::witness::residue::of_tasks(&self.witness());
        strays.retain(|stray| stray.life.starts_with(mark));
        strays
    }

    /// Stops a worker for less than its lease, which costs nothing.
    pub(crate) fn worker_dozed(&mut self, name: &str, length: Duration) {
        let at = now();
        self.process(name).signal(Signal::STOP);
        thread::sleep(length);
        self.process(name).signal(Signal::CONT);
        self.note("worker stopped for a moment", at);
    }

    /// Takes a worker its descriptors: it cannot start what it claims, and others have to.
    pub(crate) fn worker_starved(&mut self, name: &str, length: Duration) {
        let at = now();
        let starved = Starved::of(self.process(name).pid(), STARVED_SPARE);
        thread::sleep(length);
        drop(starved);
        self.note("worker without descriptors", at);
    }

    /// How often a worker gave back an attempt that it could not start.
    pub(crate) fn given_back(&mut self) -> usize {
        let logs = self.names(Role::Worker).into_iter().map(|name| self.process(&name).log());
        logs.map(|log| log.matches("is given back: it was not started").count()).sum()
    }

    /// Cuts a worker off from Postgres beyond its lease: it ends its tasks by itself.
    pub(crate) fn worker_cut_from_postgres(&mut self, name: &str, length: Duration) {
        let at = now();
        self.wires[name].postgres.cut();
        thread::sleep(length);
        self.wires[name].postgres.heal();
        let until = (at + SELF_KILL_MAX).min(now());
        self.history.interruptions.push(Interruption::host(name, at, until));
        // What ended before the cut may have been on its way; what was claimed and not answered is lost with its lease.
        self.history.interruptions.push(Interruption::host(name, until, now() + 1_000_000).spares_some());
        self.note("worker cut from Postgres", at);
    }

    /// Cuts the only worker off from Postgres until its attempts are lost and queued again, and kills it. It comes back with
    /// the results that it kept on its disk: how many tasks took one over.
    pub(crate) fn worker_delivered_late(&mut self, name: &str) -> i64 {
        let before = self.taken_over();
        let at = now();
        self.wires[name].postgres.cut();
        let again = "select count(*) from task where state = 'queued' and losses > 0";
        // A call to a silent Postgres is given up after seconds; only then do results go to the disk.
        wait_for("a success on the disk of an attempt that was lost and queued again", || {
            self.kept_successes(name).iter().any(|AttemptKey { task, attempt }| {
                let next = attempt + 1;
                let (run, no) = (task.run, task.task);
                self.count(&format!("{again} and run = {run} and task_no = {no} and attempt = {next}")) > 0
            })
        });
        self.kill_worker(name);
        self.wires[name].postgres.heal();
        self.process(name).start();
        wait_for("attempts that follow lost ones to end", || self.count(again) == 0);
        let until = (at + SELF_KILL_MAX).min(now());
        self.history.interruptions.push(Interruption::host(name, at, until));
        self.history.interruptions.push(Interruption::host(name, until, now()).spares_some());
        self.note("worker delivered late", at);
        self.taken_over() - before
    }

    /// The successes that a worker keeps on its disk until Postgres takes them.
    fn kept_successes(&self, name: &str) -> Vec<AttemptKey> {
        let text = fs::read_to_string(self.home(name).join("results.jsonl")).unwrap_or_default();
        let results = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let successes = results.filter(|result| result["state"] == "success");
        successes.filter_map(|result| serde_json::from_value(result["key"].clone()).ok()).collect()
    }

    /// A worker of this cluster.
    pub(crate) fn any_worker(&self, rng: &mut Rng) -> String {
        rng.pick(&self.names(Role::Worker)).clone()
    }

    /// From the end of each killed worker's attempts to the start of their successors, by what was witnessed.
    pub(crate) fn relaunches(&self) -> Measured {
        let mut measured = Measured::default();
        for attempts in self.history.attempts().values() {
            for pair in attempts.windows(2).filter(|pair| pair[0].end.is_none()) {
                let ended =
                    self.history.interruptions(pair[0].start, pair[0].start.at, pair[1].start.at).next();
                if let Some(it) = ended {
                    measured.add(Duration::from_micros((pair[1].start.at - it.at).unsigned_abs()));
                }
            }
        }
        measured
    }
}
