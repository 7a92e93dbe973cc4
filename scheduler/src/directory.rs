//! The DAG directory: reads `**/*.yaml|yml` and parses what changed. It never writes to a store and knows of no other
//! replica: [`crate::seen`] notes what was found, [`crate::files`] compares it with what the store has.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rota_core::dag::{self, Dag, FileError};
use rota_core::id::DagId;
use sha2::{Digest, Sha256};

/// Most files that one directory may hold. With more, the directory counts as unreadable.
const FILES_MAX: usize = 20_000;
/// How deep directories may nest.
const DEPTH_MAX: usize = 16;
/// Files above this size are refused unread.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What one file holds.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its text; invalid UTF-8 replaced.
    pub source: String,
    /// SHA-256 of its bytes, lower-case hex.
    pub hash: String,
    /// The DAG, or its errors.
    pub state: FileState,
}

/// A file's state.
#[derive(Debug, Clone)]
pub enum FileState {
    /// It defines this DAG.
    Good(Arc<Dag>),
    /// It cannot be used.
    Broken(Vec<FileError>),
}

/// All files of the directory, by path relative to it.
pub type Scan = BTreeMap<String, Arc<Found>>;

/// A directory and what was found in it last time.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    seen: BTreeMap<String, (Stamp, Arc<Found>)>,
}

/// What tells an unchanged file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

impl Directory {
    /// A directory that was not read yet.
    pub fn new(root: PathBuf) -> Self {
        Self { root, seen: BTreeMap::new() }
    }

    /// Reads the directory; files that did not change since the last scan are not read again. Blocks. An unreadable root
    /// is an error, and then nothing must be concluded about its files.
    pub fn scan(&mut self) -> std::io::Result<Scan> {
        let mut listing = Listing::default();
        listing.collect(&self.root, &self.root, 0)?;
        if listing.files.len() > FILES_MAX {
            return Err(std::io::Error::other(format!("it holds more than {FILES_MAX} DAG files")));
        }
        let mut seen = BTreeMap::new();
        for (path, meta) in listing.files {
            let stamp = Stamp::of(&meta);
            let found = match self.seen.remove(&path) {
                Some((before, found)) if before == stamp => found,
                _ => Arc::new(read(&self.root, &path, &meta)),
            };
            seen.insert(path, (stamp, found));
        }
        self.seen = seen;
        let mut scan: Scan =
            self.seen.iter().map(|(path, (_, found))| (path.clone(), Arc::clone(found))).collect();
        scan.extend(listing.unreadable);
        Ok(scan)
    }
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        Self {
            inode: meta.ino(),
            bytes: meta.size(),
            modified_ns: nanos(meta.mtime(), meta.mtime_nsec()),
            changed_ns: nanos(meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// The DAG files of a directory.
#[derive(Default)]
struct Listing {
    files: BTreeMap<String, Metadata>,
    /// Directories below the root that cannot be read, as broken files: what is in them is not gone.
    unreadable: Scan,
}

impl Listing {
    /// Finds DAG files. Hidden entries are left out; symlinks are followed for files inside the directory only.
    fn collect(&mut self, root: &Path, dir: &Path, depth: usize) -> std::io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.starts_with('.') || self.files.len() > FILES_MAX {
                continue;
            }
            let path = entry.path();
            // A file that vanished between the listing and this look is simply not there.
            let Ok(meta) = fs::metadata(&path) else { continue };
            if meta.is_dir() {
                let is_below = depth < DEPTH_MAX && !entry.file_type()?.is_symlink();
                match self.collect_below(root, &path, depth, is_below) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        self.note(root, &path, &error)
                    }
                    _ => {}
                }
                continue;
            }
            let is_dag = name.ends_with(".yaml") || name.ends_with(".yml");
            if is_dag
                && meta.is_file()
                && stays_inside(root, &path)
                && let Ok(relative) = path.strip_prefix(root)
            {
                self.files.insert(relative.to_string_lossy().into_owned(), meta);
            }
        }
        Ok(())
    }

    fn collect_below(
        &mut self,
        root: &Path,
        path: &Path,
        depth: usize,
        is_below: bool,
    ) -> std::io::Result<()> {
        if is_below { self.collect(root, path, depth + 1) } else { Ok(()) }
    }

    fn note(&mut self, root: &Path, path: &Path, error: &std::io::Error) {
        let path = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
        let message = format!("the directory cannot be read: {error}");
        let hint = Some("check its owner and mode; the DAGs in it keep their last versions".to_owned());
        let error = FileError { path: path.clone(), line: 1, col: 1, message, hint };
        let found = Found {
            source: String::new(),
            hash: format!("unreadable-{}", error.message),
            state: FileState::Broken(vec![error]),
        };
        self.unreadable.insert(path, Arc::new(found));
    }
}

fn stays_inside(root: &Path, path: &Path) -> bool {
    match (fs::canonicalize(root), fs::canonicalize(path)) {
        (Ok(root), Ok(path)) => path.starts_with(root),
        _ => false,
    }
}

fn read(root: &Path, path: &str, meta: &Metadata) -> Found {
    let broken = |source: String, hash: String, message: String, hint: &str| {
        let hint = Some(hint.to_owned());
        let error = FileError { path: path.to_owned(), line: 1, col: 1, message, hint };
        Found { source, hash, state: FileState::Broken(vec![error]) }
    };
    if meta.len() > FILE_BYTES_MAX {
        let message = format!("the file holds {} bytes; at most {FILE_BYTES_MAX} are read", meta.len());
        return broken(
            String::new(),
            format!("too-large-{}", meta.len()),
            message,
            "split it into several DAGs",
        );
    }
    let bytes = match fs::read(root.join(path)) {
        Ok(bytes) => bytes,
        Err(error) => {
            let message = format!("the file cannot be read: {error}");
            return broken(String::new(), format!("unreadable-{error}"), message, "check its owner and mode");
        }
    };
    let hash = hex(&Sha256::digest(&bytes));
    let parsed = match dag::decode(path, &bytes) {
        Ok(text) => dag::parse(path, text).map_err(|errors| errors.0),
        Err(error) => Err(vec![error]),
    };
    let source = String::from_utf8_lossy(&bytes).into_owned();
    let state = match parsed {
        Ok(dag) => FileState::Good(Arc::new(dag)),
        Err(errors) => FileState::Broken(errors),
    };
    Found { source, hash, state }
}

/// The path of the file, or of a directory that it is in, if that is there and cannot be used.
pub(crate) fn error_above<'a>(scan: &Scan, path: &'a str) -> Option<&'a str> {
    let broken =
        |above: &str| scan.get(above).is_some_and(|found| matches!(found.state, FileState::Broken(_)));
    Path::new(path).ancestors().filter_map(Path::to_str).find(|above| broken(above))
}

/// A DAG id that two files claim belongs to the file that had it before (`owners`), else to the first in the order of
/// paths; the other counts as broken.
pub(crate) fn refuse_doubles(scan: &mut Scan, owners: &mut BTreeMap<DagId, String>) {
    let good = |found: &Found| match &found.state {
        FileState::Good(dag) => Some(dag.id.clone()),
        FileState::Broken(_) => None,
    };
    owners.retain(|id, path| scan.get(path).is_some_and(|found| good(found).is_none_or(|dag| dag == *id)));
    for (path, found) in scan.iter_mut() {
        let Some(id) = good(found) else { continue };
        let owner = owners.entry(id.clone()).or_insert_with(|| path.clone());
        if owner != path {
            let error = FileError {
                path: path.clone(),
                line: 1,
                col: 1,
                message: format!("DAG id `{id}` is taken: {owner} defines it too"),
                hint: Some("give one of the two another `dag:`".to_owned()),
            };
            *found = Arc::new(Found {
                source: found.source.clone(),
                hash: found.hash.clone(),
                state: FileState::Broken(vec![error]),
            });
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}
