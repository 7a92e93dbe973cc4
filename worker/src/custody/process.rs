//! The warden's side: a small process that outlives its worker by a moment.
//!
//! It holds the read end of a pipe. End of file means that the worker is gone: every group it knows is killed, then
//! everything that carries the worker's marker. A lease deadline that passes without a later one (the worker is
//! stopped, or its host was) has the same effect, but the warden goes on serving. It never starts anything, never
//! talks to the network and never writes a file.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use rota_kit::boottime::BootTime;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::BorrowedFd;
use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, setsid};

use super::wire::{self, GREETING_BYTES, READY, RECORD_BYTES, Record};
use super::{Marker, sweep};

/// While records stream in, the pipe is emptied at this pace instead of once per record: the worker's spawns then
/// never wake the warden. The pipe holds far more than comes in between.
const BUSY_PACE: Duration = Duration::from_millis(100);
/// While groups run, how long after a pause of the whole machine the deadline is looked at again at the latest.
const GUARD_PACE: Duration = Duration::from_millis(500);

/// Runs the warden on this process's standard input until the worker is gone and all its processes with it.
pub fn warden_main() -> ExitCode {
    // Fails only for a group leader, which a worker's child is not; a terminal's Ctrl-C is for the worker alone.
    let _ = setsid();
    let stdin = rustix::stdio::stdin();
    let Some(marker) = greet(stdin) else {
        say("the warden is started by a worker, never by hand");
        return ExitCode::from(2);
    };
    Warden {
        marker,
        groups: BTreeSet::new(),
        may_have_strays: false,
        deadline: None,
        is_swept: false,
        pending: Vec::new(),
    }
    .serve(stdin);
    ExitCode::SUCCESS
}

/// Tells whoever reads the worker's stderr. A warden whose words nobody takes goes on: the macro that prints would end it.
fn say(words: &str) {
    let _unheard = writeln!(io::stderr(), "rota: {words}");
}

/// Reads the greeting and answers it.
fn greet(stdin: BorrowedFd<'_>) -> Option<Marker> {
    let mut greeting = [0; GREETING_BYTES];
    let mut filled = 0;
    while filled < GREETING_BYTES {
        match rustix::io::read(stdin, &mut greeting[filled..]) {
            Ok(0) => return None,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
    let marker = wire::greeted(&greeting)?;
    fcntl_setfl(stdin, OFlags::NONBLOCK).ok()?;
    rustix::io::write(rustix::stdio::stdout(), &[READY]).ok()?;
    // Whoever reads the worker's output must not wait for the warden.
    let null = open("/dev/null", OFlags::RDWR, Mode::empty()).ok()?;
    rustix::stdio::dup2_stdout(&null).ok()?;
    Some(marker)
}

struct Warden {
    marker: Marker,
    groups: BTreeSet<i32>,
    /// Whether something was started since the last sweep: it may have left processes outside its group.
    may_have_strays: bool,
    deadline: Option<BootTime>,
    /// Whether the deadline that passed was acted on.
    is_swept: bool,
    pending: Vec<u8>,
}

/// What came through the pipe.
enum Heard {
    Nothing,
    Records,
    End,
}

impl Warden {
    fn serve(mut self, stdin: BorrowedFd<'_>) {
        loop {
            let heard = self.hear(stdin);
            if matches!(heard, Heard::End) {
                return self.end_all();
            }
            if self.deadline.is_some_and(BootTime::is_past) {
                self.end_overdue(stdin);
            }
            self.wait(stdin, matches!(heard, Heard::Records));
        }
    }

    /// Takes in all that is there.
    fn hear(&mut self, stdin: BorrowedFd<'_>) -> Heard {
        let mut heard = Heard::Nothing;
        let mut buffer = [0; 4096];
        loop {
            match rustix::io::read(stdin, &mut buffer) {
                Ok(0) => return Heard::End,
                Ok(count) => {
                    heard = Heard::Records;
                    self.pending.extend_from_slice(&buffer[..count]);
                    self.take_in();
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return heard,
                Err(_) => return Heard::End,
            }
        }
    }

    fn take_in(&mut self) {
        let (records, rest) = self.pending.as_chunks::<RECORD_BYTES>();
        for record in records.iter().filter_map(|bytes| Record::decode(*bytes)) {
            match record {
                Record::Started(group) => {
                    self.groups.insert(group);
                    self.may_have_strays = true;
                    self.is_swept = false;
                }
                Record::Ended(group) => {
                    self.groups.remove(&group);
                }
                Record::Deadline(at) => {
                    self.deadline = Some(at);
                    self.is_swept = false;
                }
                Record::Restart => self.groups.clear(),
            }
        }
        let rest = rest.to_vec();
        self.pending = rest;
    }

    /// Sleeps until there is something to do. With `is_busy` it leaves records where they are for a while and wakes
    /// only for the end of the pipe.
    fn wait(&self, stdin: BorrowedFd<'_>, is_busy: bool) {
        let (events, timeout) = if is_busy {
            (PollFlags::empty(), Some(BUSY_PACE))
        } else if self.has_nothing_to_end() {
            (PollFlags::IN, None)
        } else {
            let left = self.deadline.map_or(GUARD_PACE, BootTime::left);
            (PollFlags::IN, Some(left.clamp(Duration::from_millis(1), GUARD_PACE)))
        };
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        // An interrupted wait is only a shorter one.
        let _ = poll(&mut [PollFd::from_borrowed_fd(stdin, events)], timeout.as_ref());
    }

    /// The lease is over and the worker has not said otherwise: it is stopped, or cut off.
    fn end_overdue(&mut self, stdin: BorrowedFd<'_>) {
        if self.has_nothing_to_end() {
            return;
        }
        self.kill_groups();
        // A worker that goes on says so before it starts anything new. So whatever was seen before the pipe was found empty
        // belongs to what is over.
        let strays = sweep::sweep_life(&self.marker, || !has_news(stdin));
        say(&format!("the worker's lease ran out: the warden ended {} task(s)", self.groups.len()));
        if strays > 0 {
            say(&format!("the warden ended {strays} process(es) outside their groups"));
        }
        self.is_swept = !has_news(stdin);
        self.may_have_strays = !self.is_swept;
    }

    /// Whether a deadline that passes is of no consequence. A task that has ended may have left processes outside its
    /// group, which must not outlive the lease either.
    fn has_nothing_to_end(&self) -> bool {
        self.is_swept || (self.groups.is_empty() && !self.may_have_strays)
    }

    /// The worker is gone.
    fn end_all(&mut self) {
        // Only now is a group's id certain to be the worker's: its children are reaped by others from here on.
        self.kill_groups();
        sweep::sweep_life(&self.marker, || true);
    }

    fn kill_groups(&self) {
        for group in self.groups.iter().filter_map(|group| Pid::from_raw(*group)) {
            // A group that is gone is what we want.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Whether the worker has said something that was not taken in yet.
fn has_news(stdin: BorrowedFd<'_>) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::from_borrowed_fd(stdin, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
}
