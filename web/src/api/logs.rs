//! `/runs/{run}/tasks/{task}/logs`: an attempt's log as text, whole or followed until the attempt ends.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use rota_core::id::AttemptKey;
use rota_core::port::{LogChunk, StoreError};
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;

use crate::app::{Ctx, SharedApp, run_id};
use crate::error::{Error, Outcome};
use crate::live::Batch;
use crate::streams::OpenStream;
use crate::tasks::attempts_of;

/// Chunks read at a time; each has at most 64 KiB.
const CHUNKS_MAX: usize = 16;
/// A followed log is looked at so often when nothing tells of news.
const LOOK: Duration = Duration::from_millis(500);

/// `?index=&attempt=&follow=&from=`; `from` is the first chunk wanted.
#[derive(Debug, Deserialize)]
pub(crate) struct LogQuery {
    #[serde(default)]
    index: u32,
    attempt: Option<u32>,
    #[serde(default)]
    follow: bool,
    #[serde(default)]
    from: u32,
}

/// `GET /runs/{run}/tasks/{task}/logs`.
pub(crate) async fn show(
    ctx: Ctx,
    Path((run, task)): Path<(String, String)>,
    Query(query): Query<LogQuery>,
) -> Outcome<Response> {
    let run = ctx.app.run(run_id(&run)?).await?;
    let (key, rows) = attempts_of(&ctx, &run, &task, query.index).await?;
    let newest = rows.last().map_or(0, |row| row.attempt);
    let attempt = query.attempt.unwrap_or(newest);
    if !rows.iter().any(|row| row.attempt == attempt) && query.attempt.is_some() {
        return Err(Error::NotFound(format!("task `{task}` of run {} has no attempt {attempt}", run.id)));
    }
    let open = OpenStream::of(&ctx)?;
    let tail = Tail {
        key: key.attempt(attempt),
        next_seq: query.from,
        follow: query.follow,
        news: ctx.app.hub.subscribe(),
        app: ctx.app,
    };
    let name = format!("attachment; filename=\"run-{}-{task}-{attempt}.log\"", run.id);
    let body = Body::from_stream(stream::unfold(tail, Tail::step).take_until(open.over()));
    let head = [(CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((head, body).into_response())
}

/// A reader's place in a log.
struct Tail {
    app: SharedApp,
    key: AttemptKey,
    next_seq: u32,
    follow: bool,
    news: Receiver<Batch>,
}

impl Tail {
    /// The next piece of text; `None` at the end.
    async fn step(mut self) -> Option<(Result<Bytes, StoreError>, Self)> {
        loop {
            // Whether it had ended is asked before its text: what was written in between is then read all the same.
            let ended = self.ended().await;
            let chunks = match self.app.ports.store.view_log(self.key, self.next_seq, CHUNKS_MAX).await {
                Ok(chunks) => chunks,
                Err(error) => return Some((Err(error), Self { follow: false, next_seq: u32::MAX, ..self })),
            };
            if let Some(last) = chunks.last() {
                self.next_seq = last.seq.saturating_add(1);
                return Some((Ok(text(&chunks)), self));
            }
            if ended || self.next_seq == u32::MAX || !self.wait().await {
                return None;
            }
        }
    }

    async fn ended(&self) -> bool {
        if !self.follow {
            return true;
        }
        match self.app.ports.store.view_attempts(self.key.task).await {
            Ok(rows) => rows.last().is_none_or(|row| {
                row.attempt != self.key.attempt || row.state.is_terminal() || row.finished_at.is_some()
            }),
            Err(_) => true,
        }
    }

    /// Until something may be new. False: the process ends.
    async fn wait(&mut self) -> bool {
        let look = tokio::time::sleep(LOOK);
        tokio::pin!(look);
        loop {
            tokio::select! {
                () = self.app.shutdown.cancelled() => return false,
                () = &mut look => return true,
                news = self.news.recv() => match news {
                    Ok(batch) if batch.concerns(self.key.task.run) => return true,
                    Ok(_) => {}
                    Err(_) => {
                        look.as_mut().await;
                        return true;
                    }
                },
            }
        }
    }
}

fn text(chunks: &[LogChunk]) -> Bytes {
    chunks.iter().map(|chunk| chunk.text.as_str()).collect::<String>().into()
}
