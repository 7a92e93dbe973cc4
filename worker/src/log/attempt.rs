//! One attempt's log: stamps its lines, keeps its head and its tail, and holds it back when the store is slow.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rota_core::id::AttemptKey;
use rota_core::port::LogChunk;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::lines::{LineSink, Stream};
use super::stamp;
use super::tail::{LeftOut, Tail};
use super::writer::{CHUNK_BYTES_MAX, LogWriterHandle};

/// Stored as it comes; after that only the tail is kept. Together 16 MiB per attempt.
const HEAD_BYTES: usize = 12 << 20;
/// Lines on their way to the store beyond which the task is held back.
const ROOM_BYTES: usize = 128 * 1024;
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

/// Lines of one attempt on their way to the store, shared with the log writer.
pub(super) struct Buffer {
    key: AttemptKey,
    state: Mutex<BufferState>,
    /// The writer took or stored something. Only the attempt itself waits for it.
    progress: Notify,
}

#[derive(Default)]
struct BufferState {
    text: String,
    /// The next chunk's number.
    seq: u32,
    is_queued: bool,
    is_in_flight: bool,
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
        let mut state = buffer.lock();
        state.text.push_str(text);
        let is_large = state.text.len() >= CHUNK_BYTES_MAX;
        let is_new = !std::mem::replace(&mut state.is_queued, true);
        drop(state);
        if is_new {
            self.writer.enqueue(buffer.clone());
        }
        if is_large {
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

impl Buffer {
    fn new(key: AttemptKey) -> Self {
        Self { key, state: Mutex::default(), progress: Notify::new() }
    }

    /// Takes all text, cut into chunks. Followed by [`Buffer::settle`].
    pub(super) fn take_chunks(&self) -> Vec<LogChunk> {
        let mut state = self.lock();
        let text = std::mem::take(&mut state.text);
        state.is_queued = false;
        state.is_in_flight = true;
        let pieces = cut(&text);
        let chunks = pieces.map(|text| {
            let seq = state.seq;
            state.seq += 1;
            LogChunk { key: self.key, seq, text: text.to_owned() }
        });
        let chunks = chunks.collect();
        drop(state);
        self.progress.notify_one();
        chunks
    }

    /// The chunks that were taken are stored, or never will be.
    pub(super) fn settle(&self) {
        self.lock().is_in_flight = false;
        self.progress.notify_one();
    }

    fn has_room(&self) -> bool {
        self.lock().text.len() < ROOM_BYTES
    }

    fn is_stored(&self) -> bool {
        let state = self.lock();
        state.text.is_empty() && !state.is_in_flight
    }

    async fn wait_for_room(&self) {
        while !self.has_room() {
            self.progress.notified().await;
        }
    }

    async fn wait_until_stored(&self) {
        while !self.is_stored() {
            self.progress.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts stored text into pieces of whole lines that fit into a chunk.
fn cut(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let reach = text.len().min(CHUNK_BYTES_MAX);
        let is_end = |place: &usize| text.as_bytes()[*place - 1] == b'\n';
        let end = (1..=reach).rev().find(is_end).unwrap_or(text.len());
        let (piece, rest) = text.split_at(end);
        text = rest;
        Some(piece)
    })
}

#[cfg(test)]
mod tests;
