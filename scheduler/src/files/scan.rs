//! The DAG directory: reads the files that [`crate::files::walk`] finds and parses what changed. It never writes to a store
//! and knows of no other replica: [`crate::files::record`] notes what was found, [`crate::files::reconcile`] compares it with
//! what the store has.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rota_core::dag::{self, Dag, FileError};
use rota_core::hex::hex;
use rota_core::id::DagId;
use sha2::{Digest, Sha256};

use crate::files::walk::{Tree, unreadable};

/// What one file holds.
#[derive(Debug, Clone)]
pub struct ScannedFile {
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
pub type DirectoryScan = BTreeMap<String, Arc<ScannedFile>>;

/// A directory and what was found in it last time.
#[derive(Debug)]
pub struct DagDirectory {
    root: PathBuf,
    seen: BTreeMap<String, (FileStamp, Arc<ScannedFile>)>,
    ignored: BTreeMap<String, String>,
}

/// What tells an unchanged file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    inode: u64,
    bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

impl DagDirectory {
    /// A directory that was not read yet.
    pub fn new(root: PathBuf) -> Self {
        Self { root, seen: BTreeMap::new(), ignored: BTreeMap::new() }
    }

    /// Reads the directory; files that did not change since the last scan are not read again. Blocks. An unreadable root
    /// is an error, and then nothing must be concluded about its files.
    pub fn scan(&mut self) -> std::io::Result<DirectoryScan> {
        let tree = Tree::open(&self.root)?;
        let listing = tree.list()?;
        let mut scan = DirectoryScan::new();
        let mut seen = BTreeMap::new();
        for (path, file) in listing.files {
            let stamp = FileStamp::of(&file.meta);
            let found = match self.seen.remove(&path) {
                Some((before, found)) if before == stamp => found,
                _ => match tree.read(&file) {
                    Ok(bytes) => Arc::new(parse(&path, &bytes)),
                    // It is tried again with the next scan: what keeps a file from being read may go away without a trace
                    // in the file, such as a shortage of descriptors.
                    Err(unread) => {
                        scan.insert(path.clone(), Arc::new(broken(unread.at(&path))));
                        continue;
                    }
                },
            };
            scan.insert(path.clone(), Arc::clone(&found));
            seen.insert(path, (stamp, found));
        }
        self.seen = seen;
        self.ignored = listing.ignored;
        for (path, error) in &listing.unreadable {
            scan.insert(path.clone(), Arc::new(broken(unreadable(path, error))));
        }
        Ok(scan)
    }

    /// What the last scan passed over, with the reasons.
    pub fn ignored(&self) -> &BTreeMap<String, String> {
        &self.ignored
    }
}

impl FileStamp {
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

fn parse(path: &str, bytes: &[u8]) -> ScannedFile {
    let parsed = match dag::decode(path, bytes) {
        Ok(text) => dag::parse(path, text).map_err(|errors| errors.0),
        Err(error) => Err(vec![error]),
    };
    let state = match parsed {
        Ok(dag) => FileState::Good(Arc::new(dag)),
        Err(errors) => FileState::Broken(errors),
    };
    let source = String::from_utf8_lossy(bytes).into_owned();
    ScannedFile { source, hash: hex(&Sha256::digest(bytes)), state }
}

/// A file or a directory whose content is not known. That it cannot be read is what its hash tells.
fn broken(error: FileError) -> ScannedFile {
    let hash = format!("unread-{}", error.message);
    ScannedFile { source: String::new(), hash, state: FileState::Broken(vec![error]) }
}

/// The path of the file, or of a directory that it is in, if that is there and cannot be used.
pub(crate) fn error_above<'a>(scan: &DirectoryScan, path: &'a str) -> Option<&'a str> {
    let broken =
        |above: &str| scan.get(above).is_some_and(|found| matches!(found.state, FileState::Broken(_)));
    Path::new(path).ancestors().filter_map(Path::to_str).find(|above| broken(above))
}

/// A DAG id that two files claim belongs to the file that had it before (`owners`), else to the first in the order of
/// paths; the other counts as broken.
pub(crate) fn refuse_doubles(scan: &mut DirectoryScan, owners: &mut BTreeMap<DagId, String>) {
    let good = |found: &ScannedFile| match &found.state {
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
            *found = Arc::new(ScannedFile {
                source: found.source.clone(),
                hash: found.hash.clone(),
                state: FileState::Broken(vec![error]),
            });
        }
    }
}
