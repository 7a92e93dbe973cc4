//! One attempt's log: stamps its lines, keeps its head and its tail, and holds it back when the store is slow.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rota_core::id::AttemptKey;
use tokio::time::{Instant, timeout_at};

use super::buffer::Buffer;
use super::lines::{LineSink, Stream};
use super::stamp;
use super::tail::{LeftOut, Tail};
use super::writer::LogWriterHandle;

/// Stored as it comes; after that only the tail is kept. Together 16 MiB per attempt.
const HEAD_BYTES: usize = 12 << 20;
/// How long a task is held back by a store that takes nothing, before lines are left out instead.
const HOLD_MAX: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(5) };
/// How long the end of an attempt waits for its log; the outcome matters more.
const CLOSE_MAX: Duration = if cfg!(test) { Duration::from_secs(1) } else { Duration::from_secs(10) };

/// Takes the lines of one attempt and passes them to the log writer.
pub(crate) struct AttemptLog {
    key: AttemptKey,
    writer: LogWriterHandle,
    /// Made with the first line.
    buffer: Option<Arc<Buffer>>,
    /// Bytes of the head so far.
    head: usize,
    /// Takes all lines once the head is full.
    tail: Option<Box<Tail>>,
    held_since: Option<Instant>,
    /// The store took nothing for too long: lines are left out until it does.
    is_stuck: bool,
    left_out: LeftOut,
}

impl AttemptLog {
    pub(crate) fn new(key: AttemptKey, writer: LogWriterHandle) -> Self {
        Self {
            key,
            writer,
            buffer: None,
            head: 0,
            tail: None,
            held_since: None,
            is_stuck: false,
            left_out: LeftOut::default(),
        }
    }

    /// Adds a remark by rota.
    pub(crate) fn remark(&mut self, at: DateTime<Utc>, text: &str) {
        let mut line = text.replace('\n', " ").into_bytes();
        line.push(b'\n');
        self.take(at, Stream::Sys, &line);
    }

    /// Hands over the rest and waits until the store has everything, within reason.
    pub(crate) async fn close(mut self, at: DateTime<Utc>) {
        let deadline = Instant::now() + CLOSE_MAX;
        self.confess(at);
        if let Some(mut tail) = self.tail.take() {
            self.pass_tail(&mut tail, at, deadline).await;
        }
        let Some(buffer) = &self.buffer else { return };
        if !buffer.is_stored() {
            self.writer.hurry();
        }
        if timeout_at(deadline, buffer.wait_until_stored()).await.is_err() {
            tracing::warn!("attempt {}: the store did not take the log within {CLOSE_MAX:?}", self.key);
        }
    }

    async fn pass_tail(&mut self, tail: &mut Tail, at: DateTime<Utc>, deadline: Instant) {
        tail.trim();
        let LeftOut { bytes, lines } = tail.left_out;
        if lines > 0 {
            self.push_block(
                at,
                Stream::Sys,
                format!("{bytes} bytes in {lines} lines were left out here\n").as_bytes(),
            );
        }
        while let Some(text) = tail.pop() {
            self.push(&text);
            let Some(buffer) = &self.buffer else { return };
            if timeout_at(deadline, buffer.wait_for_room()).await.is_err() {
                return;
            }
        }
    }

    /// Says what had to be left out because the store was slow.
    fn confess(&mut self, at: DateTime<Utc>) {
        let LeftOut { bytes, lines } = std::mem::take(&mut self.left_out);
        self.is_stuck = false;
        if lines > 0 {
            self.remark(
                at,
                &format!("{bytes} bytes in {lines} lines were left out here: the store was away"),
            );
        }
    }

    fn push_block(&mut self, at: DateTime<Utc>, stream: Stream, block: &[u8]) {
        let mut text = String::with_capacity(block.len() + stamp::STAMP_BYTES);
        stamp::append(&mut text, at, stream, block);
        self.push(&text);
    }

    fn push(&mut self, text: &str) {
        let buffer = self.buffer.get_or_insert_with(|| Arc::new(Buffer::new(self.key)));
        self.head += text.len();
        let pushed = buffer.push(text);
        if pushed.is_news {
            self.writer.enqueue(buffer.clone());
        }
        if pushed.fills_a_chunk {
            self.writer.hurry();
        }
    }
}

impl LineSink for AttemptLog {
    fn take(&mut self, at: DateTime<Utc>, stream: Stream, block: &[u8]) {
        if let Some(tail) = &mut self.tail {
            return tail.push(at, stream, block);
        }
        if self.is_stuck {
            return self.left_out.count(block);
        }
        self.push_block(at, stream, block);
        if self.head >= HEAD_BYTES {
            let remark =
                b"more than 12 MiB of output: of what follows, the last 4 MiB are shown when it ends\n";
            self.push_block(at, Stream::Sys, remark);
            self.tail = Some(Box::default());
        }
    }

    async fn ready(&mut self) {
        let Some(buffer) = &self.buffer else { return };
        if self.tail.is_some() || buffer.has_room() {
            self.held_since = None;
            self.is_stuck = false;
            return;
        }
        if self.is_stuck {
            return;
        }
        let since = *self.held_since.get_or_insert_with(Instant::now);
        self.is_stuck = timeout_at(since + HOLD_MAX, buffer.wait_for_room()).await.is_err();
        self.held_since = None;
    }
}

#[cfg(test)]
mod tests;
