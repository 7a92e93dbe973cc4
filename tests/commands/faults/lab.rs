//! A `rota standalone` that is treated badly, and the record of what was done to it.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rota_backend::{SqliteStore, SystemClock};
use rota_tests::lab::api::Api;
use rota_tests::lab::burial::{BURIAL_MAX, Killed};
use rota_tests::lab::dag::Dag;
use rota_tests::lab::rng::now;
use rota_tests::lab::{binary, calm, wait_for};
use rota_tests::witness::check::{Rule, Violation, check};
use rota_tests::witness::history::{History, Interruption};
use rota_tests::witness::record::{self, Micros, SCRIPT};
use rota_tests::witness::{agree, residue};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// After the last disturbance everything must have ended within this time, on a machine that has other things to do.
const QUIET_MAX: Duration = Duration::from_secs(60);
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
        calm::set_slots(&mut lab.history, &lab.dags, |slots, _| {
            (slots.possible_from, slots.owed_from) = (before, after + 1);
        });
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
        Api::beside(&self.data())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    /// How many lines the witness has.
    pub(crate) fn witnessed(&self) -> usize {
        record::lines(&self.witness())
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
            api.dags() == Some(count)
        });
        self.server = Some(server);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.server.as_ref().unwrap()), signal).unwrap();
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) -> Killed {
        let mut server = self.server.take().unwrap();
        Killed::by(server.id(), &self.witness(), None, || {
            server.kill().unwrap();
            server.wait().unwrap();
        })
    }

    /// Waits until nothing of a killed server is alive, which must not take long, and notes how long it took.
    pub(crate) fn bury(&mut self, killed: &Killed) {
        self.bury_within(killed, BURIAL_MAX);
    }

    /// The same with another limit, for what is only ended by the next start.
    pub(crate) fn bury_within(&mut self, killed: &Killed, limit: Duration) {
        let buried = killed.bury(limit);
        self.found.extend(buried.violation);
        self.history.interruptions.push(Interruption::all(killed.at, buried.until));
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
        let since = Instant::now();
        self.found.extend(calm::settle(&self.api(), &self.dags, &mut self.history, QUIET_MAX));
        println!("{}: quiet {:.1} s after the last disturbance", self.test, since.elapsed().as_secs_f64());
    }

    /// Settles, stops the server, and judges.
    pub(crate) fn verdict(mut self) {
        self.settle();
        let status = self.stop();
        if status.code() != Some(0) {
            self.found.push(Violation::new(Rule::Disagreement, format!("the server ended with {status}")));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let told = runtime.block_on(async {
            let store = SqliteStore::open(&self.data().join("rota.db"), Arc::new(SystemClock)).await;
            agree::read(&store.unwrap()).await
        });
        (self.history.events, self.history.unreadable) = record::read(&self.witness());
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
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _gone = server.kill();
            let _gone = server.wait();
        }
    }
}
