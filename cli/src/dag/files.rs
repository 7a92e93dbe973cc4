//! DAG files on this machine: finding, reading and parsing them, many at once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rota_core::dag::{self, Dag, Errors, FileError, Remark};
use rota_scheduler::walk::{ListedFile, Tree, read_named, unreadable};

use crate::failure::Failure;
use crate::{output, text};

/// What the paths of a command line name.
#[derive(Debug, Default)]
pub(super) struct FoundFiles {
    /// The DAG files, directories' in the order of their names.
    pub(super) files: Vec<DagFile>,
    /// What cannot be looked at below a directory.
    pub(super) errors: Vec<FileError>,
}

/// A DAG file.
#[derive(Debug)]
pub(super) struct DagFile {
    /// Its name, as it is shown in errors.
    pub(super) shown: String,
    place: FilePlace,
}

#[derive(Debug)]
enum FilePlace {
    Named(PathBuf),
    Below(Arc<Tree>, ListedFile),
}

/// The DAG files that `paths` name: files as they are, directories with the files below them that a scheduler would take.
/// What looks like one and is not taken is said.
///
/// # Errors
/// A path that is not there, or a directory that cannot be read as a whole.
pub(super) fn find(paths: &[PathBuf]) -> anyhow::Result<FoundFiles> {
    let mut found = FoundFiles::default();
    for path in paths {
        let meta = fs::metadata(path).map_err(|error| unusable(path, &error))?;
        if meta.is_dir() {
            found.take_below(path).map_err(|error| unusable(path, &error))?;
        } else {
            found
                .files
                .push(DagFile { shown: path.display().to_string(), place: FilePlace::Named(path.clone()) });
        }
    }
    Ok(found)
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("cannot be read: {error}"))
        .at(path.display().to_string())
        .expected("a DAG file, or a directory of DAG files")
}

impl FoundFiles {
    fn take_below(&mut self, dir: &Path) -> io::Result<()> {
        let tree = Arc::new(Tree::open(dir)?);
        let listing = tree.list()?;
        let shown = |path: &str| dir.join(path).display().to_string();
        for (path, why) in &listing.ignored {
            output::note(&text::clean(&format!("ignored: {}: {why}", shown(path))));
        }
        self.errors.extend(listing.unreadable.iter().map(|(path, error)| unreadable(&shown(path), error)));
        self.files.extend(listing.files.into_iter().map(|(path, file)| DagFile {
            shown: shown(&path),
            place: FilePlace::Below(Arc::clone(&tree), file),
        }));
        Ok(())
    }
}

impl DagFile {
    /// Its text.
    ///
    /// # Errors
    /// A file that cannot be read or is no text, as an error of that place.
    pub(super) fn read(&self) -> Result<String, FileError> {
        let bytes = match &self.place {
            FilePlace::Named(path) => read_named(path),
            FilePlace::Below(tree, file) => tree.read(file),
        };
        let bytes = bytes.map_err(|unread| unread.at(&self.shown))?;
        Ok(dag::decode(&self.shown, &bytes)?.to_owned())
    }
}

/// Reads and parses one file for a command that needs it to be good: its errors are printed to stderr.
pub(super) fn load(path: &Path) -> anyhow::Result<(Dag, String)> {
    let file = DagFile { shown: path.display().to_string(), place: FilePlace::Named(path.to_owned()) };
    let outcome = file.read().map_err(|error| Errors(vec![error]));
    let outcome = outcome.and_then(|source| Ok((dag::parse(&file.shown, &source)?, source)));
    outcome.map_err(|errors| {
        for error in &errors.0 {
            output::note(&text::clean(&error.to_string()));
        }
        Failure::failed(format!(
            "{} cannot be used: {}",
            path.display(),
            count(errors.0.iter().map(FileError::stands_for).sum(), "error")
        ))
        .help("mend the lines above, then `rota dag validate` checks them again")
        .into()
    })
}

/// A remark as it is printed: `path:line:col: remark: message; hint`.
pub(super) fn remark_line(path: &str, remark: &Remark) -> String {
    let hint = remark.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{path}:{}:{}: remark: {}{hint}", remark.line, remark.col, remark.message)
}

/// `1 error`, `2 errors`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Applies `work` to each of `items` on all cores; the results come in the order of the items. `done` hears how many are
/// finished.
pub(super) fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut done: impl FnMut(usize),
) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(items.len().div_ceil(16)).max(1);
    let next = AtomicUsize::new(0);
    let (send, receive) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (send, next, work) = (send.clone(), &next, &work);
            scope.spawn(move || {
                while let Some((place, item)) = take(next, items) {
                    if send.send((place, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        let mut results: Vec<(usize, R)> = Vec::with_capacity(items.len());
        for result in receive {
            results.push(result);
            done(results.len());
        }
        results.sort_by_key(|(place, _)| *place);
        results.into_iter().map(|(_, result)| result).collect()
    })
}

fn take<'i, T>(next: &AtomicUsize, items: &'i [T]) -> Option<(usize, &'i T)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    items.get(place).map(|item| (place, item))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_their_items() {
        let items: Vec<usize> = (0..1000).collect();
        let mut heard = 0;
        let results = in_parallel(&items, |item| item * 2, |done| heard = done);
        assert_eq!(results, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert_eq!(heard, 1000);
    }

    #[test]
    fn directories_give_their_yaml_files_in_order_without_hidden_ones() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("b/.hidden")).unwrap();
        for name in ["c.yml", "a.yaml", "b/x.yaml", "b/.hidden/y.yaml", "notes.md"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let found = find(&[dir.path().to_owned()]).unwrap().files;
        let names: Vec<_> =
            found.iter().map(|file| Path::new(&file.shown).strip_prefix(dir.path()).unwrap()).collect();
        assert_eq!(names, ["a.yaml", "b/x.yaml", "c.yml"].map(Path::new));
    }

    #[test]
    fn a_file_that_is_no_text_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad.yaml");
        fs::write(&path, b"dag: a\ntasks: \xff\n").unwrap();
        let found = find(&[path]).unwrap().files;
        assert_eq!(found[0].read().unwrap_err().line, 2);
    }
}
