//! Process custody: whatever a worker starts dies with it.
//!
//! One *warden* per worker (this same binary, started once) holds the read end of a pipe and is told each process
//! group that starts and ends and each lease deadline. When the pipe breaks, or the deadline passes while the worker is
//! stopped, it kills the groups and everything that carries the worker's marker. Against one shim per task this costs
//! two 16-byte writes instead of a second process per task.
//!
//! What escapes: a process that left its group *and* cleaned its environment; and the processes of a worker that was
//! killed in the same moment as its warden, until [`sweep_earlier_lives`] of the worker's next life ends them.

mod marker;
mod process;
mod sweep;
mod wire;

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rota_kit::boottime::BootTime;
use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

pub use marker::Marker;
pub use process::warden_main;
pub(crate) use sweep::sweep_attempt;
pub use sweep::sweep_earlier_lives;

use crate::pidfd;
use wire::Record;

/// How long a warden may take to answer its greeting.
const READY_MAX: Duration = Duration::from_secs(10);
/// Between two tries to start a warden anew.
const RESTART_PAUSE: Duration = Duration::from_millis(200);
/// Room in the pipe: 65,536 records, while the warden empties it ten times a second.
const PIPE_BYTES: usize = 1 << 20;

/// How to start a warden.
#[derive(Debug, Clone)]
pub struct WardenCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments; the program then calls [`warden_main`].
    pub args: Vec<OsString>,
}

impl WardenCommand {
    /// This binary with the hidden subcommand `__warden`.
    pub fn this_binary() -> Self {
        // The link leads to the running program even after an upgrade replaced the file.
        Self { program: PathBuf::from("/proc/self/exe"), args: vec!["__warden".into()] }
    }
}

/// A worker's end of its warden. Cheap to clone; the warden ends all processes and itself when the last clone is gone.
#[derive(Debug, Clone)]
pub struct Warden {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    command: WardenCommand,
    marker: Marker,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    pid: Option<Pid>,
    pipe: Option<OwnedFd>,
    groups: HashSet<i32>,
    deadline: Option<BootTime>,
    /// A record did not fit into the pipe: everything has to be told again.
    is_stale: bool,
}

impl Warden {
    /// Starts a warden and waits until it stands guard.
    ///
    /// # Errors
    /// The program cannot be started, or is none that calls [`warden_main`].
    pub async fn start(command: WardenCommand, marker: Marker) -> io::Result<Self> {
        let shared = Arc::new(Shared { command, marker, state: Mutex::default() });
        let pidfd = shared.launch().await?;
        tokio::spawn(supervise(Arc::downgrade(&shared), pidfd));
        Ok(Self { shared })
    }

    /// What this worker's processes carry in their environment.
    pub fn marker(&self) -> &Marker {
        &self.shared.marker
    }

    /// The warden's process id, for people. Another one after it had to be replaced.
    pub fn pid(&self) -> Option<i32> {
        self.shared.lock().pid.map(|pid| pid.as_raw_nonzero().get())
    }

    /// Tells that from `at` on this worker has no right to run anything.
    pub fn set_deadline(&self, at: BootTime) {
        if rota_core::failpoint::is_on("no-self-fence") {
            return;
        }
        let mut state = self.shared.lock();
        state.deadline = Some(at);
        state.tell(Record::Deadline(at));
    }

    /// Puts a process group into custody until the returned value is dropped.
    pub(crate) fn guard(&self, group: Pid) -> Guarded {
        let group = group.as_raw_nonzero().get();
        let mut state = self.shared.lock();
        state.groups.insert(group);
        state.tell(Record::Started(group));
        drop(state);
        Guarded { shared: self.shared.clone(), group }
    }
}

/// A process group in custody. To be dropped once the group was killed, and before its leader is reaped: until then
/// the group's number cannot be taken over by strangers.
#[derive(Debug)]
pub(crate) struct Guarded {
    shared: Arc<Shared>,
    group: i32,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.groups.remove(&self.group);
        state.tell(Record::Ended(self.group));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock; the state is whole in any case.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the process and tells it everything.
    async fn launch(&self) -> io::Result<OwnedFd> {
        let (command, marker) = (self.command.clone(), self.marker.clone());
        let launched = tokio::task::spawn_blocking(move || spawn(&command, &marker));
        let Launched { pid, pidfd, pipe } = match tokio::time::timeout(READY_MAX, launched).await {
            Ok(joined) => joined.map_err(io::Error::other)??,
            Err(_) => return Err(io::Error::other("the warden did not answer within 10 s")),
        };
        let mut state = self.lock();
        state.pid = Some(pid);
        state.pipe = Some(pipe);
        state.tell_all();
        Ok(pidfd)
    }
}

impl State {
    fn tell(&mut self, record: Record) {
        if self.is_stale {
            return self.tell_all();
        }
        self.is_stale = !self.write(record);
    }

    /// Repeats everything, after a restart or a full pipe.
    fn tell_all(&mut self) {
        let records = [Some(Record::Restart), self.deadline.map(Record::Deadline)];
        let started = self.groups.iter().map(|group| Record::Started(*group));
        let told = records.into_iter().flatten().chain(started).all(|record| self.write(record));
        self.is_stale = !told;
    }

    /// Whether the warden can read this. A warden that is gone counts too: its successor is told everything.
    fn write(&self, record: Record) -> bool {
        let Some(pipe) = &self.pipe else { return true };
        rustix::io::write(pipe, &record.encode()) != Err(rustix::io::Errno::AGAIN)
    }
}

/// A warden that answered.
struct Launched {
    pid: Pid,
    pidfd: OwnedFd,
    pipe: OwnedFd,
}

/// Starts the process and waits for its answer. Blocks.
fn spawn(command: &WardenCommand, marker: &Marker) -> io::Result<Launched> {
    let (records_end, pipe) = io::pipe()?;
    let (mut answer, answer_end) = io::pipe()?;
    let pipe = OwnedFd::from(pipe);
    // A smaller pipe only means that the warden has to be told again now and then.
    let _ = rustix::pipe::fcntl_setpipe_size(&pipe, PIPE_BYTES);
    let child = Command::new(&command.program)
        .args(&command.args)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(records_end))
        .stdout(Stdio::from(answer_end))
        .spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    rustix::io::write(&pipe, &wire::greeting(marker))?;
    let mut byte = [0];
    while answer.read(&mut byte)? == 1 {
        // Anything else is chatter of the program that hosts the warden.
        if byte[0] == wire::READY {
            rustix::fs::fcntl_setfl(&pipe, rustix::fs::OFlags::NONBLOCK)?;
            return Ok(Launched { pid, pidfd, pipe });
        }
    }
    let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
    Err(io::Error::other(format!("{} is no warden: it ended without an answer", command.program.display())))
}

/// Starts a new warden whenever the current one ends, for as long as the worker wants one.
async fn supervise(shared: Weak<Shared>, mut pidfd: OwnedFd) {
    loop {
        // Fails only in a runtime that is being shut down.
        let Ok(watched) = pidfd::register(pidfd) else { return };
        let _ = watched.readable().await;
        let _ =
            waitid(WaitId::PidFd(watched.get_ref().as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        pidfd = loop {
            let Some(shared) = shared.upgrade() else { return };
            tracing::error!("the warden ended; starting a new one (tasks go on)");
            match shared.launch().await {
                Ok(pidfd) => break pidfd,
                Err(error) => tracing::error!("cannot start a warden: {error}"),
            }
            drop(shared);
            tokio::time::sleep(RESTART_PAUSE).await;
        };
    }
}
