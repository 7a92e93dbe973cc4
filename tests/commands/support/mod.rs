//! Starting `rota` and its servers, with deadlines on everything.

#![expect(clippy::unwrap_used, reason = "a test that cannot start its commands has failed")]

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) use rota_tests::lab::wait_for;
use rota_tests::lab::{PATIENCE, binary};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A command that will be run.
pub(crate) struct Rota(Command);

/// A command that runs; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// 0 to 255; -1 if a signal ended it.
    pub(crate) code: i32,
    /// What it printed to stdout.
    pub(crate) stdout: String,
    /// What it printed to stderr.
    pub(crate) stderr: String,
}

/// The `rota` that was built beside this test, with an environment of its own.
pub(crate) fn rota() -> Rota {
    Rota(binary())
}

impl From<Command> for Rota {
    fn from(command: Command) -> Self {
        Self(command)
    }
}

impl Rota {
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.0.arg(arg);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.0.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// The same command behind a shell that closes its stdout and stderr.
    pub(crate) fn with_closed_streams(self) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$0\" \"$@\" >&- 2>&-"]).arg(self.0.get_program()).args(self.0.get_args());
        for (name, value) in self.0.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        Self(shell)
    }

    pub(crate) fn start(self) -> Running {
        self.start_on(Stdio::piped(), Stdio::piped())
    }

    /// Starts it with these as its stdout and stderr.
    pub(crate) fn start_on(mut self, stdout: Stdio, stderr: Stdio) -> Running {
        self.0.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        let mut child = self.0.spawn().unwrap();
        let stdout = child.stdout.take().map(read_all);
        let stderr = child.stderr.take().map(read_all);
        Running { child, stdout, stderr }
    }

    pub(crate) fn finish(self) -> Finished {
        self.start().finish()
    }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

impl Running {
    pub(crate) fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Asks it to end, as a service manager does.
    pub(crate) fn terminated(self) -> Finished {
        self.signal(Signal::TERM);
        self.finish()
    }

    pub(crate) fn finish(mut self) -> Finished {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    self.child.kill().unwrap();
                    let stderr = self.stderr.take().map(|reader| reader.join().unwrap());
                    panic!("the command did not end within {PATIENCE:?}: {stderr:?}");
                }
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        let text = |reader: &mut Option<JoinHandle<String>>| {
            reader.take().map(|reader| reader.join().unwrap()).unwrap_or_default()
        };
        let (stdout, stderr) = (text(&mut self.stdout), text(&mut self.stderr));
        Finished { code: status.code().unwrap_or(-1), stdout, stderr }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// A `rota standalone` on directories of its own; killed when dropped.
pub(crate) struct Server {
    dir: TempDir,
    running: Option<Running>,
}

impl Server {
    /// Starts one with these DAG files and waits until it answers.
    pub(crate) fn start(files: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), files)
    }

    /// The same in a directory that was prepared for it.
    pub(crate) fn start_in(dir: TempDir, files: &[(&str, &str)]) -> Self {
        fs::create_dir(dir.path().join("dags")).unwrap();
        for (name, text) in files {
            write_dag(&dir.path().join("dags"), name, text);
        }
        let mut server = Self { dir, running: None };
        server.restart();
        server
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn dags(&self) -> PathBuf {
        self.dir.path().join("dags")
    }

    pub(crate) fn url(&self) -> String {
        let text = fs::read_to_string(self.data().join("server.json")).unwrap();
        let beacon: serde_json::Value = serde_json::from_str(&text).unwrap();
        beacon["url"].as_str().unwrap().to_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.as_ref().unwrap().child.id()
    }

    /// The command that starts it.
    pub(crate) fn standalone(&self) -> Rota {
        rota()
            .args(["standalone", "--listen", "127.0.0.1:0", "--dags"])
            .arg(self.dags())
            .arg("--data")
            .arg(self.data())
    }

    /// A client command beside its data directory.
    pub(crate) fn rota(&self, args: &[&str]) -> Rota {
        rota().args(args).arg("--data").arg(self.data())
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let running = self.running.take().unwrap();
        running.signal(Signal::KILL);
        assert_eq!(running.finish().code, -1);
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(&mut self) -> Finished {
        self.running.take().unwrap().finish()
    }

    /// Ends it as Ctrl-C does; it may be started again.
    pub(crate) fn interrupted(&mut self) {
        self.running.as_ref().unwrap().interrupt();
        assert_eq!(self.ended().code, 0);
    }

    /// Starts it (again) and waits until it has read its DAGs.
    pub(crate) fn restart(&mut self) {
        let beacon = self.data().join("server.json");
        let _absent = fs::remove_file(&beacon);
        let mut running = self.standalone().start();
        wait_for("the server's answer", || {
            if let Some(status) = running.child.try_wait().unwrap() {
                panic!("the server ended with {status}: {}", running.stderr.take().unwrap().join().unwrap());
            }
            beacon.exists() && self.has_read_its_dags()
        });
        self.running = Some(running);
    }

    fn has_read_its_dags(&self) -> bool {
        let is_empty = fs::read_dir(self.dir.path().join("dags")).unwrap().next().is_none();
        let end = self.rota(&["dag", "list", "-o", "json"]).finish();
        end.code == 0 && (is_empty || end.stdout.contains("\"dag\""))
    }

    /// Ends it as Ctrl-C does.
    pub(crate) fn stop(mut self) -> Finished {
        let running = self.running.take().unwrap();
        running.interrupt();
        running.finish()
    }
}

/// Every command and group of commands there is, as the helps name them; the first is `rota` itself, without a word.
pub(crate) fn commands() -> Vec<Vec<String>> {
    let mut found: Vec<Vec<String>> = vec![Vec::new()];
    let mut next = 0;
    while let Some(command) = found.get(next).cloned() {
        let help = rota().args(&command).arg("--help").finish();
        let listed = help.stdout.split_once("\nCommands:\n").map_or("", |(_, after)| after);
        let names = listed.lines().take_while(|line| !line.is_empty());
        let names = names.filter_map(|line| {
            line.strip_prefix("  ")?.split_whitespace().next().filter(|_| !line.starts_with("   "))
        });
        for name in names.filter(|name| *name != "help") {
            found.push([command.clone(), vec![name.to_owned()]].concat());
        }
        next += 1;
    }
    found
}

/// How many lines a file has; 0 if there is none.
pub(crate) fn lines(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// Whether a process runs. One that has ended and waits for a parent to look does not.
pub(crate) fn is_alive(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

pub(crate) fn write_dag(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// The examples.
pub(crate) fn dags_of_this_repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("dags")
}
