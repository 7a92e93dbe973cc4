//! The last part of an output that is too long to be stored whole.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use super::lines::Stream;
use super::stamp::{self, STAMP_BYTES};

/// Keeps the newest whole lines, at most [`Tail::BYTES_MAX`] as stored, and counts the rest.
#[derive(Default)]
pub(super) struct Tail {
    blocks: VecDeque<Block>,
    /// Bytes in `blocks`, as they would be stored.
    bytes: usize,
    /// What was dropped, as the task printed it.
    pub(super) left_out: LeftOut,
}

/// Lines that were not stored.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) bytes: u64,
    pub(super) lines: u64,
}

struct Block {
    at: DateTime<Utc>,
    stream: Stream,
    lines: Vec<u8>,
    line_count: usize,
}

impl LeftOut {
    pub(super) fn count(&mut self, block: &[u8]) {
        self.bytes += block.len() as u64;
        self.lines += count_lines(block) as u64;
    }
}

impl Block {
    fn stored_bytes(&self) -> usize {
        self.lines.len() + self.line_count * STAMP_BYTES
    }
}

impl Tail {
    /// Most of it that is kept.
    pub(super) const BYTES_MAX: usize = 4 << 20;

    /// Takes whole lines; lets go of the oldest block while the others suffice.
    pub(super) fn push(&mut self, at: DateTime<Utc>, stream: Stream, lines: &[u8]) {
        let block = Block { at, stream, line_count: count_lines(lines), lines: lines.to_vec() };
        self.bytes += block.stored_bytes();
        self.blocks.push_back(block);
        while let Some(oldest) = self.blocks.front()
            && self.bytes - oldest.stored_bytes() >= Self::BYTES_MAX
        {
            self.bytes -= oldest.stored_bytes();
            self.left_out.count(&oldest.lines);
            self.blocks.pop_front();
        }
    }

    /// Cuts the oldest block so that what is left fits, and counts what went.
    pub(super) fn trim(&mut self) {
        let Some(oldest) = self.blocks.front_mut() else { return };
        let mut excess = self.bytes.saturating_sub(Self::BYTES_MAX);
        let mut cut = 0;
        while excess > 0 && cut < oldest.lines.len() {
            let line = oldest.lines[cut..].iter().position(|byte| *byte == b'\n').map_or(1, |end| end + 1);
            cut += line;
            excess = excess.saturating_sub(line + STAMP_BYTES);
        }
        self.left_out.count(&oldest.lines[..cut]);
        oldest.lines.drain(..cut);
    }

    /// Takes out the oldest block as it is to be stored.
    pub(super) fn pop(&mut self) -> Option<String> {
        let block = self.blocks.pop_front()?;
        let mut text = String::with_capacity(block.stored_bytes());
        if !block.lines.is_empty() {
            stamp::append(&mut text, block.at, block.stream, &block.lines);
        }
        Some(text)
    }
}

fn count_lines(block: &[u8]) -> usize {
    block.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_lines_are_kept_and_the_rest_is_counted() {
        let mut tail = Tail::default();
        let block = b"y\n".repeat(32 * 1024);
        let blocks = 20;
        for _ in 0..blocks {
            tail.push(DateTime::UNIX_EPOCH, Stream::Out, &block);
        }
        tail.push(DateTime::UNIX_EPOCH, Stream::Out, b"last\n");
        tail.trim();
        let left_out = tail.left_out;
        let stored: String = std::iter::from_fn(|| tail.pop()).collect();
        assert!(stored.len() <= Tail::BYTES_MAX && stored.len() > Tail::BYTES_MAX - 2 * STAMP_BYTES);
        assert!(stored.ends_with(" out last\n"));
        let kept = stored.lines().count() as u64;
        assert_eq!(kept + left_out.lines, blocks * 32 * 1024 + 1);
    }
}
