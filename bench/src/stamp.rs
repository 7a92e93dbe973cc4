//! A task's own record of when it ran: `rota-bench stamp FILE` appends one line to a file and ends.
//!
//! The start is taken first thing in `main`, so what lies between a task's end and its successor's start includes the
//! start of this very process; figures that use stamps report that cost, measured without rota, beside them.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::clock::now_ns;

/// The word that makes this program a stamp.
pub(crate) const COMMAND: &str = "stamp";

/// One line of a stamp file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// `ROTA_RUN_ID`.
    pub(crate) run: String,
    /// `ROTA_TASK_ID`.
    pub(crate) task: String,
    /// `ROTA_ATTEMPT`.
    pub(crate) attempt: String,
    /// `ROTA_SLOT`; empty without one.
    pub(crate) slot: String,
    /// When the process began, ns since 1970 UTC.
    pub(crate) start_ns: i64,
    /// When it was about to end.
    pub(crate) end_ns: i64,
}

/// Stamps `file`. Exits with 1 if that fails, so that the task fails.
pub(crate) fn main(file: Option<OsString>) -> ExitCode {
    let start_ns = now_ns();
    let Some(file) = file else {
        eprintln!("usage: rota-bench {COMMAND} FILE");
        return ExitCode::from(2);
    };
    match append(Path::new(&file), start_ns) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// One `write` to a file in append mode: lines of tasks that end at once do not mix.
fn append(file: &Path, start_ns: i64) -> anyhow::Result<()> {
    let words = ["ROTA_RUN_ID", "ROTA_TASK_ID", "ROTA_ATTEMPT", "ROTA_SLOT"]
        .map(|name| std::env::var(name).unwrap_or_default());
    let open = OpenOptions::new().create(true).append(true).open(file);
    let mut open = open.with_context(|| format!("cannot open {}", file.display()))?;
    let [run, task, attempt, slot] = words;
    let line = format!("{run},{task},{attempt},{slot},{start_ns},{}\n", now_ns());
    open.write_all(line.as_bytes()).with_context(|| format!("cannot write {}", file.display()))
}

/// The stamps of a file, by start.
///
/// # Errors
/// The file is not there, or has a line that is none.
pub(crate) fn read(file: &Path) -> anyhow::Result<Vec<Stamp>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut stamps = text
        .lines()
        .map(|line| parse(line).with_context(|| format!("{}: not a stamp: {line}", file.display())))
        .collect::<anyhow::Result<Vec<_>>>()?;
    stamps.sort_by_key(|stamp| stamp.start_ns);
    Ok(stamps)
}

fn parse(line: &str) -> Option<Stamp> {
    let words: Vec<&str> = line.split(',').collect();
    let [run, task, attempt, slot, start, end] = words[..] else { return None };
    Some(Stamp {
        run: run.to_owned(),
        task: task.to_owned(),
        attempt: attempt.to_owned(),
        slot: slot.to_owned(),
        start_ns: start.parse().ok()?,
        end_ns: end.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("stamps");
        append(&file, 5).unwrap();
        append(&file, 3).unwrap();
        let stamps = read(&file).unwrap();
        assert_eq!(stamps.iter().map(|stamp| stamp.start_ns).collect::<Vec<_>>(), [3, 5]);
        assert!(stamps[0].end_ns > 5);
    }

    #[test]
    fn half_a_line_is_no_stamp() {
        assert_eq!(parse("1,a,1,,12"), None);
        assert_eq!(parse("1,a,1,,12,x"), None);
    }
}
