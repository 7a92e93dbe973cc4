//! The data directory and its lock: one process per directory. The kernel drops the lock with the
//! process, so a crash never leaves it behind; the text in the file only says who to look for.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rota_core::port::Clock;
use rota_kit::host::host_name;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::SystemClock;

const LOCK_FILE: &str = "lock";
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// How long the lock of a process that has ended is waited for, and how often it is tried.
const LAST_HOLD_MAX: Duration = Duration::from_secs(5);
const LAST_HOLD_PAUSE: Duration = Duration::from_millis(20);

/// A data directory that this process holds alone, until this value is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Who holds a data directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// The host it runs on.
    pub host: String,
    /// When it took the directory.
    pub since: DateTime<Utc>,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error("{} is in use {}: stop that process, or give this one another directory with --data", .path.display(), held_by(.holder))]
    Held {
        /// The directory.
        path: PathBuf,
        /// Who has it, if the lock file says so.
        holder: Option<Holder>,
    },
    /// The file system refused.
    #[error("cannot use {} as data directory: {source}: give one that this user may write with --data", .path.display())]
    Io {
        /// The directory, or the file in it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn held_by(holder: &Option<Holder>) -> String {
    match holder {
        Some(Holder { pid, host, since }) => {
            format!("by process {pid} on {host} since {}", since.format("%Y-%m-%d %H:%M:%S UTC"))
        }
        None => "by another process".to_owned(),
    }
}

impl DataDir {
    /// Makes the directory if it is missing (readable by this user only) and takes its lock.
    pub fn acquire(path: impl AsRef<Path>) -> Result<Self, DataDirError> {
        let path = path.as_ref();
        make_private(path).map_err(|source| DataDirError::Io { path: path.to_owned(), source })?;
        let lock_path = path.join(LOCK_FILE);
        let failed = |source| DataDirError::Io { path: lock_path.clone(), source };
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&lock_path)
            .map_err(failed)?;
        let began = Instant::now();
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) => {}
                Err(errno) => return Err(failed(errno.into())),
            }
            let holder = read_holder(&mut lock);
            if began.elapsed() > LAST_HOLD_MAX || !holder.as_ref().is_some_and(is_gone) {
                return Err(DataDirError::Held { path: path.to_owned(), holder });
            }
            std::thread::sleep(LAST_HOLD_PAUSE);
        }
        write_holder(&mut lock).map_err(failed)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A directory that rota makes is private from the start. One that exists is made private if it is rota's own or
/// empty; somebody else's is left as it is.
fn make_private(path: &Path) -> io::Result<()> {
    if !path.is_dir() {
        return DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path);
    }
    let is_ours = path.join(LOCK_FILE).exists() || fs::read_dir(path)?.next().is_none();
    if is_ours {
        fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE))?;
    }
    Ok(())
}

/// Whether the holder is a process of this host that has ended. A process that it was just starting may hold the lock for a
/// moment longer, until it has become the program that it is to be.
fn is_gone(holder: &Holder) -> bool {
    let is_here = host_name() == holder.host;
    let stat = fs::read_to_string(format!("/proc/{}/stat", holder.pid));
    // A zombie has ended as well.
    is_here && stat.map_or(true, |stat| stat.contains(") Z "))
}

fn read_holder(lock: &mut File) -> Option<Holder> {
    lock.rewind().ok()?;
    let mut text = String::new();
    lock.read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write_holder(lock: &mut File) -> io::Result<()> {
    let holder = Holder { pid: std::process::id(), host: host_name(), since: SystemClock.now() };
    lock.set_len(0)?;
    lock.rewind()?;
    serde_json::to_writer(&mut *lock, &holder)?;
    lock.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_who_has_it() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let held = DataDir::acquire(&path).unwrap();
        let refused = DataDir::acquire(&path).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        assert!(refused.contains("--data"), "{refused}");
        drop(held);
        DataDir::acquire(&path).unwrap();
    }

    #[test]
    fn the_directory_is_for_this_user_only() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let _held = DataDir::acquire(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, DIRECTORY_MODE);
    }

    #[test]
    fn a_directory_of_somebody_else_keeps_its_mode() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join("theirs"), "x").unwrap();
        fs::set_permissions(parent.path(), Permissions::from_mode(0o755)).unwrap();
        let _held = DataDir::acquire(parent.path()).unwrap();
        assert_eq!(fs::metadata(parent.path()).unwrap().permissions().mode() & 0o777, 0o755);
    }
}
