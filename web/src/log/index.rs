//! Which line is in which chunk. Chunks never change and are only added at the end, so what was counted once is kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use rota_core::id::AttemptKey;
use rota_core::port::LogExtent;
use rota_core::sync::lock;

use super::Log;
use crate::app::WebStore;
use crate::error::Outcome;

/// A block has at least this many bytes, and less than this and a chunk together.
const BLOCK_BYTES: u64 = 64 * 1024;
/// A block has at most this many chunks, however small they are.
const BLOCK_CHUNKS_MAX: u32 = 4096;
/// Bytes that the store counts in one statement, about.
const BITE_BYTES: u64 = 8 << 20;
/// Fewest and most chunks of one statement.
const BITE_CHUNKS: (u64, u64) = (64, 8192);
/// Bytes that the store counts for one request. The next request goes on from there.
const COUNT_BYTES_MAX: u64 = 512 << 20;
/// Logs that are remembered; the one that was not asked for for longest makes room.
const LOGS_MAX: usize = 64;

/// Some chunks in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkBlock {
    /// The first chunk's number.
    pub(super) seq: u32,
    pub(super) chunks: u32,
    bytes: u64,
    /// Line ends before it.
    pub(super) ends_before: u64,
}

/// A log's lines, counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct LineIndex {
    blocks: Vec<ChunkBlock>,
    next_seq: u32,
    /// Line ends.
    ends: u64,
    bytes: u64,
    /// Whether there is text after the last line end.
    is_open: bool,
    is_whole: bool,
}

/// The indexes of logs that were asked for lately.
#[derive(Default)]
pub(crate) struct LogBook {
    kept: Mutex<VecDeque<(AttemptKey, Arc<LineIndex>)>>,
}

impl LineIndex {
    /// How many lines there are. The last one may have no end yet.
    pub(crate) fn lines(&self) -> u64 {
        self.ends + u64::from(self.is_open)
    }

    /// How many of them have an end.
    pub(crate) fn lines_ended(&self) -> u64 {
        self.ends
    }

    /// Bytes of text.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether all of the log is in here. A very long one is counted in several requests.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The chunk from which to read for this line (from 1), and how many line ends to skip in what follows.
    pub(crate) fn place(&self, line: u64) -> (u32, u64) {
        let ends = line.saturating_sub(1);
        self.blocks.get(self.block_of(line)).map_or((0, ends), |block| (block.seq, ends - block.ends_before))
    }

    pub(super) fn blocks(&self) -> &[ChunkBlock] {
        &self.blocks
    }

    /// The block that has the line end before this line; the first one for the first line.
    pub(super) fn block_of(&self, line: u64) -> usize {
        let Some(before) = line.checked_sub(2) else { return 0 };
        self.blocks.partition_point(|block| block.ends_before <= before).saturating_sub(1)
    }

    /// The lines (first and last) that begin within the blocks from `from` to before `to`. There is none if last < first.
    pub(super) fn lines_within(&self, from: usize, to: usize) -> (u64, u64) {
        let after = |block: &ChunkBlock| block.ends_before + 1;
        let first =
            if from == 0 { 1 } else { self.blocks.get(from).map_or(u64::MAX, |block| after(block) + 1) };
        (first, self.blocks.get(to).map_or(self.lines(), after))
    }

    pub(super) fn add(&mut self, chunk: &LogExtent) {
        let is_full = |block: &ChunkBlock| block.bytes >= BLOCK_BYTES || block.chunks >= BLOCK_CHUNKS_MAX;
        if self.blocks.last().is_none_or(is_full) {
            self.blocks.push(ChunkBlock { seq: chunk.seq, chunks: 0, bytes: 0, ends_before: self.ends });
        }
        if let Some(block) = self.blocks.last_mut() {
            block.chunks += 1;
            block.bytes += chunk.bytes;
        }
        self.next_seq = chunk.seq.saturating_add(1);
        self.ends += chunk.newlines;
        self.bytes += chunk.bytes;
        if chunk.bytes > 0 {
            self.is_open = !chunk.ends_line;
        }
    }

    /// Counts what was added to the log since.
    async fn grow(&mut self, store: &dyn WebStore, key: AttemptKey) -> Outcome<()> {
        let until = self.bytes + COUNT_BYTES_MAX;
        self.is_whole = false;
        while !self.is_whole && self.bytes < until {
            let limit = self.bite();
            let chunks = store.view_log_extents(key, self.next_seq, limit).await?;
            chunks.iter().for_each(|chunk| self.add(chunk));
            self.is_whole = chunks.len() < limit;
        }
        Ok(())
    }

    /// How many chunks the store is to count at once: a log of tiny ones takes as many bytes at a time as any other.
    fn bite(&self) -> usize {
        let chunks: u64 = self.blocks.iter().rev().take(8).map(|block| u64::from(block.chunks)).sum();
        let bytes: u64 = self.blocks.iter().rev().take(8).map(|block| block.bytes).sum();
        let fit = (BITE_BYTES * chunks).checked_div(bytes).unwrap_or(0);
        usize::try_from(fit.clamp(BITE_CHUNKS.0, BITE_CHUNKS.1)).unwrap_or(usize::MAX)
    }
}

impl LogBook {
    /// The log of an attempt, with all lines that it has by now.
    pub(crate) async fn open(&self, store: &Arc<dyn WebStore>, key: AttemptKey) -> Outcome<Log> {
        let mut index = self.take(key).map_or_else(LineIndex::default, |known| LineIndex::clone(&known));
        index.grow(&**store, key).await?;
        let index = Arc::new(index);
        self.keep(key, Arc::clone(&index));
        Ok(Log { store: Arc::clone(store), key, index })
    }

    fn take(&self, key: AttemptKey) -> Option<Arc<LineIndex>> {
        let kept = lock(&self.kept);
        kept.iter().find(|(of, _)| *of == key).map(|(_, index)| Arc::clone(index))
    }

    fn keep(&self, key: AttemptKey, index: Arc<LineIndex>) {
        let mut kept = lock(&self.kept);
        kept.retain(|(of, _)| *of != key);
        kept.push_back((key, index));
        if kept.len() > LOGS_MAX {
            kept.pop_front();
        }
    }
}
