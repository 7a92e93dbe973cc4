//! What tasks print, shown while they run: the store's facts, with a person listening to the log.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use rota_core::dag::Dag;
use rota_core::id::{AttemptKey, DagId, DagVersion, Incarnation, QueueName, RunId, TaskNo};
use rota_core::port::{
    Beat, BeatReply, ClaimRequest, Claimed, DagSources, Facts, Finish, GivingBack, LogChunk, LogFacts,
    Object, StoreResult, TaskFacts, WorkerFacts, WorkerHello,
};

use crate::output;
use crate::text::{self, Colours};

/// Where the lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sink {
    /// Stdout: they are the command's output.
    Stdout,
    /// Stderr: stdout is for JSON.
    Stderr,
}

/// A store's facts. Passes every call on; log chunks are printed as well.
pub(super) struct LiveFacts {
    inner: Arc<dyn Facts>,
    dag: Arc<Dag>,
    sink: Sink,
    colours: Colours,
    /// The longest task name, so that the lines of all tasks begin in one column.
    width: usize,
}

impl LiveFacts {
    /// Listens to `inner`.
    pub(super) fn new(inner: Arc<dyn Facts>, dag: Arc<Dag>, sink: Sink) -> Self {
        let width = dag.tasks.iter().map(|task| task.name.as_str().len()).max().unwrap_or(0);
        let colours = match sink {
            Sink::Stdout => Colours::on(&io::stdout()),
            Sink::Stderr => Colours::on(&io::stderr()),
        };
        Self { inner, dag, sink, colours, width }
    }

    fn print(&self, chunk: &LogChunk) {
        let name = self.dag.task(chunk.key.task.task).name.as_str();
        let mut out = String::with_capacity(chunk.text.len() + 64);
        for line in chunk.text.lines() {
            out.push_str(&format!(
                "{name:<width$} | {}\n",
                text::clean_log(without_stamp(line), self.colours),
                width = self.width
            ));
        }
        match self.sink {
            // Lines that cannot be printed must not end the run. The report after it meets the same trouble, and says so.
            Sink::Stdout => drop(output::print_text(&out)),
            Sink::Stderr => output::note_piece(&out),
        }
    }
}

/// A log line without its time; remarks by rota stay marked.
fn without_stamp(line: &str) -> &str {
    let Some((_, rest)) = line.split_once(' ') else { return line };
    match rest.split_once(' ') {
        Some(("out" | "err", text)) => text,
        Some(_) => rest,
        None => "",
    }
}

#[async_trait]
impl WorkerFacts for LiveFacts {
    async fn worker_register(&self, hello: &WorkerHello) -> StoreResult<Incarnation> {
        self.inner.worker_register(hello).await
    }

    async fn worker_beat(&self, beat: &Beat) -> StoreResult<BeatReply> {
        self.inner.worker_beat(beat).await
    }
}

#[async_trait]
impl TaskFacts for LiveFacts {
    async fn tasks_queued(&self, queues: &[QueueName], limit: usize) -> StoreResult<Vec<AttemptKey>> {
        self.inner.tasks_queued(queues, limit).await
    }

    async fn tasks_claim(&self, request: &ClaimRequest) -> StoreResult<Vec<Claimed>> {
        self.inner.tasks_claim(request).await
    }

    async fn tasks_finish(&self, finishes: &[Finish]) -> StoreResult<Vec<AttemptKey>> {
        self.inner.tasks_finish(finishes).await
    }

    async fn tasks_give_back(&self, giving: &GivingBack) -> StoreResult<Vec<AttemptKey>> {
        self.inner.tasks_give_back(giving).await
    }

    async fn outputs_load(&self, run: RunId, tasks: &[TaskNo]) -> StoreResult<Vec<(TaskNo, u32, Object)>> {
        self.inner.outputs_load(run, tasks).await
    }
}

#[async_trait]
impl DagSources for LiveFacts {
    async fn version_source(&self, dag: &DagId, version: DagVersion) -> StoreResult<String> {
        self.inner.version_source(dag, version).await
    }
}

#[async_trait]
impl LogFacts for LiveFacts {
    async fn log_append(&self, chunks: &[LogChunk]) -> StoreResult<()> {
        self.inner.log_append(chunks).await?;
        for chunk in chunks {
            self.print(chunk);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_time_and_remarks_stay_marked() {
        assert_eq!(without_stamp("2026-11-20T13:00:00.1Z out a b"), "a b");
        assert_eq!(without_stamp("2026-11-20T13:00:00.1Z err a"), "a");
        assert_eq!(without_stamp("2026-11-20T13:00:00.1Z sys timed out"), "sys timed out");
        assert_eq!(without_stamp("2026-11-20T13:00:00.1Z out "), "");
    }
}
