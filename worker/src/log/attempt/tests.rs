//! Floods and stores that are away.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use rota_core::id::{DagId, DagVersion, Incarnation, QueueName, RunId, TaskKey, TaskNo};
use rota_core::port::{
    Beat, BeatReply, ClaimRequest, Claimed, DagSources, Finish, GivingBack, LogChunk, LogFacts, Object,
    StoreError, StoreResult, TaskFacts, WorkerFacts, WorkerHello,
};

use super::super::buffer::cut;
use super::super::stamp::CHUNK_BYTES_MAX;
use super::*;
use crate::log::LogWriter;

/// Counts what it is given, or is away.
#[derive(Default)]
struct Counter {
    is_away: AtomicBool,
    bytes: AtomicUsize,
    lines: AtomicUsize,
}

fn not_asked<T>() -> StoreResult<T> {
    Err(StoreError::Refused("only logs are taken here".to_owned()))
}

#[async_trait]
impl WorkerFacts for Counter {
    async fn worker_register(&self, _: &WorkerHello) -> StoreResult<Incarnation> {
        not_asked()
    }
    async fn worker_beat(&self, _: &Beat) -> StoreResult<BeatReply> {
        not_asked()
    }
}

#[async_trait]
impl TaskFacts for Counter {
    async fn tasks_queued(&self, _: &[QueueName], _: usize) -> StoreResult<Vec<AttemptKey>> {
        not_asked()
    }
    async fn tasks_claim(&self, _: &ClaimRequest) -> StoreResult<Vec<Claimed>> {
        not_asked()
    }
    async fn tasks_finish(&self, _: &[Finish]) -> StoreResult<Vec<AttemptKey>> {
        not_asked()
    }
    async fn tasks_give_back(&self, _: &GivingBack) -> StoreResult<Vec<AttemptKey>> {
        not_asked()
    }
    async fn outputs_load(&self, _: RunId, _: &[TaskNo]) -> StoreResult<Vec<(TaskNo, u32, Object)>> {
        not_asked()
    }
}

#[async_trait]
impl DagSources for Counter {
    async fn version_source(&self, _: &DagId, _: DagVersion) -> StoreResult<String> {
        not_asked()
    }
}

#[async_trait]
impl LogFacts for Counter {
    async fn log_append(&self, chunks: &[LogChunk]) -> StoreResult<()> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("away".to_owned()));
        }
        for chunk in chunks {
            self.bytes.fetch_add(chunk.text.len(), Ordering::SeqCst);
            self.lines.fetch_add(chunk.text.lines().count(), Ordering::SeqCst);
        }
        Ok(())
    }
}

fn open(counter: &Arc<Counter>) -> AttemptLog {
    let (writer, handle) = LogWriter::new(counter.clone());
    tokio::spawn(writer.run());
    AttemptLog::new(TaskKey::single(RunId(1), TaskNo(0)).attempt(1), handle)
}

async fn flood(log: &mut AttemptLog, bytes: usize) {
    let block = b"y\n".repeat(32 * 1024);
    for _ in 0..bytes / block.len() {
        log.ready().await;
        log.take(DateTime::UNIX_EPOCH, Stream::Out, &block);
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

#[test]
fn chunks_hold_whole_lines_and_lose_nothing() {
    let text: String = (0..20_000).map(|no| format!("line {no}\n")).collect();
    let pieces: Vec<&str> = cut(&text).collect();
    assert!(pieces.iter().all(|piece| piece.len() <= CHUNK_BYTES_MAX && piece.ends_with('\n')));
    assert_eq!(pieces.concat(), text);
}

#[tokio::test]
async fn flood_is_capped_in_store_and_memory() {
    let counter = Arc::new(Counter::default());
    let mut log = open(&counter);
    let before = resident_bytes();
    flood(&mut log, 64 << 20).await;
    let grown = resident_bytes().saturating_sub(before);
    log.close(DateTime::UNIX_EPOCH).await;
    let stored = counter.bytes.load(Ordering::SeqCst);
    assert!(stored > 15 << 20 && stored < 18 << 20, "{stored} bytes stored");
    assert!(grown < 32 << 20, "{grown} bytes of memory");
}

#[tokio::test]
async fn store_that_is_away_holds_a_task_only_for_a_while() {
    let counter = Arc::new(Counter::default());
    counter.is_away.store(true, Ordering::SeqCst);
    let mut log = open(&counter);
    let before = resident_bytes();
    let start = Instant::now();
    flood(&mut log, 32 << 20).await;
    assert!(start.elapsed() >= HOLD_MAX);
    assert!(resident_bytes().saturating_sub(before) < 32 << 20);
    let lost = log.left_out.lines;
    assert!(lost > 0);
    counter.is_away.store(false, Ordering::SeqCst);
    log.close(DateTime::UNIX_EPOCH).await;
    let stored = counter.lines.load(Ordering::SeqCst) as u64;
    assert_eq!(stored + lost, 16 * 1024 * 1024 + 1, "every line is stored or counted, in one remark");
}
