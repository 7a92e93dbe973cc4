//! Finds processes by what stands in their environment and kills them, however they left their group: `setsid`,
//! double fork, a new parent. What it cannot find is a process that cleaned its environment as well.

use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Marker;

/// Between two looks at the process table. Long enough for a process that was being started during one look to be
/// seen by the next.
const PASS_PAUSE: Duration = Duration::from_millis(20);
/// A fork bomb may outrun the sweep; whoever called has more to do than to chase it for ever.
const SWEEP_MAX: Duration = Duration::from_secs(5);

/// Kills what earlier lives of the same worker left behind. Returns how many processes that were.
/// Blocks for some milliseconds; call it before the worker registers.
pub fn sweep_earlier_lives(marker: &Marker) -> usize {
    sweep(|environ| entries(environ).any(|entry| marker.is_earlier_life(entry)), || true)
}

/// Kills everything that carries this marker, as long as `is_wanted`, which is asked before each kill and after the look
/// that found the process. Returns how many processes that were.
pub(super) fn sweep_life(marker: &Marker, is_wanted: impl Fn() -> bool) -> usize {
    sweep(|environ| entries(environ).any(|entry| entry == marker.entry().as_bytes()), is_wanted)
}

/// Kills everything that carries this marker and this other entry (`NAME=value`): what is left of one attempt.
pub(crate) fn sweep_attempt(marker: &Marker, entry: &str) -> usize {
    let is_prey = |environ: &[u8]| {
        entries(environ).any(|found| found == marker.entry().as_bytes())
            && entries(environ).any(|found| found == entry.as_bytes())
    };
    sweep(is_prey, || true)
}

/// Looks and kills until two looks in a row find nothing.
fn sweep(is_prey: impl Fn(&[u8]) -> bool, is_wanted: impl Fn() -> bool) -> usize {
    let started = Instant::now();
    let mut killed = 0;
    let mut clean = 0;
    while clean < 2 && started.elapsed() < SWEEP_MAX && is_wanted() {
        let found = pass(&|environ: &[u8]| is_prey(environ) && is_wanted());
        killed += found;
        clean = if found == 0 { clean + 1 } else { 0 };
        if clean < 2 {
            std::thread::sleep(PASS_PAUSE);
        }
    }
    killed
}

/// One look at the process table.
fn pass(is_prey: &impl Fn(&[u8]) -> bool) -> usize {
    let Ok(table) = std::fs::read_dir("/proc") else { return 0 };
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    table
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid > 1 && *pid != own)
        .filter_map(Pid::from_raw)
        .filter(|pid| kill_if(*pid, is_prey))
        .count()
}

/// Kills one process if it is prey. The pidfd is opened first, so that a process which takes over the number in
/// between is never hit.
fn kill_if(pid: Pid, is_prey: &impl Fn(&[u8]) -> bool) -> bool {
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    let Ok(environ) = std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())) else { return false };
    is_prey(&environ) && pidfd_send_signal(&pidfd, Signal::KILL).is_ok()
}

fn entries(environ: &[u8]) -> impl Iterator<Item = &[u8]> {
    environ.split(|byte| *byte == 0)
}
