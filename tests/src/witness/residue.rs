//! Processes that carry a test's mark in their environment. Looks at `/proc`; signals nobody.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::record::DIR_VARIABLE;

/// A process of a task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stray {
    /// Its process id.
    pub pid: i32,
    /// Which life of the worker started it: the worker's own mark.
    pub life: String,
    /// Its command line.
    pub command: String,
}

/// The processes of tasks whose witness is in this directory. Those that have ended and wait for their parent are none.
#[must_use]
pub fn of_tasks(witness_dir: &Path) -> Vec<Stray> {
    let mark = format!("{DIR_VARIABLE}={}", witness_dir.display());
    pids()
        .filter_map(|pid| {
            let environ = read(pid, "environ")?;
            let mut entries = environ.split('\0');
            entries.clone().any(|entry| entry == mark).then(|| Stray {
                pid,
                life: entries.find(|entry| entry.starts_with("ROTA_WORKER=")).unwrap_or_default().to_owned(),
                command: read(pid, "cmdline").unwrap_or_default().replace('\0', " "),
            })
        })
        .filter(|stray| is_alive(stray.pid))
        .collect()
}

/// The warden that this server has started.
#[must_use]
pub fn warden_of(server: u32) -> Option<i32> {
    pids().find(|pid| {
        read(*pid, "cmdline").is_some_and(|command| command.contains("__warden"))
            && is_alive(*pid)
            && parent(*pid) == Some(server)
    })
}

/// Whether a process is there and has not ended.
#[must_use]
pub fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|fields| !fields.starts_with('Z'))
}

/// The lives of the worker that these processes belong to.
#[must_use]
pub fn lives(strays: &[Stray]) -> BTreeSet<String> {
    strays.iter().map(|stray| stray.life.clone()).collect()
}

fn parent(pid: i32) -> Option<u32> {
    stat(pid)?.split(' ').nth(1)?.parse().ok()
}

/// The fields of `/proc/PID/stat` after the name: state, parent, ...
fn stat(pid: i32) -> Option<String> {
    let text = read(pid, "stat")?;
    text.rsplit_once(") ").map(|(_, fields)| fields.to_owned())
}

fn read(pid: i32, name: &str) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/{name}")).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn pids() -> impl Iterator<Item = i32> {
    let table = fs::read_dir("/proc").into_iter().flatten().flatten();
    table.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
