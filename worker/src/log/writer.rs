//! Carries the logs of all attempts of a worker to the store, many attempts in one call.

use std::sync::Arc;
use std::time::Duration;

use rota_core::port::{Facts, LogChunk, StoreError};
use tokio::sync::{Notify, mpsc};

use super::buffer::Buffer;
use crate::patience::{Backoff, answered};

/// How long the first news waits for more.
const GATHER: Duration = Duration::from_millis(100);
/// Most chunks of one call: 1 MiB.
const CHUNKS_MAX: usize = 16;

/// The one task that writes logs. Never drops what the store may still take.
pub(crate) struct LogWriter {
    facts: Arc<dyn Facts>,
    /// Attempts with news. Each is in here at most once, so there is no need for a bound.
    news: mpsc::UnboundedReceiver<Arc<Buffer>>,
    hurry: Arc<Notify>,
}

/// The attempts' end.
#[derive(Clone)]
pub(crate) struct LogWriterHandle {
    news: mpsc::UnboundedSender<Arc<Buffer>>,
    hurry: Arc<Notify>,
}

impl LogWriterHandle {
    pub(super) fn enqueue(&self, buffer: Arc<Buffer>) {
        // Fails only after the worker has stopped; its last attempts say so themselves.
        let _ = self.news.send(buffer);
    }

    /// Asks to write now.
    pub(super) fn hurry(&self) {
        self.hurry.notify_one();
    }
}

impl LogWriter {
    pub(crate) fn new(facts: Arc<dyn Facts>) -> (Self, LogWriterHandle) {
        let (sender, news) = mpsc::unbounded_channel();
        let hurry = Arc::new(Notify::new());
        (Self { facts, news, hurry: hurry.clone() }, LogWriterHandle { news: sender, hurry })
    }

    /// Writes until all handles are gone and everything is written.
    pub(crate) async fn run(mut self) {
        while let Some(first) = self.news.recv().await {
            tokio::select! {
                () = tokio::time::sleep(GATHER) => {}
                () = self.hurry.notified() => {}
            }
            let mut buffers = vec![first];
            while let Ok(buffer) = self.news.try_recv() {
                buffers.push(buffer);
            }
            let chunks: Vec<LogChunk> = buffers.iter().flat_map(|buffer| buffer.take_chunks()).collect();
            for part in chunks.chunks(CHUNKS_MAX) {
                self.append(part).await;
            }
            for buffer in buffers {
                buffer.settle();
            }
        }
    }

    /// Waits for a store that is away; gives up on what the store refuses, one attempt at a time.
    async fn append(&self, chunks: &[LogChunk]) {
        if let Err(error) = self.offer(chunks).await {
            if chunks.iter().all(|chunk| chunk.key == chunks[0].key) {
                return tracing::error!("attempt {}: a part of its log is lost: {error}", chunks[0].key);
            }
            for part in chunks.chunk_by(|one, next| one.key == next.key) {
                if let Err(error) = self.offer(part).await {
                    tracing::error!("attempt {}: a part of its log is lost: {error}", part[0].key);
                }
            }
        }
    }

    async fn offer(&self, chunks: &[LogChunk]) -> Result<(), StoreError> {
        let mut backoff = Backoff::default();
        loop {
            match answered(self.facts.log_append(chunks)).await {
                Err(error) if error.is_outage() => backoff.pause("logs", &error.to_string()).await,
                answer => return answer,
            }
        }
    }
}
