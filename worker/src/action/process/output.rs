//! The file named by `$ROTA_OUTPUT`, made by the task if it has something to say. Each attempt has a directory for it, which is
//! opened once: whatever a task does to its own, by whatever name, it does to no other attempt's.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, fstat, mkdirat, open, openat, unlinkat};
use rustix::io::Errno;

use crate::account::Account;
use crate::scratch::remove;
use crate::shortage::StartError;

/// Read at most; one byte more than is allowed, so that too much is noticed.
const READ_BYTES_MAX: u64 = 64 * 1024 + 1;
/// The file's name.
const FILE: &str = "output";
/// A directory to hold on to, and not what a link leads to.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The directory of the attempts' directories.
#[derive(Debug)]
pub(super) struct OutputDir {
    path: PathBuf,
    held: Mutex<Arc<OwnedFd>>,
    next: AtomicU64,
    /// Whose attempts' directories are, if not this user's.
    owner: Option<Account>,
}

/// One attempt's directory, which goes with this value.
#[derive(Debug)]
pub(super) struct Output {
    parent: Arc<OwnedFd>,
    directory: OwnedFd,
    name: String,
    path: PathBuf,
    file: PathBuf,
    /// Who has to own what is read.
    owner: Option<u32>,
}

impl OutputDir {
    /// Makes the directory, private and empty.
    ///
    /// # Errors
    /// It cannot be made, or not be emptied of an earlier life's files.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let held = Mutex::new(Arc::new(made_anew(path)?));
        // Tasks have working directories of their own, so they need the full path.
        Ok(Self { path: fs::canonicalize(path)?, held, next: AtomicU64::new(1), owner: None })
    }

    /// The same, with attempts' directories that belong to another user.
    ///
    /// # Errors
    /// In words: that user cannot get there.
    pub(super) fn owned_by(self, account: Account) -> Result<Self, String> {
        account.let_through(&self.path)?;
        Ok(Self { owner: Some(account), ..self })
    }

    /// A new attempt's directory.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn attempt(&self) -> Result<Output, StartError> {
        let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let path = self.path.join(&name);
        let made = || {
            let parent = self.parent()?;
            mkdirat(&parent, &name, Mode::RWXU)?;
            let directory = openat(&parent, &name, DIRECTORY, Mode::empty())?;
            self.owner.as_ref().map_or(Ok(()), |account| account.own(&path))?;
            Ok((parent, directory))
        };
        let (parent, directory) = made().map_err(|error: io::Error| {
            let path = path.display();
            let words =
                format!("cannot make the directory of the file named by ROTA_OUTPUT, {path}: {error}");
            StartError::of(&error, words)
        })?;
        let owner = self.owner.as_ref().map(|account| account.uid);
        Ok(Output { parent, directory, file: path.join(FILE), path, name, owner })
    }

    /// The directory that tasks find by its path. A task may have removed or replaced it: then it is made anew, and who runs
    /// already keeps the one that it has.
    fn parent(&self) -> io::Result<Arc<OwnedFd>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let there = fs::symlink_metadata(&self.path).map(|there| (there.dev(), there.ino())).ok();
        let known = fstat(&**held)?;
        if there != Some((known.st_dev, known.st_ino)) {
            tracing::warn!("a task has removed or replaced {}; it is made anew", self.path.display());
            *held = Arc::new(made_anew(&self.path)?);
            let opened = self.owner.as_ref().map_or(Ok(()), |account| account.let_through(&self.path));
            opened.map_err(io::Error::other)?;
        }
        Ok(Arc::clone(&held))
    }
}

fn made_anew(path: &Path) -> io::Result<OwnedFd> {
    remove(path)?;
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    Ok(open(path, DIRECTORY, Mode::empty())?)
}

impl Output {
    /// What `$ROTA_OUTPUT` says.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Takes what the attempt wrote. `None` if it wrote nothing.
    ///
    /// # Errors
    /// In words, for a file that is none or cannot be read.
    pub(super) fn take(&self) -> Result<Option<Vec<u8>>, String> {
        // Not through a link and not waiting for a writer: the task decides what lies here.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let unreadable = |error| format!("cannot read the file named by ROTA_OUTPUT: {error}");
        let file = match openat(&self.directory, FILE, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(unreadable(io::Error::from(error))),
        };
        // Another name of somebody else's file would let a task read that file with rota's rights.
        let is_own = |found: &fs::Metadata| self.owner.is_none_or(|owner| found.uid() == owner);
        if !file.metadata().is_ok_and(|metadata| metadata.is_file() && is_own(&metadata)) {
            let odd = "the task replaced the file named by ROTA_OUTPUT by something that is no file";
            return Err(odd.to_owned());
        }
        let mut bytes = Vec::new();
        file.take(READ_BYTES_MAX).read_to_end(&mut bytes).map_err(unreadable)?;
        Ok(Some(bytes))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Most attempts leave at most the file; what else there is takes longer, so it is not removed on the runtime.
        let _ = unlinkat(&self.directory, FILE, AtFlags::empty());
        match unlinkat(&self.parent, &self.name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(_) => {
                let path = std::mem::take(&mut self.path);
                // What stays all the same goes at the worker's next start.
                let clear = move || drop(remove(&path));
                match tokio::runtime::Handle::try_current() {
                    Ok(runtime) => drop(runtime.spawn_blocking(clear)),
                    Err(_) => clear(),
                }
            }
        }
    }
}
