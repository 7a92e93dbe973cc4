//! Search in a whole log, forward or back. What one request reads is bounded; the next one goes on where it stopped.

use super::reader::LogReader;
use super::{Log, Needle, parts, plain};
use crate::error::Outcome;

/// Bytes that one request reads, about. No log that workers write today is longer.
const READ_BYTES_MAX: u64 = 32 << 20;
/// Blocks that are read at once: about a megabyte.
const STRIDE: usize = 16;

/// In which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SearchDirection {
    Forward,
    Back,
}

/// A line that has what was searched for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct SearchHit {
    /// Its number, from 1.
    pub(crate) line: u64,
    /// The line as it is stored.
    pub(crate) text: String,
}

/// What a request found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Search {
    /// In the order in which they were come upon.
    pub(crate) hits: Vec<SearchHit>,
    /// The line to go on from; `None` if the end (or the beginning) was reached.
    pub(crate) next: Option<u64>,
}

impl Log {
    /// Lines that have `needle`, from line `from` (itself included) on, at most `limit`.
    pub(crate) async fn search(
        &self,
        needle: &Needle,
        from: u64,
        way: SearchDirection,
        limit: usize,
    ) -> Outcome<Search> {
        match way {
            SearchDirection::Forward => self.search_forward(needle, from.max(1), limit).await,
            SearchDirection::Back => self.search_back(needle, from.min(self.index.lines()), limit).await,
        }
    }

    async fn search_forward(&self, needle: &Needle, from: u64, limit: usize) -> Outcome<Search> {
        let mut hits = Vec::new();
        let mut reader = LogReader::at(self, from, STRIDE).await?;
        while let Some(line) = reader.next().await? {
            let no = line.no;
            hits.extend(hit(needle, line.no, line.text));
            if hits.len() >= limit || reader.bytes_read() >= READ_BYTES_MAX {
                return Ok(Search { hits, next: Some(no + 1).filter(|next| *next <= self.index.lines()) });
            }
        }
        Ok(Search { hits, next: None })
    }

    /// Some blocks at a time, the last ones first; within them forward, because lines can only be read that way.
    async fn search_back(&self, needle: &Needle, from: u64, limit: usize) -> Outcome<Search> {
        let (mut hits, mut read, mut from) = (Vec::new(), 0, from);
        let mut to = self.index.block_of(from) + 1;
        while from > 0 && to > 0 && hits.len() < limit {
            if read >= READ_BYTES_MAX {
                return Ok(Search { hits, next: Some(from) });
            }
            let begin = to.saturating_sub(STRIDE);
            let (first, last) = self.index.lines_within(begin, to);
            let mut here = Vec::new();
            if first <= last.min(from) {
                let mut reader = LogReader::at(self, first, STRIDE).await?;
                while let Some(line) = reader.next().await?
                    && line.no <= from
                {
                    let no = line.no;
                    here.extend(hit(needle, no, line.text));
                    if no == last {
                        break;
                    }
                }
                read += reader.bytes_read();
                from = first - 1;
            }
            hits.extend(here.into_iter().rev());
            to = begin;
        }
        if hits.len() >= limit {
            hits.truncate(limit);
            from = hits.last().map_or(from, |hit| hit.line - 1);
        }
        Ok(Search { hits, next: Some(from).filter(|from| *from > 0) })
    }
}

fn hit(needle: &Needle, line: u64, text: String) -> Option<SearchHit> {
    needle.is_in(&plain(parts(&text).1)).then_some(SearchHit { line, text })
}
