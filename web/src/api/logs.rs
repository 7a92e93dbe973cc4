//! `/runs/{run}/tasks/{task}/logs`: an attempt's log as text, whole, from a line on, or followed until the attempt ends; and
//! `.../logs/search`: the lines that have a text.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use rota_core::id::AttemptKey;
use rota_core::port::{LogChunk, StoreError};
use serde::Deserialize;
use tokio::sync::broadcast::Receiver;

use super::{List, limit};
use crate::app::{Ctx, SharedApp, run_id};
use crate::error::{Error, Outcome};
use crate::live::ChangeBatch;
use crate::log::{Needle, SearchDirection, SearchHit};
use crate::streams::OpenStream;
use crate::tasks::attempts_of;

/// Chunks read at a time; each has at most 64 KiB.
const CHUNKS_MAX: usize = 16;
/// A followed log is looked at so often when nothing tells of news.
const LOOK: Duration = Duration::from_millis(500);
/// Bytes of a line that was found.
const HIT_BYTES_MAX: usize = 4096;
/// How many lines the log has by now. Only where `line` or `limit` is asked for.
const LINES: HeaderName = HeaderName::from_static("x-log-lines");
/// `running` while lines may still come, then `ended`.
const STATE: HeaderName = HeaderName::from_static("x-log-state");

/// `?index=&attempt=&follow=&line=&limit=`; `line` is the first line wanted, from 1, or from the end with -1; `limit` is how
/// many.
#[derive(Debug, Deserialize)]
pub(crate) struct LogQuery {
    #[serde(default)]
    index: u32,
    attempt: Option<u32>,
    #[serde(default)]
    follow: bool,
    line: Option<i64>,
    limit: Option<u64>,
}

/// `?index=&attempt=&find=&line=&back=&limit=&cursor=`.
#[derive(Debug, Deserialize)]
pub(crate) struct SearchQuery {
    #[serde(default)]
    index: u32,
    attempt: Option<u32>,
    find: String,
    line: Option<u64>,
    #[serde(default)]
    back: bool,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// An attempt that was asked for.
struct LogRequest {
    key: AttemptKey,
    /// Whether lines may still come.
    goes_on: bool,
    name: String,
}

/// `GET /runs/{run}/tasks/{task}/logs`.
pub(crate) async fn show(
    ctx: Ctx,
    Path(path): Path<(String, String)>,
    Query(query): Query<LogQuery>,
) -> Outcome<Response> {
    let asked = asked(&ctx, path, (query.index, query.attempt)).await?;
    let mut head = head(&asked);
    let mut part = LogPart { skip: 0, left: query.limit };
    let mut next_seq = 0;
    if query.line.is_some() || query.limit.is_some() {
        let log = ctx.app.logs.open(&ctx.app.ports.store, asked.key).await?;
        head.insert(LINES, HeaderValue::from(log.index.lines()));
        (next_seq, part.skip) = log.index.place(first_line(query.line, log.index.lines())?);
    }
    let open = OpenStream::of(&ctx)?;
    let news = ctx.app.hub.subscribe();
    let tail = LogTail { key: asked.key, next_seq, part, follow: query.follow, news, app: ctx.app };
    let body = Body::from_stream(stream::unfold(tail, LogTail::step).take_until(open.over()));
    Ok((head, body).into_response())
}

/// `GET /runs/{run}/tasks/{task}/logs/search`: a page may be empty although more follow, because what one request reads is
/// bounded.
pub(crate) async fn search(
    ctx: Ctx,
    Path(path): Path<(String, String)>,
    Query(query): Query<SearchQuery>,
) -> Outcome<Json<List<SearchHit>>> {
    let needle = Needle::new(&query.find);
    let needle = needle.ok_or_else(|| Error::BadRequest("`find` is empty; say what to search for".into()))?;
    let from = match query.cursor.as_deref().map(str::parse) {
        Some(Ok(line)) => Some(line),
        Some(Err(_)) => {
            return Err(Error::BadRequest(
                "`cursor` is none of ours; pass `next_cursor` of the page before".into(),
            ));
        }
        None => query.line,
    };
    let asked = asked(&ctx, path, (query.index, query.attempt)).await?;
    let log = ctx.app.logs.open(&ctx.app.ports.store, asked.key).await?;
    let (way, from) = if query.back {
        (SearchDirection::Back, from.unwrap_or(u64::MAX))
    } else {
        (SearchDirection::Forward, from.unwrap_or(1))
    };
    let search = log.search(&needle, from, way, limit(query.limit)).await?;
    let shorten = |hit: SearchHit| SearchHit {
        text: hit.text[..hit.text.floor_char_boundary(HIT_BYTES_MAX)].to_owned(),
        ..hit
    };
    let items = search.hits.into_iter().map(shorten).collect();
    Ok(Json(List { items, next_cursor: search.next.map(|line| line.to_string()) }))
}

async fn asked(
    ctx: &Ctx,
    (run, task): (String, String),
    (index, attempt): (u32, Option<u32>),
) -> Outcome<LogRequest> {
    let run = ctx.app.run(run_id(&run)?).await?;
    let (key, rows) = attempts_of(ctx, &run, &task, index).await?;
    let newest = rows.last().map_or(0, |row| row.attempt);
    let number = attempt.unwrap_or(newest);
    if !rows.iter().any(|row| row.attempt == number) && attempt.is_some() {
        return Err(Error::NotFound(format!("task `{task}` of run {} has no attempt {number}", run.id)));
    }
    let goes_on = match rows.last() {
        Some(row) => row.attempt == number && !row.state.is_terminal() && row.finished_at.is_none(),
        None => !run.state.is_terminal(),
    };
    Ok(LogRequest { key: key.attempt(number), goes_on, name: format!("run-{}-{task}-{number}.log", run.id) })
}

fn head(asked: &LogRequest) -> HeaderMap {
    let mut head = HeaderMap::new();
    head.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    let name = HeaderValue::from_str(&format!("attachment; filename=\"{}\"", asked.name));
    head.insert(CONTENT_DISPOSITION, name.unwrap_or(HeaderValue::from_static("attachment")));
    head.insert(STATE, HeaderValue::from_static(if asked.goes_on { "running" } else { "ended" }));
    head
}

/// The number of the first line wanted, of so many.
fn first_line(asked: Option<i64>, lines: u64) -> Outcome<u64> {
    match asked {
        None => Ok(1),
        Some(0) => Err(Error::BadRequest(
            "`line` is 0; lines are counted from 1, and from the end with -1 for the last one".into(),
        )),
        Some(line) if line > 0 => Ok(line.unsigned_abs()),
        Some(line) => Ok((lines + 1).saturating_sub(line.unsigned_abs()).max(1)),
    }
}

/// Some lines of a text that comes in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LogPart {
    /// Line ends to pass before the first line.
    skip: u64,
    /// Lines still wanted; `None`: all.
    left: Option<u64>,
}

impl LogPart {
    /// What of the next piece belongs to it.
    fn of<'t>(&mut self, piece: &'t str) -> &'t str {
        let mut rest = piece;
        while self.skip > 0 {
            let Some(end) = rest.find('\n') else { return "" };
            rest = &rest[end + 1..];
            self.skip -= 1;
        }
        let Some(left) = &mut self.left else { return rest };
        let mut until = 0;
        while *left > 0 {
            let Some(end) = rest[until..].find('\n') else { return rest };
            until += end + 1;
            *left -= 1;
        }
        &rest[..until]
    }

    const fn is_complete(&self) -> bool {
        matches!(self.left, Some(0))
    }
}

/// A reader's place in a log.
struct LogTail {
    app: SharedApp,
    key: AttemptKey,
    next_seq: u32,
    part: LogPart,
    follow: bool,
    news: Receiver<ChangeBatch>,
}

impl LogTail {
    /// The next piece of text; `None` at the end.
    async fn step(mut self) -> Option<(Result<Bytes, StoreError>, Self)> {
        while !self.part.is_complete() {
            // Whether it had ended is asked before its text: what was written in between is then read all the same.
            let ended = self.ended().await;
            let chunks = match self.app.ports.store.view_log(self.key, self.next_seq, CHUNKS_MAX).await {
                Ok(chunks) => chunks,
                Err(error) => return Some((Err(error), Self { follow: false, next_seq: u32::MAX, ..self })),
            };
            if let Some(last) = chunks.last() {
                self.next_seq = last.seq.saturating_add(1);
                return Some((Ok(self.text(&chunks)), self));
            }
            if ended || self.next_seq == u32::MAX || !self.wait().await {
                break;
            }
        }
        None
    }

    fn text(&mut self, chunks: &[LogChunk]) -> Bytes {
        chunks.iter().map(|chunk| self.part.of(&chunk.text)).collect::<String>().into()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_text_does_not_depend_on_how_it_is_cut() {
        let text = "one\ntwö\n\nfour\nfive";
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for size in 1..=text.len() {
            for (skip, left) in (0..6u64).flat_map(|skip| (0..6).map(move |left| (skip, left.min(5)))) {
                for left in [None, Some(left)] {
                    let mut part = LogPart { skip, left };
                    let mut rest = text;
                    let mut given = String::new();
                    while !rest.is_empty() {
                        let (piece, more) = rest.split_at(rest.ceil_char_boundary(size.min(rest.len())));
                        given.push_str(part.of(piece));
                        rest = more;
                    }
                    let wanted =
                        lines.iter().skip(skip as usize).take(left.map_or(usize::MAX, |left| left as usize));
                    assert_eq!(given, wanted.copied().collect::<String>(), "{size} {skip} {left:?}");
                }
            }
        }
    }

    #[test]
    fn lines_are_counted_from_both_ends() {
        let first = |asked| first_line(asked, 10).ok();
        assert_eq!(
            [first(None), first(Some(3)), first(Some(-1)), first(Some(-99))],
            [Some(1), Some(3), Some(10), Some(1)]
        );
        assert_eq!((first(Some(99)), first(Some(i64::MIN))), (Some(99), Some(1)));
        assert!(first_line(Some(0), 10).is_err());
    }
}
