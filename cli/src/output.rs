//! What commands print: tables for people, JSON for programs, a moving line for long work on a terminal.
//!
//! Nothing else in this crate prints (`tests/tidy` sees to that), so what happens when nobody takes the words is decided
//! here once. A reader that went away (`rota run list | head`) is no error and changes no exit code. Results that are lost
//! for another reason, such as a full disk, are the command's failure. Remarks on stderr are never worth failing for.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::ValueEnum;
use serde_json::Value;

use crate::text;

/// How a listing is printed: as columns for people, or as JSON for programs. The variants have no doc comments of their
/// own, because clap would print a paragraph for each in every `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

/// The `-o` of every listing.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct FormatArg {
    /// How to print it
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "table")]
    pub(crate) format: Format,
}

/// Prints `value` as JSON, indented.
pub(crate) fn print_json(value: &Value) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    print_text(&text)
}

/// Prints a whole text to stdout. A reader that went away (`rota run list | head`) has what it wanted: the command goes on
/// and ends with the exit code of what it did. Any other trouble, such as a full disk, is the command's failure.
pub(crate) fn print_text(text: &str) -> anyhow::Result<()> {
    unless_gone(print_piece(text.as_bytes()))
}

/// The reader of a stream went away: there is nobody to go on for.
#[derive(Debug)]
pub(crate) struct ReaderGone;

impl fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads stdout any more")
    }
}

impl std::error::Error for ReaderGone {}

/// Passes a piece of a stream on to stdout.
///
/// # Errors
/// [`ReaderGone`], which ends the command without an error; or what else keeps stdout from taking it.
pub(crate) fn print_piece(piece: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    written(out.write_all(piece).and_then(|()| out.flush()))
}

/// Prints a help, the version, or what is wrong with a command line, where clap wants it.
///
/// # Errors
/// As [`print_text`].
pub(crate) fn print_clap(words: &clap::Error) -> anyhow::Result<()> {
    unless_gone(written(words.print().and_then(|()| io::stdout().flush())))
}

fn written(result: io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        result => result.context("what the command found cannot be written to stdout"),
    }
}

fn unless_gone(printed: anyhow::Result<()>) -> anyhow::Result<()> {
    match printed {
        Err(error) if error.is::<ReaderGone>() => Ok(()),
        printed => printed,
    }
}

/// Says something to the person at stderr. If that fails there is nobody to be told.
pub(crate) fn note(line: &str) {
    note_piece(&format!("{line}\n"));
}

/// The same with whole lines, or with a part of one.
pub(crate) fn note_piece(piece: &str) {
    let _unheard = io::stderr().lock().write_all(piece.as_bytes());
}

/// Prints one line to stdout.
pub(crate) fn print_line(line: &str) -> anyhow::Result<()> {
    print_text(&format!("{line}\n"))
}

/// Prints lines that others wrote to stdout, without their control characters.
pub(crate) fn print_block(block: &str) -> anyhow::Result<()> {
    let block = text::clean_block(block);
    print_text(&format!("{}\n", block.trim_end_matches('\n')))
}

/// Rows under headings, columns as wide as their widest cell.
#[derive(Debug)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; its cells lose their control characters. Empty cells become `-`.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.headings.len(), "a row has one cell per heading");
        let cells = cells.into_iter().map(|cell| match text::clean(&cell).trim() {
            "" => "-".to_owned(),
            cell => cell.to_owned(),
        });
        self.rows.push(cells.collect());
    }

    /// Prints the table to stdout, or `nothing` to stderr if it has no rows.
    pub(crate) fn print(&self, nothing: &str) -> anyhow::Result<()> {
        if self.rows.is_empty() {
            note(nothing);
            return Ok(());
        }
        print_text(&self.render())
    }

    fn render(&self) -> String {
        let headings: Vec<String> = self.headings.iter().map(|&heading| heading.to_owned()).collect();
        let widths: Vec<usize> = (0..headings.len())
            .map(|column| {
                let cells = self.rows.iter().chain([&headings]).map(|row| row[column].chars().count());
                cells.max().unwrap_or(0)
            })
            .collect();
        let mut out = String::new();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
            out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            out.push('\n');
        }
        out
    }
}

/// One line on stderr that is rewritten while something takes its time; silent where stderr is no terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: bool,
    last: Option<Instant>,
}

impl Progress {
    const EVERY: Duration = Duration::from_millis(100);

    /// Starts without a line.
    pub(crate) fn new() -> Self {
        Self { shown: io::stderr().is_terminal(), last: None }
    }

    /// Rewrites the line, at most ten times a second.
    pub(crate) fn update(&mut self, line: impl FnOnce() -> String) {
        let due = self.last.is_none_or(|last| last.elapsed() >= Self::EVERY);
        if self.shown && due {
            note_piece(&format!("\r\x1b[K{}", text::clean(&line())));
            self.last = Some(Instant::now());
        }
    }

    /// Removes the line.
    pub(crate) fn clear(&mut self) {
        if self.last.take().is_some() {
            note_piece("\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["DAG", "STATE"]);
        table.row(vec!["a_long_name".into(), "ok".into()]);
        table.row(vec!["b".into(), String::new()]);
        assert_eq!(table.render(), "DAG          STATE\na_long_name  ok\nb            -\n");
    }

    #[test]
    fn a_reader_that_went_away_is_no_error_and_a_full_disk_is() {
        assert!(unless_gone(written(Err(io::ErrorKind::BrokenPipe.into()))).is_ok());
        assert!(unless_gone(written(Err(io::ErrorKind::StorageFull.into()))).is_err());
    }

    #[test]
    fn a_name_cannot_break_out_of_its_row() {
        let mut table = Table::new(&["DAG"]);
        table.row(vec!["a\n\u{1b}[2Jb".into()]);
        assert_eq!(table.render(), "DAG\na b\n");
    }
}
