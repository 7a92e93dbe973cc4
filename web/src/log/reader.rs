//! Reads a log line by line from any line on, a few blocks at a time. Chunks may end within a line.

use super::Log;
use crate::error::Outcome;

/// Most bytes of a line that are kept; workers write none that is longer.
pub(super) const LINE_BYTES_MAX: usize = 64 * 1024;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredLine {
    /// From 1.
    pub(crate) no: u64,
    /// As it is stored, without its end.
    pub(crate) text: String,
    /// Bytes at its end that were not kept.
    pub(crate) cut: u64,
}

/// A place in a log.
pub(crate) struct LogReader<'a> {
    log: &'a Log,
    /// Blocks that are read at once.
    stride: usize,
    /// The next block to be read.
    block: usize,
    text: String,
    /// Where the unread part of `text` begins.
    at: usize,
    /// The line that it begins in.
    line: u64,
    read: u64,
}

impl<'a> LogReader<'a> {
    /// A reader that stands before this line (from 1).
    pub(crate) async fn at(log: &'a Log, line: u64, stride: usize) -> Outcome<Self> {
        let block = log.index.block_of(line);
        let first = log.index.blocks().get(block).map_or(1, |block| block.ends_before + 1);
        let mut reader = Self { log, stride, block, text: String::new(), at: 0, line: first, read: 0 };
        while reader.line < line && reader.skip().await? {}
        Ok(reader)
    }

    /// Bytes read from the store so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// The next line; `None` at the end of the log.
    pub(crate) async fn next(&mut self) -> Outcome<Option<StoredLine>> {
        let mut line = StoredLine { no: self.line, text: String::new(), cut: 0 };
        let mut is_begun = false;
        loop {
            let rest = &self.text[self.at..];
            let end = rest.find('\n');
            let piece = &rest[..end.unwrap_or(rest.len())];
            is_begun |= !rest.is_empty();
            line.take(piece);
            self.at += piece.len();
            if end.is_some() {
                self.at += 1;
                self.line += 1;
                return Ok(Some(line));
            }
            if !self.load().await? {
                return Ok(is_begun.then_some(line));
            }
        }
    }

    /// Passes the next line end. False at the end of the log.
    async fn skip(&mut self) -> Outcome<bool> {
        loop {
            if let Some(end) = self.text[self.at..].find('\n') {
                self.at += end + 1;
                self.line += 1;
                return Ok(true);
            }
            if !self.load().await? {
                return Ok(false);
            }
        }
    }

    /// Reads the next blocks in place of those that were read before.
    async fn load(&mut self) -> Outcome<bool> {
        let blocks = self.log.index.blocks();
        let wanted = &blocks[self.block.min(blocks.len())..(self.block + self.stride).min(blocks.len())];
        self.text.clear();
        self.at = 0;
        let Some(first) = wanted.first() else { return Ok(false) };
        let chunks = wanted.iter().map(|block| block.chunks as usize).sum();
        for chunk in self.log.store.view_log(self.log.key, first.seq, chunks).await? {
            self.text.push_str(&chunk.text);
        }
        self.block += wanted.len();
        self.read += self.text.len() as u64;
        Ok(true)
    }
}

impl StoredLine {
    fn take(&mut self, piece: &str) {
        let room = if self.cut > 0 { 0 } else { LINE_BYTES_MAX - self.text.len() };
        let kept = piece.floor_char_boundary(room);
        self.text.push_str(&piece[..kept]);
        self.cut += (piece.len() - kept) as u64;
    }
}
