//! A cluster on this machine: real processes, each with its own fault proxy to each service, and the record of what was
//! done to them. Judged in the end by what its tasks and Postgres witnessed.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::MutexGuard;
use std::thread;
use std::time::{Duration, Instant};

use rota_backend::{PostgresOptions, PostgresStore, postgres_migrate};
use rota_tests::lab::api::Api;
use rota_tests::lab::burial::{BURIAL_MAX, Buried, Killed};
use rota_tests::lab::dag::Dag;
use rota_tests::lab::rng::now;
use rota_tests::lab::{calm, wait_for, wait_within};
use rota_tests::proxy::{Proxy, Way};
use rota_tests::services::free_port;
use rota_tests::services::together::{Place, Services};
use rota_tests::witness::check::{Rule, Violation, check};
use rota_tests::witness::history::{Fault, History, Interruption};
use rota_tests::witness::record::{self, Micros, SCRIPT};
use rota_tests::witness::{agree, commits, lateness, residue};
use rustix::process::Signal;
use tempfile::TempDir;

use super::process::{Process, Role};
use super::services::take;
use super::workload::BEAT;

/// The leader's lease in etcd.
pub(crate) const LEADER_TTL: Duration = Duration::from_secs(2);
/// A worker's lease: TERM to its tasks at 4/6, KILL at 5/6, given up at 7/6.
pub(crate) const WORKER_LEASE: Duration = Duration::from_secs(6);
/// A worker that cannot beat has ended its tasks by then: 5/6 of its lease, and what the machine needs.
pub(crate) const SELF_KILL_MAX: Micros = 6_000_000;
/// How long a stopping process may take.
const STOP_MAX: Duration = Duration::from_secs(30);
const SECOND: Micros = 1_000_000;
const TOKEN: &str = "witness-of-the-cluster-tests-0123456789";

/// What a cluster is made of.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) schedulers: usize,
    pub(crate) workers: usize,
    /// Whether standbys hold a connection to the leader, so that they see its end at once.
    pub(crate) fast_path: bool,
    /// The fault that is sown into them.
    pub(crate) bug: &'static str,
    /// Within this time after the last disturbance everything must have ended.
    pub(crate) quiet_max: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        Self { schedulers: 3, workers: 3, fast_path: true, bug: "", quiet_max: Duration::from_secs(60) }
    }
}

/// Between a process and the services: a proxy each.
pub(crate) struct Wires {
    pub(crate) postgres: Wire,
    pub(crate) broker: Wire,
    pub(crate) etcd: Wire,
}

/// Between a process and a service.
pub(crate) struct Wire(Proxy);

impl Wire {
    fn to(port: u16) -> Self {
        Self(Proxy::start((Ipv4Addr::LOCALHOST, port).into()))
    }

    fn port(&self) -> u16 {
        self.0.address().port()
    }

    /// Nothing arrives any more, and nobody is told.
    pub(crate) fn cut(&self) {
        self.0.black_hole(Way::Up);
        self.0.black_hole(Way::Down);
    }

    /// Everything takes longer.
    pub(crate) fn slow(&self, latency: Duration) {
        self.0.latency(Way::Up, latency);
        self.0.latency(Way::Down, latency);
    }

    /// All connections break, once.
    pub(crate) fn reset(&self) {
        self.0.reset();
    }

    /// What was held arrives.
    pub(crate) fn heal(&self) {
        self.0.heal();
    }
}

/// The cluster.
pub(crate) struct Cluster {
    dir: TempDir,
    dags: Vec<Dag>,
    pub(crate) processes: Vec<Process>,
    pub(crate) wires: BTreeMap<String, Wires>,
    pub(crate) services: MutexGuard<'static, Services>,
    pub(crate) place: Place,
    pub(crate) history: History,
    pub(crate) found: Vec<Violation>,
    pub(crate) api: Api,
    test: &'static str,
    setup: Setup,
    began: Instant,
}

impl Cluster {
    /// Makes everything, starts all processes at once, and waits until they work.
    pub(crate) fn start(test: &'static str, dags: Vec<Dag>, setup: Setup) -> Self {
        let services = take();
        let began = Instant::now();
        let place = services.place(test);
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("witness/locks")).unwrap();
        fs::write(dir.path().join("witness/witness.sh"), SCRIPT).unwrap();
        migrate(&services, &place);
        let port = free_port();
        let api = Api::at(&format!("http://127.0.0.1:{port}"), TOKEN);
        let history = History { quiet_at: Micros::MAX, ..History::default() };
        let mut cluster = Self {
            dir,
            dags,
            processes: Vec::new(),
            wires: BTreeMap::new(),
            services,
            place,
            history,
            found: Vec::new(),
            api,
            test,
            setup,
            began,
        };
        for dag in &cluster.dags {
            cluster.history.dags.insert(dag.name.to_owned(), dag.plan());
        }
        let letters = ('a'..='z').map(String::from);
        for letter in letters.clone().take(setup.schedulers) {
            cluster.add(&format!("{}{letter}", commits::REPLICA_MARK), Role::Scheduler, free_port());
        }
        for letter in letters.take(setup.workers) {
            cluster.add(&format!("work-{letter}"), Role::Worker, free_port());
        }
        cluster.add("web", Role::Web, port);
        let before = now() / SECOND;
        cluster.processes.iter_mut().for_each(Process::start);
        cluster.wait_ready();
        let after = now() / SECOND;
        calm::set_slots(&mut cluster.history, &cluster.dags, |slots, _| {
            (slots.possible_from, slots.owed_from) = (before, after + 1);
        });
        println!("{test}: works {:.1} s after its start", began.elapsed().as_secs_f64());
        cluster
    }

    fn add(&mut self, name: &str, role: Role, port: u16) {
        let wires = Wires {
            postgres: Wire::to(self.services.postgres.port()),
            broker: Wire::to(self.services.rabbit.port()),
            etcd: Wire::to(self.services.etcd_port()),
        };
        let mut process = Process::new(name, role, port, self.dir.path());
        let ports = (wires.postgres.port(), wires.broker.port(), wires.etcd.port());
        for (name, value) in self.place.settings(ports.0, ports.1, ports.2) {
            process.set(name, value);
        }
        process.set("ROTA_FAILPOINT", self.setup.bug);
        match role {
            Role::Scheduler => {
                process.set("ROTA_LEADER_TTL", format!("{}s", LEADER_TTL.as_secs()));
                process.set("ROTA_DAGS", self.dag_copy(name).to_str().unwrap());
                let peers = format!("127.0.0.1:{}", free_port());
                process.set("ROTA_PEER_LISTEN", if self.setup.fast_path { &peers } else { "off" });
            }
            Role::Worker => {
                process.set("ROTA_WORKER_LEASE", format!("{}s", WORKER_LEASE.as_secs()));
                process.set("ROTA_WORKER_SLOTS", "12");
                process.set("ROTA_DATA", self.home(name).to_str().unwrap());
            }
            Role::Web => process.set("ROTA_ADMIN_TOKEN", TOKEN),
        }
        self.wires.insert(name.to_owned(), wires);
        self.processes.push(process);
    }

    /// A scheduler's own copy of the DAG directory.
    fn dag_copy(&self, name: &str) -> PathBuf {
        let copy = self.home(name).join("dags");
        fs::create_dir_all(&copy).unwrap();
        for dag in &self.dags {
            fs::write(copy.join(format!("{}.yaml", dag.name)), dag.yaml(&self.witness())).unwrap();
        }
        copy
    }

    /// A process's own directory.
    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn witness(&self) -> PathBuf {
        self.dir.path().join("witness")
    }

    /// Waits until somebody leads, all workers work and the web server knows the DAGs.
    pub(crate) fn wait_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            for process in &mut self.processes {
                if let Some(status) = process.has_failed() {
                    panic!("{} ended with {status}: {}", process.name, process.log());
                }
            }
            let are_ready =
                self.processes.iter().filter(|it| it.is_running()).all(|it| it.page("/readyz") == Some(200));
            if are_ready && self.leader().is_some() && self.api.dags() == Some(self.dags.len()) {
                return;
            }
            if Instant::now() > deadline {
                let logs = self.processes.iter().map(|it| format!("== {}\n{}", it.name, tail(&it.log(), 12)));
                panic!("{}: not ready: {}", self.test, logs.collect::<Vec<_>>().join("\n"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn process(&mut self, name: &str) -> &mut Process {
        self.processes.iter_mut().find(|it| it.name == name).expect("a process of this cluster")
    }

    /// The names of all processes of a role.
    pub(crate) fn names(&self, role: Role) -> Vec<String> {
        self.processes.iter().filter(|it| it.role == role).map(|it| it.name.clone()).collect()
    }

    /// Who says that it leads.
    pub(crate) fn leader(&self) -> Option<String> {
        self.leader_besides("")
    }

    /// Who else says that it leads.
    pub(crate) fn leader_besides(&self, name: &str) -> Option<String> {
        let others = self.processes.iter().filter(|it| it.role == Role::Scheduler && it.name != name);
        others
            .filter(|it| it.is_running())
            .find(|it| it.page("/leader") == Some(200))
            .map(|it| it.name.clone())
    }

    pub(crate) fn wait_leader(&self) -> String {
        self.wait_leader_besides("")
    }

    /// Waits until another one leads.
    pub(crate) fn wait_leader_besides(&self, name: &str) -> String {
        let mut leader = None;
        wait_for("a leader", || {
            leader = self.leader_besides(name);
            leader.is_some()
        });
        leader.unwrap()
    }

    /// Notes what was done from some instant until now, for the table of lateness.
    pub(crate) fn note(&mut self, name: &str, at: Micros) {
        self.history.faults.push(Fault { name: name.to_owned(), at, until: now() });
    }

    /// Ends a scheduler or the web server as `kill -9` does.
    pub(crate) fn kill(&mut self, name: &str) {
        self.process(name).kill();
    }

    /// Ends a worker as `kill -9` does, and looks whether its tasks are gone in time.
    pub(crate) fn kill_worker(&mut self, name: &str) -> Buried {
        let witness = self.witness();
        let process = self.process(name);
        let killed = Killed::by(process.pid(), &witness, Some(name), || process.kill());
        let buried = killed.bury(BURIAL_MAX);
        self.found.extend(buried.violation.clone());
        self.history.interruptions.push(Interruption::host(name, killed.at, buried.until));
        buried
    }

    /// Lets all of them go on, and starts those that were killed.
    pub(crate) fn heal(&mut self) {
        for wires in self.wires.values() {
            wires.postgres.heal();
            wires.broker.heal();
            wires.etcd.heal();
        }
        for process in &mut self.processes {
            process.signal(Signal::CONT);
            if !process.is_running() {
                process.start();
            }
        }
    }

    /// Waits until the witness has more lines than now: something runs. How long that took.
    pub(crate) fn wait_progress(&self) -> Duration {
        let (since, before) = (Instant::now(), record::lines(&self.witness()));
        wait_for("progress", || record::lines(&self.witness()) > before);
        since.elapsed()
    }

    /// One number out of this test's database.
    pub(crate) fn count(&self, sql: &str) -> i64 {
        self.services.postgres.sql(&self.place.name, sql).parse().unwrap_or_default()
    }

    /// How many tasks took over a success that came late.
    pub(crate) fn taken_over(&self) -> i64 {
        self.count("select count(*) from task where error like '%came late and counts'")
    }

    /// Whether the witness, as it is by now, breaks a rule. Only those that need no end of the test.
    pub(crate) fn breaks(&self, rule: Rule) -> bool {
        let mut history = self.history.clone();
        (history.events, history.unreadable) = record::read(&self.witness());
        for plan in history.dags.values_mut() {
            if let Some(slots) = &mut plan.slots {
                (slots.owed_to, slots.possible_to) = (0, i64::MAX);
            }
        }
        let is_broken = |found: &[Violation]| found.iter().any(|it| it.rule == rule);
        is_broken(&check(&history)) || is_broken(&self.commits())
    }

    fn commits(&self) -> Vec<Violation> {
        commits::violations(&self.services.postgres.sql(&self.place.name, commits::READ))
    }

    /// Brings everything to rest, stops all, and judges.
    pub(crate) fn judge(&mut self) -> Vec<Violation> {
        let since = Instant::now();
        let settled = calm::settle(&self.api, &self.dags, &mut self.history, self.setup.quiet_max);
        let has_settled = settled.is_empty();
        self.found.extend(settled);
        println!("{}: quiet {:.1} s after the last disturbance", self.test, since.elapsed().as_secs_f64());
        self.expect_no_residue();
        self.stop_all();
        let told = self.told();
        (self.history.events, self.history.unreadable) = record::read(&self.witness());
        self.history.excuses = told.excuses();
        self.found.extend(check(&self.history));
        self.found.extend(agree::compare(&self.history, &told));
        let commits = self.commits();
        let old = commits.iter().filter(|it| it.rule == Rule::OldEpoch).count();
        self.found.extend(commits);
        println!(
            "{}: {:.0} s, {} runs, {} witnessed lines, {} ledger entries, {} terms, {} late successes taken over, {old} \
             commits by an old epoch",
            self.test,
            self.began.elapsed().as_secs_f64(),
            told.runs.len(),
            self.history.events.len(),
            told.slots.len(),
            self.count("select count(*) from term"),
            self.taken_over(),
        );
        if has_settled {
            self.relaunches().print("attempt ended by a fault, from its begin until the next attempt");
            print!("{}", lateness::table(&lateness::of(&self.history, BEAT)));
        }
        std::mem::take(&mut self.found)
    }

    /// The same, where no promise may be broken.
    pub(crate) fn verdict(mut self) {
        let found = self.judge();
        if found.is_empty() {
            return;
        }
        self.dir.disable_cleanup(true);
        let lines: Vec<String> = found.iter().take(40).map(ToString::to_string).collect();
        let done: Vec<String> = self.history.faults.iter().map(|it| format!("{it:?}")).collect();
        panic!(
            "{}: {} violations (kept in {}):\n{}\n{}\n{:?}",
            self.test,
            found.len(),
            self.dir.path().display(),
            lines.join("\n"),
            done.join("\n"),
            self.history.interruptions,
        );
    }

    /// Nothing waits any more.
    fn expect_no_residue(&mut self) {
        let waiting = self.count("select count(*) from task where state in ('queued', 'running')");
        if waiting != 0 {
            let what = format!("all is quiet, and {waiting} tasks are queued or running");
            self.found.push(Violation::new(Rule::Stuck, what));
        }
    }

    fn stop_all(&mut self) {
        for process in &mut self.processes {
            let status = process.stop(STOP_MAX);
            if status.is_none_or(|status| !status.success()) {
                let what = format!("{} ended with {status:?} when it was asked to stop", process.name);
                self.found.push(Violation::new(Rule::Disagreement, what));
            }
        }
        // What a task left running on purpose goes with its worker.
        let mut left = Vec::new();
        let is_clear = wait_within(BURIAL_MAX, || {
            left = residue::of_tasks(&self.witness());
            left.is_empty()
        });
        if !is_clear {
            let what = format!("all was stopped, and there are {left:?}");
            self.found.push(Violation::new(Rule::Residue, what));
        }
    }

    fn told(&self) -> agree::Told {
        let url = self.services.postgres.url(&self.place.name);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = PostgresStore::new(PostgresOptions::new(&url, "checker").unwrap());
            agree::read(&store).await
        })
    }
}

fn migrate(services: &Services, place: &Place) {
    let options = PostgresOptions::new(&services.postgres.url(&place.name), "checker").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(postgres_migrate(&options)).unwrap();
    services.postgres.sql(&place.name, commits::INSTALL);
}

fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().rev().take(count).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
