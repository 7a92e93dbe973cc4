//! A window onto a log: some lines in a row.

use std::collections::VecDeque;

use super::Log;
use super::reader::{LogReader, StoredLine};
use crate::error::Outcome;

/// Most lines of a window.
pub(crate) const WINDOW_LINES: u64 = 500;
/// Most bytes of a window, but for its first line.
const WINDOW_BYTES: usize = 512 * 1024;

/// Lines in a row.
#[derive(Debug, Default)]
pub(crate) struct LineWindow {
    pub(crate) lines: VecDeque<StoredLine>,
}

impl LineWindow {
    /// The number of its first line.
    pub(crate) fn first(&self) -> u64 {
        self.lines.front().map_or(1, |line| line.no)
    }

    /// The number after its last line's.
    pub(crate) fn end(&self) -> u64 {
        self.lines.back().map_or(1, |line| line.no + 1)
    }
}

/// The lines from this one on; without one, and beyond the end, the last ones.
pub(crate) async fn window(log: &Log, first: Option<u64>) -> Outcome<LineWindow> {
    let lines = log.index.lines();
    let first = first.filter(|first| *first <= lines).map(|first| first.max(1));
    let last_ones = lines.saturating_sub(WINDOW_LINES - 1).max(1);
    let mut reader = LogReader::at(log, first.unwrap_or(last_ones), 1).await?;
    let (mut window, mut bytes) = (LineWindow::default(), 0);
    while (window.lines.len() as u64) < WINDOW_LINES
        && let Some(line) = reader.next().await?
    {
        bytes += line.text.len();
        if first.is_some() && bytes > WINDOW_BYTES && !window.lines.is_empty() {
            break;
        }
        window.lines.push_back(line);
        while bytes > WINDOW_BYTES && window.lines.len() > 1 {
            bytes -= window.lines.pop_front().map_or(0, |line| line.text.len());
        }
    }
    Ok(window)
}
