//! A `rota standalone` that is treated badly, and the record of what was done to it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rota_tests::witness::check::{Rule, Violation, check};
use rota_tests::witness::history::{History, Interruption};
use rota_tests::witness::record::{self, Micros, SCRIPT};
use rota_tests::witness::{agree, residue};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::api::Api;
use super::cli_support::{binary, wait_for};
use super::dag::Dag;
use super::rng::now;

/// After a `kill -9` no process of a task may be alive for longer.
const BURIAL_MAX: Duration = Duration::from_secs(1);
/// After the last disturbance everything must have ended within this time, on a machine that has other things to do.
const QUIET_MAX: Duration = Duration::from_secs(60);
/// From a pause that was answered to the last slot that may still fire.
const PAUSE_SECONDS: i64 = 3;
const SECOND: Micros = 1_000_000;

/// A server on directories of its own; killed when dropped.
pub(crate) struct Lab {
    dir: TempDir,
    dags: Vec<Dag>,
    server: Option<Child>,
    pub(crate) history: History,
    pub(crate) found: Vec<Violation>,
    test: &'static str,
    lives: u32,
}

/// A server that was killed, before its processes were seen to be gone.
pub(crate) struct Killed {
    at: Micros,
    since: Instant,
    lives: BTreeSet<String>,
    warden: Option<i32>,
}

impl Lab {
    /// Makes the directories and starts the server on these DAGs.
    pub(crate) fn start(test: &'static str, dags: Vec<Dag>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("witness/locks")).unwrap();
        fs::create_dir(dir.path().join("dags")).unwrap();
        fs::write(dir.path().join("witness/witness.sh"), SCRIPT).unwrap();
        let history = History { quiet_at: Micros::MAX, ..History::default() };
        let mut lab = Self { dir, dags, server: None, history, found: Vec::new(), test, lives: 0 };
        for dag in &lab.dags {
            fs::write(lab.dag_file(dag.name), dag.yaml(&lab.witness())).unwrap();
            lab.history.dags.insert(dag.name.to_owned(), dag.plan());
        }
        let before = now() / SECOND;
        lab.spawn();
        lab.wait_ready();
        let after = now() / SECOND;
        lab.slots(|slots, _| (slots.possible_from, slots.owed_from) = (before, after + 1));
        lab
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn witness(&self) -> PathBuf {
        self.dir.path().join("witness")
    }

    pub(crate) fn dag_file(&self, name: &str) -> PathBuf {
        self.dir.path().join("dags").join(format!("{name}.yaml"))
    }

    pub(crate) fn api(&self) -> Api {
        Api::new(&self.data())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    /// How many lines the witness has.
    pub(crate) fn witnessed(&self) -> usize {
        super::cli_support::lines(&self.witness().join("log"))
    }

    /// Starts the server and does not wait for it.
    pub(crate) fn spawn(&mut self) {
        let _absent = fs::remove_file(self.data().join("server.json"));
        self.lives += 1;
        let log = File::options().create(true).append(true).open(self.dir.path().join("server.log")).unwrap();
        let mut command = binary();
        command.args(["standalone", "--listen", "127.0.0.1:0", "--slots", "16", "--log", "info"]);
        command.arg("--dags").arg(self.dir.path().join("dags")).arg("--data").arg(self.data());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.server = Some(command.spawn().unwrap());
    }

    /// Waits until the server answers and knows the DAGs.
    pub(crate) fn wait_ready(&mut self) {
        let api = self.api();
        let count = self.dags.len();
        let mut server = self.server.take().unwrap();
        wait_for("the server's answer", || {
            if let Some(status) = server.try_wait().unwrap() {
                let log = fs::read_to_string(self.dir.path().join("server.log")).unwrap();
                panic!("the server ended with {status}: {log}");
            }
            let known = api.get("/dags").and_then(|(_, body)| Some(body["items"].as_array()?.len()));
            known == Some(count)
        });
        self.server = Some(server);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.server.as_ref().unwrap()), signal).unwrap();
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) -> Killed {
        let mut server = self.server.take().unwrap();
        let warden = residue::warden_of(server.id());
        let (at, since) = (now(), Instant::now());
        server.kill().unwrap();
        server.wait().unwrap();
        let lives = residue::lives(&residue::of_tasks(&self.witness()));
        Killed { at, since, lives, warden }
    }

    /// Waits until nothing of a killed server is alive, which must not take long, and notes how long it took.
    pub(crate) fn bury(&mut self, killed: &Killed) {
        self.bury_within(killed, BURIAL_MAX);
    }

    /// The same with another limit, for what is only ended by the next start.
    pub(crate) fn bury_within(&mut self, killed: &Killed, limit: Duration) {
        let witness = self.witness();
        let mut is_told = false;
        wait_for("the end of a killed server's processes", || {
            let mut left = residue::of_tasks(&witness);
            left.retain(|stray| killed.lives.contains(&stray.life));
            let warden = killed.warden.filter(|pid| residue::is_alive(*pid));
            if left.is_empty() && warden.is_none() {
                return true;
            }
            if killed.since.elapsed() > limit && !is_told {
                is_told = true;
                let what = format!("{limit:?} after the end of the server: {left:?}, warden {warden:?}");
                self.found.push(Violation::new(Rule::Residue, what));
            }
            false
        });
        self.history.interruptions.push(Interruption { at: killed.at, until: now(), run: None });
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        let mut server = self.server.take().unwrap();
        let mut status = None;
        wait_for("the server's end", || {
            status = server.try_wait().unwrap();
            status.is_some()
        });
        self.expect_clear();
        status.unwrap()
    }

    /// Whatever left its task is ended by the warden soon after the server.
    fn expect_clear(&mut self) {
        let since = Instant::now();
        let mut left = residue::of_tasks(&self.witness());
        while !left.is_empty() && since.elapsed() < BURIAL_MAX {
            thread::sleep(Duration::from_millis(20));
            left = residue::of_tasks(&self.witness());
        }
        if !left.is_empty() {
            let what = format!("{BURIAL_MAX:?} after the server stopped: {left:?}");
            self.found.push(Violation::new(Rule::Residue, what));
        }
    }

    /// Pauses all schedules and waits until everything has ended.
    pub(crate) fn settle(&mut self) {
        self.wait_ready();
        let (since, api) = (Instant::now(), self.api());
        let run_to = now() / SECOND - 2;
        self.slots(|slots, must_run| slots.run_to = if must_run { run_to } else { 0 });
        let mut active = None;
        while active.as_ref().is_none_or(|active: &Vec<i64>| !active.is_empty()) {
            self.hold(&api);
            // Runs that still wait for their turn wait until their DAG is released.
            active = api.runs("state=queued,running");
            if since.elapsed() > QUIET_MAX {
                let what = format!("runs {active:?} had not ended {QUIET_MAX:?} after the last disturbance");
                self.found.push(Violation::new(Rule::Stuck, what));
                break;
            }
        }
        self.history.quiet_at = now();
        println!("{}: quiet {:.1} s after the last disturbance", self.test, since.elapsed().as_secs_f64());
    }

    /// Pauses all schedules when no slot waits for its decision and no run for its turn, and waits until no run runs.
    fn hold(&mut self, api: &Api) {
        let scheduled: Vec<&str> = self.dags.iter().filter(|dag| dag.every > 0).map(|dag| dag.name).collect();
        for dag in &scheduled {
            wait_for("the answer to a release", || api.pause(dag, false));
        }
        let before = now() / SECOND;
        wait_for("the decisions about all slots", || {
            let is_decided = |dag: &&str| {
                let next = api.get(&format!("/dags/{dag}")).and_then(|(_, dag)| seconds(&dag["next_slot"]));
                next.is_some_and(|next| next >= before - 1)
            };
            scheduled.iter().all(is_decided)
        });
        wait_for("the start of all runs", || api.runs("state=queued").is_some_and(|runs| runs.is_empty()));
        let pause_at = now() / SECOND;
        for dag in &scheduled {
            wait_for("the answer to a pause", || api.pause(dag, true));
        }
        let paused_at = now() / SECOND;
        self.slots(|slots, _| {
            slots.owed_to = pause_at - 1;
            slots.possible_to = paused_at + PAUSE_SECONDS;
        });
        // A slot may be on its way while its DAG is paused. Whoever called knows what it means if this takes too long.
        let is_calm = || api.runs("state=running").is_some_and(|runs| runs.is_empty());
        let since = Instant::now();
        while since.elapsed() < QUIET_MAX && (now() / SECOND <= paused_at + 1 || !is_calm()) {
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Settles, stops the server, and judges.
    pub(crate) fn verdict(mut self) {
        self.settle();
        let status = self.stop();
        if status.code() != Some(0) {
            self.found.push(Violation::new(Rule::Disagreement, format!("the server ended with {status}")));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let told = runtime.block_on(agree::read(&self.data().join("rota.db")));
        (self.history.events, self.history.unreadable) = record::read(&self.witness().join("log"));
        self.history.excuses = told.excuses();
        self.found.extend(check(&self.history));
        self.found.extend(agree::compare(&self.history, &told));
        println!(
            "{}: {} lives, {} runs, {} witnessed lines, {} ledger entries, {} keys",
            self.test,
            self.lives,
            told.runs.len(),
            self.history.events.len(),
            told.slots.len(),
            self.history.keys.len(),
        );
        self.panic_if_bad();
    }

    fn panic_if_bad(&mut self) {
        if self.found.is_empty() {
            return;
        }
        self.dir.disable_cleanup(true);
        let lines: Vec<String> = self.found.iter().take(40).map(ToString::to_string).collect();
        let (count, place, test) = (self.found.len(), self.dir.path().display(), self.test);
        let interruptions = &self.history.interruptions;
        panic!("{test}: {count} violations (kept in {place}):\n{}\n{interruptions:?}", lines.join("\n"));
    }

    fn slots(&mut self, change: impl Fn(&mut rota_tests::witness::history::Slots, bool)) {
        for dag in &self.dags {
            let plan = self.history.dags.get_mut(dag.name).unwrap();
            if let Some(slots) = &mut plan.slots {
                change(slots, dag.must_run);
            }
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _gone = server.kill();
            let _gone = server.wait();
        }
    }
}

/// An instant of the API, in seconds since 1970.
fn seconds(instant: &Value) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(instant.as_str()?).ok().map(|at| at.timestamp())
}
