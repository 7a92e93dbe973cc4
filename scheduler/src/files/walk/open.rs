//! Opening DAG files: never through a link that was put in a file's place meanwhile, never waiting for the other end of a
//! pipe, and never more than a DAG file may hold.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rota_core::dag::{FILE_BYTES_MAX, FileError};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fcntl_getfl, fcntl_setfl, open, openat, openat2};
use rustix::io::Errno;

use super::{ListedFile, Tree, not_regular};

/// Why a DAG file was not read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// It holds this many bytes at least.
    #[error("the file holds {0} bytes; at most {FILE_BYTES_MAX} are read")]
    TooLarge(u64),
    /// What the system said.
    #[error("the file cannot be read: {0}")]
    Failed(#[from] io::Error),
}

impl Unread {
    /// The same as an error of the file at `path`.
    #[must_use]
    pub fn at(&self, path: &str) -> FileError {
        let hint = match self {
            Self::TooLarge(_) => "split it into several DAGs",
            Self::Failed(_) => "check its owner and mode",
        };
        FileError {
            path: path.to_owned(),
            line: 1,
            col: 1,
            message: self.to_string(),
            hint: Some(hint.to_owned()),
        }
    }
}

/// What a [`super::Listing`] has as unreadable, as an error of its place.
#[must_use]
pub fn unreadable(path: &str, error: &str) -> FileError {
    let message = format!("it cannot be read: {error}");
    let hint =
        "check its owner and mode; meanwhile a server keeps the last versions of the DAGs in it".to_owned();
    FileError { path: path.to_owned(), line: 1, col: 1, message, hint: Some(hint) }
}

impl Tree {
    /// The directory at `root`, which may be a link.
    ///
    /// # Errors
    /// It is not there, is no directory, or must not be read.
    pub fn open(root: &Path) -> io::Result<Self> {
        let root = fs::canonicalize(root)?;
        let dir = open(&root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { root, dir })
    }

    /// What a file of the directory holds. Blocks.
    ///
    /// # Errors
    /// It is too large, or cannot be read any more.
    pub fn read(&self, file: &ListedFile) -> Result<Vec<u8>, Unread> {
        if file.meta.len() > FILE_BYTES_MAX as u64 {
            return Err(Unread::TooLarge(file.meta.len()));
        }
        let opened = File::from(open_beneath(&self.dir, &file.real)?);
        let kind = opened.metadata().map_err(Unread::Failed)?.file_type();
        if !kind.is_file() {
            return Err(io::Error::other(not_regular(kind)).into());
        }
        read_bounded(&opened)
    }
}

/// What a file holds that a person named. It may be a link to anywhere, or a pipe (`<(command)`). Blocks.
///
/// # Errors
/// It is too large, or is not there, or is no file to be read.
pub fn read_named(path: &Path) -> Result<Vec<u8>, Unread> {
    let opened = openat(CWD, path, FLAGS, Mode::empty()).map_err(io::Error::from)?;
    let opened = File::from(opened);
    let kind = opened.metadata().map_err(Unread::Failed)?.file_type();
    if kind.is_fifo() {
        // It was opened without waiting for a writer. If there is one, what it writes is waited for.
        wait_for_writers(&opened).map_err(io::Error::from)?;
    } else if !kind.is_file() {
        return Err(io::Error::other(not_regular(kind)).into());
    }
    read_bounded(&opened)
}

const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Opens a path that held no link when it was listed. Kernels before 5.6, and some sandboxes, have no `openat2`.
fn open_beneath(dir: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let opened = match openat2(dir, path, FLAGS, Mode::empty(), within) {
        Err(Errno::NOSYS | Errno::PERM) => openat(dir, path, FLAGS | OFlags::NOFOLLOW, Mode::empty()),
        opened => opened,
    };
    Ok(opened?)
}

fn wait_for_writers(pipe: impl AsFd) -> rustix::io::Result<()> {
    let flags = fcntl_getfl(&pipe)?;
    fcntl_setfl(&pipe, flags - OFlags::NONBLOCK)
}

fn read_bounded(file: &File) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Unread::TooLarge(bytes.len() as u64));
    }
    Ok(bytes)
}
