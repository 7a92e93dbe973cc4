//! What is left of a process that was killed: the tasks of its worker, and their warden. All of it must be gone soon.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::rng::now;
use super::wait_for;
use crate::witness::check::{Rule, Violation};
use crate::witness::record::Micros;
use crate::witness::residue;

/// After a `kill -9` no process of a task may be alive for longer.
pub const BURIAL_MAX: Duration = Duration::from_secs(1);

/// A process that was killed, before what it ran was seen to be gone.
pub struct Killed {
    /// When.
    pub at: Micros,
    since: Instant,
    witness: PathBuf,
    lives: BTreeSet<String>,
    warden: Option<i32>,
}

/// What came of it.
pub struct Buried {
    /// When all was gone.
    pub until: Micros,
    /// How long that took.
    pub took: Duration,
    /// How many processes were alive when the time was over.
    pub late: usize,
    /// The same as a broken promise.
    pub violation: Option<Violation>,
}

impl Killed {
    /// Kills a process by `kill`, which returns once it is gone. `host` is the name of its worker; none: all tasks of this
    /// witness are its own.
    pub fn by(pid: u32, witness: &Path, host: Option<&str>, kill: impl FnOnce()) -> Self {
        let warden = residue::warden_of(pid);
        let (at, since) = (now(), Instant::now());
        kill();
        let mut lives = residue::lives(&residue::of_tasks(witness));
        if let Some(host) = host {
            lives.retain(|life| life.starts_with(&format!("ROTA_WORKER={host}@")));
        }
        Self { at, since, witness: witness.to_owned(), lives, warden }
    }

    /// Waits until nothing of it is alive, which must not take longer than `limit`.
    pub fn bury(&self, limit: Duration) -> Buried {
        let mut late = Vec::new();
        wait_for("the end of a killed process's tasks", || {
            let mut left = residue::of_tasks(&self.witness);
            left.retain(|stray| self.lives.contains(&stray.life));
            let warden = self.warden.filter(|pid| residue::is_alive(*pid));
            let is_gone = left.is_empty() && warden.is_none();
            if !is_gone && self.since.elapsed() > limit && late.is_empty() {
                late.extend(left.iter().map(|stray| format!("{} {}", stray.pid, stray.command)));
                late.extend(warden.map(|pid| format!("{pid} its warden")));
            }
            is_gone
        });
        let what = || format!("{limit:?} after a kill there were still {}", late.join(", "));
        let violation = (!late.is_empty()).then(|| Violation::new(Rule::Residue, what()));
        Buried { until: now(), took: self.since.elapsed(), late: late.len(), violation }
    }
}
