//! Which files of a directory are DAG files: the same for a scheduler and for a command that is given a directory.
//!
//! All `*.yaml` and `*.yml` below it, down to [`DEPTH_MAX`] directories. Names that begin with a dot are left out, and with
//! them what editors leave behind. Only regular files count. A link counts as what it leads to, if that lies in the
//! directory: a Kubernetes ConfigMap is mounted as such links. What looks like a DAG file and does not count is told with
//! the reason, and so is a directory that is not looked into. Nothing here parses, and nothing is opened to be looked at.

mod open;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirEntry, FileType, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use rustix::fd::OwnedFd;
use rustix::io::Errno;

pub use open::{Unread, read_named, unreadable};

/// Most files that one directory may hold. With more, the directory counts as unreadable.
pub const FILES_MAX: usize = 20_000;
/// How deep directories may nest.
pub const DEPTH_MAX: usize = 16;

/// A directory of DAG files, as it is now.
#[derive(Debug)]
pub struct Tree {
    /// Without links.
    root: PathBuf,
    dir: OwnedFd,
}

/// What is in it. Paths are relative to it.
#[derive(Debug, Default)]
pub struct Listing {
    /// Its DAG files.
    pub files: BTreeMap<String, ListedFile>,
    /// What is passed over, with the reason.
    pub ignored: BTreeMap<String, String>,
    /// Files and directories that cannot be looked at, with the system's words: what they hold is not gone.
    pub unreadable: BTreeMap<String, String>,
}

/// A regular file of the directory.
#[derive(Debug)]
pub struct ListedFile {
    /// What it was when it was listed.
    pub meta: Metadata,
    /// Where it is, relative to the directory and without links.
    real: PathBuf,
}

/// A place in the directory.
struct WalkPlace {
    /// The way by which it was found.
    shown: String,
    /// The same without links.
    real: PathBuf,
    depth: usize,
}

impl Tree {
    /// Lists the directory. Blocks.
    ///
    /// # Errors
    /// The directory itself cannot be read, or holds more than [`FILES_MAX`] files; nothing must be concluded about its files.
    pub fn list(&self) -> io::Result<Listing> {
        let mut walk = DirectoryWalk {
            tree: self,
            listing: Listing::default(),
            links: BTreeMap::new(),
            entered: BTreeSet::new(),
        };
        let root = WalkPlace { shown: String::new(), real: PathBuf::new(), depth: 0 };
        walk.note_entry(&fs::metadata(&self.root)?);
        walk.look_into(&root)?;
        // After all else, so that a directory is looked into under its own name if it has one.
        while let Some((shown, mut place)) = walk.links.pop_first() {
            place.shown = shown;
            walk.enter(&place);
        }
        if walk.is_full() {
            return Err(io::Error::other(format!("it holds more than {FILES_MAX} DAG files")));
        }
        Ok(walk.listing)
    }
}

struct DirectoryWalk<'t> {
    tree: &'t Tree,
    listing: Listing,
    /// Linked directories that are still to be looked into.
    links: BTreeMap<String, WalkPlace>,
    /// Device and inode of every directory that was looked into.
    entered: BTreeSet<(u64, u64)>,
}

impl DirectoryWalk<'_> {
    fn is_full(&self) -> bool {
        self.listing.files.len() + self.listing.ignored.len() > FILES_MAX
    }

    fn full_path(&self, place: &WalkPlace) -> PathBuf {
        self.tree.root.join(&place.real)
    }

    fn look_into(&mut self, dir: &WalkPlace) -> io::Result<()> {
        for entry in fs::read_dir(self.full_path(dir))? {
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") && !self.is_full() {
                self.take(dir, &entry);
            }
        }
        Ok(())
    }

    fn take(&mut self, dir: &WalkPlace, entry: &DirEntry) {
        let name = entry.file_name();
        let place = WalkPlace {
            shown: below(&dir.shown, &name.to_string_lossy()),
            real: dir.real.join(&name),
            depth: dir.depth + 1,
        };
        let named = has_dag_name(&place.shown);
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) => return self.unless_gone(&place, &error),
        };
        if name.to_str().is_none() {
            if named || kind.is_dir() || kind.is_symlink() {
                self.ignore(place.shown, "its name is not UTF-8 text");
            }
        } else if kind.is_symlink() {
            self.follow(place, named);
        } else if kind.is_dir() {
            self.enter(&place);
        } else if named {
            self.take_file(place);
        }
    }

    fn enter(&mut self, dir: &WalkPlace) {
        if dir.depth > DEPTH_MAX {
            return self
                .ignore(dir.shown.clone(), &format!("it lies more than {DEPTH_MAX} directories deep"));
        }
        match fs::symlink_metadata(self.full_path(dir)) {
            Ok(meta) if !self.note_entry(&meta) => {
                self.ignore(dir.shown.clone(), "it leads to a directory that is looked into already");
            }
            Ok(_) => {
                if let Err(error) = self.look_into(dir) {
                    self.unless_gone(dir, &error);
                }
            }
            Err(error) => self.unless_gone(dir, &error),
        }
    }

    /// Whether the directory is seen for the first time.
    fn note_entry(&mut self, meta: &Metadata) -> bool {
        self.entered.insert((meta.dev(), meta.ino()))
    }

    fn follow(&mut self, link: WalkPlace, named: bool) {
        let target = match fs::canonicalize(self.full_path(&link)) {
            Ok(target) => target,
            // Links by other names lead anywhere; nobody expects a DAG there.
            Err(_) if !named => return,
            Err(error) => {
                return match Errno::from_io_error(&error) {
                    Some(Errno::NOENT | Errno::NOTDIR) => self.ignore(link.shown, "the link leads nowhere"),
                    Some(Errno::LOOP) => self.ignore(link.shown, "the link leads in a circle"),
                    _ => self.unless_gone(&link, &error),
                };
            }
        };
        let Ok(inside) = target.strip_prefix(&self.tree.root) else {
            if named || target.is_dir() {
                let reason = format!("the link leads out of the directory, to {}", target.display());
                self.ignore(link.shown, &reason);
            }
            return;
        };
        let place = WalkPlace { real: inside.to_owned(), ..link };
        if target.is_dir() {
            self.links.insert(place.shown.clone(), place);
        } else if named {
            self.take_file(place);
        }
    }

    fn take_file(&mut self, place: WalkPlace) {
        match fs::symlink_metadata(self.full_path(&place)) {
            Ok(meta) if meta.is_file() => {
                self.listing.files.insert(place.shown, ListedFile { meta, real: place.real });
            }
            Ok(meta) => self.ignore(place.shown, &not_regular(meta.file_type())),
            Err(error) => self.unless_gone(&place, &error),
        }
    }

    fn ignore(&mut self, shown: String, reason: &str) {
        self.listing.ignored.insert(shown, reason.to_owned());
    }

    /// What vanished between the listing and a look at it is simply not there.
    fn unless_gone(&mut self, place: &WalkPlace, error: &io::Error) {
        if error.kind() != io::ErrorKind::NotFound {
            self.listing.unreadable.insert(place.shown.clone(), error.to_string());
        }
    }
}

/// Whether a file of this name is meant to be a DAG file.
fn has_dag_name(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}

fn below(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

/// Why a thing of this kind is not read.
fn not_regular(kind: FileType) -> String {
    let what = match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_block_device() || kind.is_char_device() => "a device",
        _ => "something else",
    };
    format!("it is {what}, and only regular files are read")
}

#[cfg(test)]
mod tests;
