//! DAG files on this machine: finding, reading and parsing them, many at once.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Context;
use rota_core::dag::{self, Dag, Errors, FileError, Remark};

use crate::failure::Failure;

/// Deepest directory below a given one that is looked into.
const DEPTH_MAX: usize = 32;

/// Most bytes of a file that are read; the parser says how much it takes, which is less.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The DAG files that `paths` name: files as they are, directories with all `*.yaml` and `*.yml` below them, in the order
/// of their names. Hidden entries and linked directories are left out.
pub(super) fn find(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        let meta = fs::metadata(path).map_err(|error| {
            Failure::usage(format!("cannot be read: {error}"))
                .at(path.display().to_string())
                .expected("a DAG file, or a directory of DAG files")
        })?;
        if meta.is_dir() {
            walk(path, 0, &mut found)?;
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

/// The text of a file, and its name as it is shown in errors.
///
/// # Errors
/// A file that cannot be read or is no text, as an error of that place.
pub(super) fn read(path: &Path) -> Result<(String, String), FileError> {
    let shown = path.display().to_string();
    let mut bytes = Vec::new();
    let outcome = fs::File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes));
    if let Err(error) = outcome {
        let message = format!("the file cannot be read: {error}");
        let hint = Some("check its owner and mode".to_owned());
        return Err(FileError { path: shown, line: 1, col: 1, message, hint });
    }
    let text = dag::decode(&shown, &bytes)?.to_owned();
    Ok((shown, text))
}

/// Reads and parses one file for a command that needs it to be good: its errors are printed to stderr.
pub(super) fn load(path: &Path) -> anyhow::Result<(Dag, String)> {
    let outcome = read(path).map_err(|error| Errors(vec![error]));
    let outcome = outcome.and_then(|(shown, source)| Ok((dag::parse(&shown, &source)?, source)));
    outcome.map_err(|errors| {
        for error in &errors.0 {
            crate::output::note(&crate::text::clean(&error.to_string()));
        }
        Failure::failed(format!("{} cannot be used: {}", path.display(), count(errors.0.len(), "error")))
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

fn walk(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let place = || format!("cannot look into {}", dir.display());
    let entries = fs::read_dir(dir).with_context(place)?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>().with_context(place)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        if entry.file_type().with_context(place)?.is_dir() {
            if depth < DEPTH_MAX {
                walk(&path, depth + 1, found)?;
            }
        } else if is_dag_file(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn is_dag_file(path: &Path) -> bool {
    path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml")
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
        let found = find(&[dir.path().to_owned()]).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.strip_prefix(dir.path()).unwrap()).collect();
        assert_eq!(names, ["a.yaml", "b/x.yaml", "c.yml"].map(Path::new));
    }

    #[test]
    fn a_file_that_is_no_text_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad.yaml");
        fs::write(&path, b"dag: a\ntasks: \xff\n").unwrap();
        assert_eq!(read(&path).unwrap_err().line, 2);
    }
}
