//! One started process and its group, watched through a pidfd. The leader stays unreaped until its group was killed,
//! so the group's number can never mean somebody else.

use std::io;

use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, pidfd_open, waitid,
};
use tokio::io::unix::AsyncFd;

use crate::custody::Guarded;
use crate::pidfd;

/// How a process ended: exactly one of the two is set, unless the system kept no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
}

/// The leader of a process group. Dropping it ends the group.
pub(super) struct Child {
    group: Pid,
    /// `None` once it was reaped.
    pidfd: Option<AsyncFd<OwnedFd>>,
    custody: Option<Guarded>,
}

impl Child {
    /// Takes over a process that was started as the leader of its own group.
    pub(super) fn adopt(
        process: &std::process::Child,
        guard: impl FnOnce(Pid) -> Option<Guarded>,
    ) -> io::Result<Self> {
        let group = i32::try_from(process.id()).ok().filter(|pid| *pid > 1).and_then(Pid::from_raw);
        let group = group.ok_or(io::ErrorKind::InvalidData)?;
        let custody = guard(group);
        let watched =
            pidfd_open(group, PidfdFlags::empty()).map_err(io::Error::from).and_then(pidfd::register);
        if watched.is_err() {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = waitid(WaitId::Pid(group), WaitIdOptions::EXITED);
        }
        Ok(Self { group, pidfd: Some(watched?), custody })
    }

    /// Sends a signal to the whole group. A group that is gone is no error.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.group, signal);
    }

    /// Waits until the leader has ended. Does not reap it.
    pub(super) async fn ended(&self) -> Exit {
        let Some(pidfd) = &self.pidfd else { return Exit { code: None, signal: None } };
        loop {
            // Fails only in a runtime that is being shut down; the attempt is then lost with it.
            let Ok(mut ready) = pidfd.readable().await else { return std::future::pending().await };
            if let Some(exit) = peek(pidfd.get_ref(), WaitIdOptions::NOWAIT) {
                return exit;
            }
            ready.clear_ready();
        }
    }

    /// Kills what is left of the group and lets go of its number. After [`Child::ended`].
    pub(super) fn close(mut self) {
        self.signal(Signal::KILL);
        self.custody = None;
        if let Some(pidfd) = self.pidfd.take() {
            peek(pidfd.get_ref(), WaitIdOptions::empty());
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let Some(pidfd) = self.pidfd.take() else { return };
        self.signal(Signal::KILL);
        let custody = self.custody.take();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = pidfd.readable().await;
                drop(custody);
                peek(pidfd.get_ref(), WaitIdOptions::empty());
            });
        }
    }
}

fn peek(pidfd: &OwnedFd, more: WaitIdOptions) -> Option<Exit> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | more;
    match waitid(WaitId::PidFd(pidfd.as_fd()), options) {
        Ok(status) => status.as_ref().map(exit_of),
        // Somebody else reaped it, for example because SIGCHLD is ignored in this process.
        Err(rustix::io::Errno::CHILD) => Some(Exit { code: None, signal: None }),
        Err(_) => None,
    }
}

fn exit_of(status: &WaitIdStatus) -> Exit {
    Exit { code: status.exit_status(), signal: status.terminating_signal() }
}
