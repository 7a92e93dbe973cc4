//! Private services for tests, on free loopback ports and in directories of their own. They never touch services that
//! run already, and they end with the test's process, however that ends.

pub mod etcd;
pub mod postgres;
pub mod rabbit;
pub mod together;

use std::collections::BTreeSet;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How long a service may take to start on a busy machine.
pub const START_MAX: Duration = Duration::from_secs(90);
/// Between two looks.
const POLL: Duration = Duration::from_millis(20);

/// Runs a command and kills everything in its process group once stdin ends, which it does with the test's process.
const LEASH: &str = r#"exec 3<&0 </dev/null; (read -r _ <&3; kill -9 -- "-$$") & exec 3<&-; "$@" & wait $!"#;

/// Removes a directory once stdin ends, when all that wrote to it is gone.
const SWEEP: &str = r#"read -r _; sleep 1; rm -rf -- "$1""#;

/// A directory for a service's data; removed with the test's process, also if the value is in a static.
pub struct Folder {
    path: PathBuf,
    sweep: Child,
}

impl Folder {
    /// Makes one.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn new() -> Self {
        let path = tempfile::tempdir().expect("a directory for a service").keep();
        let mut sweep = Command::new("bash");
        sweep.args(["-c", SWEEP, "sweep"]).arg(&path).process_group(0);
        sweep.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { path, sweep: sweep.spawn().expect("bash is there") }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.sweep.stdin.take());
        let _ = self.sweep.wait();
    }
}

/// Ports below those that the kernel gives to outgoing connections. A client that keeps trying to reach a server that is
/// down would sooner or later be given the server's own port, reach itself, and keep the server from coming back.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A port that was free a moment ago, and that this process has not given out before.
///
/// # Panics
/// If there is none.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let span = u64::from(PORTS.end - PORTS.start);
    for _ in 0..10_000 {
        let random = RandomState::new().build_hasher().finish();
        let port = PORTS.start + u16::try_from(random % span).expect("less than the span of ports");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && given.insert(port) {
            return port;
        }
    }
    panic!("no free port between {} and {}", PORTS.start, PORTS.end);
}

/// Looks until `is_so`, or for [`START_MAX`].
///
/// # Panics
/// When the time is over, with `what` and the end of `log`.
pub fn wait_until(what: &str, log: &Path, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + START_MAX;
    while !is_so() {
        if Instant::now() > deadline {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let tail: Vec<&str> = text.lines().rev().take(20).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            panic!("{what}: not within {START_MAX:?}; the end of its log:\n{}", tail.join("\n"));
        }
        std::thread::sleep(POLL);
    }
}

/// A server's processes: one process group on a leash.
pub struct Leashed {
    child: Child,
}

impl Leashed {
    /// Starts `program` with its output in `log` (appended).
    ///
    /// # Panics
    /// If it cannot be started: the program is named, and what installs it.
    pub fn start(command: &Command, log: &Path) -> Self {
        let open = || {
            File::options().create(true).append(true).open(log).expect("a log file in the test's directory")
        };
        let mut leash = Command::new("bash");
        leash.args(["-c", LEASH, "leash"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => leash.env(name, value),
                None => leash.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            leash.current_dir(directory);
        }
        leash.process_group(0).stdin(Stdio::piped()).stdout(open()).stderr(open());
        let child = leash.spawn().unwrap_or_else(|error| {
            panic!(
                "cannot start {}: {error}; tests/run installs what the tests need",
                command.get_program().display()
            )
        });
        Self { child }
    }

    /// Sends a signal to all of its processes.
    pub fn signal(&self, signal: Signal) {
        // A group that is gone needs no signal.
        let _ = kill_process_group(self.group(), signal);
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        self.kill();
    }
}
