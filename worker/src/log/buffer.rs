//! Lines on their way to the store: an attempt puts them in, the log writer takes them out as chunks.

use std::sync::{Mutex, MutexGuard};

use rota_core::id::AttemptKey;
use rota_core::port::LogChunk;
use rota_core::sync::lock;
use tokio::sync::Notify;

use super::stamp::CHUNK_BYTES_MAX;

/// Lines on their way to the store beyond which the task is held back.
const ROOM_BYTES: usize = 128 * 1024;
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

/// What became of lines that were put in.
pub(super) struct Pushed {
    /// The writer does not know yet that there is something.
    pub(super) is_news: bool,
    /// It is worth writing now.
    pub(super) fills_a_chunk: bool,
}

impl Buffer {
    pub(super) fn new(key: AttemptKey) -> Self {
        Self { key, state: Mutex::default(), progress: Notify::new() }
    }

    /// Adds stored lines.
    pub(super) fn push(&self, text: &str) -> Pushed {
        let mut state = self.lock();
        state.text.push_str(text);
        let fills_a_chunk = state.text.len() >= CHUNK_BYTES_MAX;
        let is_news = !std::mem::replace(&mut state.is_queued, true);
        Pushed { is_news, fills_a_chunk }
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

    /// Whether more may come.
    pub(super) fn has_room(&self) -> bool {
        self.lock().text.len() < ROOM_BYTES
    }

    /// Whether the store has all of it, or never will.
    pub(super) fn is_stored(&self) -> bool {
        let state = self.lock();
        state.text.is_empty() && !state.is_in_flight
    }

    /// Waits until more may come.
    pub(super) async fn wait_for_room(&self) {
        while !self.has_room() {
            self.progress.notified().await;
        }
    }

    /// Waits until it is stored.
    pub(super) async fn wait_until_stored(&self) {
        while !self.is_stored() {
            self.progress.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BufferState> {
        lock(&self.state)
    }
}

/// Cuts stored text into pieces of whole lines that fit into a chunk.
pub(super) fn cut(mut text: &str) -> impl Iterator<Item = &str> {
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
