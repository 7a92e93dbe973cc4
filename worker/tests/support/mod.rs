//! What the process tests share: a clock, a sink that remembers, and executors that stand alone or under a warden.

#![expect(dead_code, reason = "each test program uses a part of it")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rota_core::port::Clock;
use rota_worker::{Executor, Job, LineSink, Marker, Outcome, Stream, Warden, WardenCommand, lines_of, stop};

/// The machine's clock.
pub(crate) struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> DateTime<Utc> {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        DateTime::from_timestamp(now.tv_sec, now.tv_nsec as u32).expect("a clock within range")
    }
}

/// Remembers all lines.
#[derive(Default)]
pub(crate) struct Lines(pub(crate) Vec<(Stream, String)>);

impl LineSink for Lines {
    fn take(&mut self, _: DateTime<Utc>, stream: Stream, block: &[u8]) {
        self.0.extend(lines_of(block).map(|line| (stream, line.into_owned())));
    }
}

impl Lines {
    pub(crate) fn of(&self, stream: Stream) -> Vec<&str> {
        self.0.iter().filter(|(from, _)| *from == stream).map(|(_, line)| line.as_str()).collect()
    }
}

/// A directory and an executor in it.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) executor: Arc<Executor>,
    pub(crate) marker: Marker,
}

impl Bench {
    /// Without a warden.
    pub(crate) fn alone() -> Self {
        Self::new(Marker::random("test"), None)
    }

    /// With a warden: this same test program.
    pub(crate) async fn guarded() -> Self {
        let warden = Warden::start(warden_command(), Marker::random("test")).await.expect("a warden");
        Self::under(warden)
    }

    /// With this warden.
    pub(crate) fn under(warden: Warden) -> Self {
        Self::new(warden.marker().clone(), Some(warden))
    }

    fn new(marker: Marker, warden: Option<Warden>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let outputs = dir.path().join("outputs");
        let executor =
            Executor::new(&outputs, marker.clone(), warden, Arc::new(MachineClock)).expect("an executor");
        Self { dir, executor: Arc::new(executor), marker }
    }

    /// A script in the bench's directory.
    pub(crate) fn script(&self, text: &str) -> Job {
        self.argv(&["bash", "-euo", "pipefail", "-c", text])
    }

    pub(crate) fn argv(&self, argv: &[&str]) -> Job {
        Job {
            direct: None,
            argv: argv.iter().map(|&arg| arg.to_owned()).collect(),
            env: Vec::new(),
            cwd: self.dir.path().to_owned(),
            timeout: Some(Duration::from_secs(60)),
            grace: Duration::from_secs(10),
            remark: None,
            outputs: Vec::new(),
            token: 7,
        }
    }

    pub(crate) async fn run(&self, job: &Job) -> (Outcome, Lines) {
        let (_stop, mut stopped) = stop();
        let mut lines = Lines::default();
        let outcome = self.executor.run(job, &mut stopped, &mut lines).await;
        (outcome, lines)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// This test program as a warden; each program has an ignored test of that name.
pub(crate) fn warden_command() -> WardenCommand {
    let args = ["--exact", "warden_process", "--ignored", "--nocapture"];
    WardenCommand {
        program: std::env::current_exe().expect("this program"),
        args: args.into_iter().map(OsString::from).collect(),
    }
}

/// Polls until `reached`, at most for `limit`.
pub(crate) async fn eventually(what: &str, limit: Duration, mut reached: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !reached() {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}

/// The process ids in a file, one per line.
pub(crate) fn pids(file: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Whether a process runs (a zombie does not).
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}
