//! Takes a process its descriptors, as a machine does that has none left, and gives them back.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// A process that has few descriptors left. It has its limit back when this is dropped.
pub struct Starved {
    pid: Pid,
    before: Rlimit,
}

impl Starved {
    /// Leaves a process `spare` more descriptors than it has open.
    ///
    /// # Panics
    /// There is no such process, or it belongs to somebody else.
    #[must_use]
    pub fn of(pid: u32, spare: usize) -> Self {
        let open: BTreeSet<u64> = fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
            .collect();
        let most = (0..).filter(|number| !open.contains(number)).nth(spare).unwrap();
        let before = limit_of(pid);
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
        prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(most), ..before }).unwrap();
        Self { pid, before }
    }
}

impl Drop for Starved {
    fn drop(&mut self) {
        // The process may have ended.
        let _gone = prlimit(Some(self.pid), Resource::Nofile, self.before);
    }
}

/// A process's limit of open files.
///
/// # Panics
/// There is no such process.
#[must_use]
pub fn limit_of(pid: u32) -> Rlimit {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().skip(3).map(|word| word.parse().ok());
    Rlimit { current: numbers.next().flatten(), maximum: numbers.next().flatten() }
}
