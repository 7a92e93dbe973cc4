//! What attempts print, in chunks.

use async_trait::async_trait;

use super::StoreResult;
use crate::id::AttemptKey;

/// A piece of an attempt's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// Which attempt.
    pub key: AttemptKey,
    /// From 0, growing; chunks are read in this order.
    pub seq: u32,
    /// Whole lines: `2026-11-20T13:00:00.123456Z out text\n`, with `out`, `err` or `sys` (a remark by rota). At most
    /// 64 KiB; bytes that are no UTF-8 were replaced.
    pub text: String,
}

/// How much a chunk of a log holds, without its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogExtent {
    /// The chunk's number.
    pub seq: u32,
    /// Bytes of its text.
    pub bytes: u64,
    /// Line ends in it.
    pub newlines: u64,
    /// Whether its last character is one.
    pub ends_line: bool,
}

/// Writes of workers.
#[async_trait]
pub trait LogFacts: Send + Sync {
    /// Appends to logs. A chunk that is there already is left alone.
    async fn log_append(&self, chunks: &[LogChunk]) -> StoreResult<()>;
}

/// What pages read of logs.
#[async_trait]
pub trait LogViews: Send + Sync {
    /// An attempt's log from chunk `from_seq` on, at most `limit` chunks.
    async fn view_log(&self, attempt: AttemptKey, from_seq: u32, limit: usize) -> StoreResult<Vec<LogChunk>>;
    /// How much each chunk of an attempt's log holds, from chunk `from_seq` on, at most `limit` chunks: the store counts, no
    /// text is handed over.
    async fn view_log_extents(
        &self,
        attempt: AttemptKey,
        from_seq: u32,
        limit: usize,
    ) -> StoreResult<Vec<LogExtent>>;
}
