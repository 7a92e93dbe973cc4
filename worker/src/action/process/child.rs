//! One started process and its group, watched through a pidfd. The leader stays unreaped until its group was killed,
//! so the group's number can never mean somebody else.

use std::io;
use std::time::Duration;

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

/// Between two looks at a process that has no pidfd.
const LOOK: Duration = Duration::from_millis(20);

/// The system kept no record.
const UNKNOWN: Exit = Exit { code: None, signal: None };

/// The leader of a process group. Dropping it ends the group.
pub(super) struct Child {
    group: Pid,
    watched: Watched,
    custody: Option<Guarded>,
}

/// How the leader's end is noticed. Its number stays its own until it is reaped.
enum Watched {
    /// The runtime says so.
    ByPidfd(AsyncFd<OwnedFd>),
    /// Nothing says so, for want of a descriptor: it is looked at again and again. A process that has begun must not be ended
    /// because the worker is short of something.
    ByLooks,
    /// It was reaped.
    Over,
}

impl Child {
    /// Takes over a process that was started as the leader of its own group. From here on nothing fails.
    pub(super) fn adopt(group: Pid, custody: Option<Guarded>) -> Self {
        let pidfd = pidfd_open(group, PidfdFlags::empty()).map_err(io::Error::from).and_then(pidfd::register);
        let watched = match pidfd {
            Ok(pidfd) => Watched::ByPidfd(pidfd),
            Err(error) => {
                tracing::debug!("process {group:?} is watched without a pidfd: {error}");
                Watched::ByLooks
            }
        };
        Self { group, watched, custody }
    }

    /// Sends a signal to the whole group. A group that is gone is no error.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.group, signal);
    }

    /// Waits until the leader has ended. Does not reap it.
    pub(super) async fn ended(&self) -> Exit {
        ended(self.group, &self.watched).await
    }

    /// Kills what is left of the group and lets go of its number. After [`Child::ended`].
    pub(super) fn close(mut self) {
        self.signal(Signal::KILL);
        self.custody = None;
        let watched = std::mem::replace(&mut self.watched, Watched::Over);
        peek(self.group, &watched, WaitIdOptions::empty());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let watched = std::mem::replace(&mut self.watched, Watched::Over);
        if matches!(watched, Watched::Over) {
            return;
        }
        self.signal(Signal::KILL);
        let (group, custody) = (self.group, self.custody.take());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                ended(group, &watched).await;
                drop(custody);
                peek(group, &watched, WaitIdOptions::empty());
            });
        }
    }
}

async fn ended(group: Pid, watched: &Watched) -> Exit {
    loop {
        match watched {
            Watched::ByPidfd(pidfd) => {
                // Fails only in a runtime that is being shut down; the attempt is then lost with it.
                let Ok(mut ready) = pidfd.readable().await else { return std::future::pending().await };
                if let Some(exit) = peek(group, watched, WaitIdOptions::NOWAIT) {
                    return exit;
                }
                ready.clear_ready();
            }
            Watched::ByLooks => {
                if let Some(exit) = peek(group, watched, WaitIdOptions::NOWAIT) {
                    return exit;
                }
                tokio::time::sleep(LOOK).await;
            }
            Watched::Over => return UNKNOWN,
        }
    }
}

fn peek(group: Pid, watched: &Watched, more: WaitIdOptions) -> Option<Exit> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | more;
    let status = match watched {
        Watched::ByPidfd(pidfd) => waitid(WaitId::PidFd(pidfd.get_ref().as_fd()), options),
        Watched::ByLooks => waitid(WaitId::Pid(group), options),
        Watched::Over => return Some(UNKNOWN),
    };
    match status {
        Ok(status) => status.as_ref().map(exit_of),
        // Somebody else reaped it, for example because SIGCHLD is ignored in this process.
        Err(rustix::io::Errno::CHILD) => Some(UNKNOWN),
        Err(_) => None,
    }
}

fn exit_of(status: &WaitIdStatus) -> Exit {
    Exit { code: status.exit_status(), signal: status.terminating_signal() }
}
