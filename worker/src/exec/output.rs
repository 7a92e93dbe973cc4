//! The file named by `$ROTA_OUTPUT`: one per attempt, in a directory of the worker alone, made by the task if it has
//! something to say.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags, open};

/// Read at most; one byte more than is allowed, so that too much is noticed.
const READ_BYTES_MAX: u64 = 64 * 1024 + 1;

/// The directory of the output files.
#[derive(Debug)]
pub(super) struct OutputDir {
    path: PathBuf,
    next: AtomicU64,
}

impl OutputDir {
    /// Makes the directory, private and empty.
    ///
    /// # Errors
    /// It cannot be made, or not be emptied of an earlier life's files.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        // Tasks have working directories of their own, so they need the full path.
        Ok(Self { path: fs::canonicalize(path)?, next: AtomicU64::new(1) })
    }

    /// A name that nobody uses yet.
    pub(super) fn file(&self) -> PathBuf {
        self.path.join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

/// Takes what an attempt wrote, and the file away. `None` if it wrote nothing.
///
/// # Errors
/// In words, for a file that is none or cannot be read.
pub(super) fn take(path: &Path) -> Result<Option<Vec<u8>>, String> {
    // Not through a link and not waiting for a writer: the task decides what lies here.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => {
            return Err(format!("cannot read the file named by ROTA_OUTPUT: {}", io::Error::from(error)));
        }
    };
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    let mut bytes = Vec::new();
    let read = if is_file { file.take(READ_BYTES_MAX).read_to_end(&mut bytes) } else { Ok(0) };
    // What stays is removed with the directory.
    let _ = fs::remove_file(path);
    match read {
        Ok(_) if is_file => Ok(Some(bytes)),
        Ok(_) => {
            Err("the task replaced the file named by ROTA_OUTPUT by something that is no file".to_owned())
        }
        Err(error) => Err(format!("cannot read the file named by ROTA_OUTPUT: {error}")),
    }
}
