//! What attempts print, in chunks: a chunk is added once and never changed.

use std::borrow::Cow;

use async_trait::async_trait;
use rota_core::id::{AttemptKey, RunId, TaskNo};
use rota_core::port::{LogChunk, LogExtent, LogFacts, LogViews, StoreResult};

use super::cells::decode;
use super::rowset::json;
use super::{Conn, Store, clean, failed, limit, write_failed};

#[async_trait]
impl LogFacts for Store {
    async fn log_append(&self, chunks: &[LogChunk]) -> StoreResult<()> {
        if chunks.is_empty() {
            return Ok(());
        }
        call!(self.fact(chunks), |conn, _now| log_append(conn, &chunks))
    }
}

rowset! {
    /// A piece of an attempt's log.
    ChunkItem<'a> in chunks {
        run: RunId as bigint,
        task_no: TaskNo as bigint,
        map_index: u32 as bigint,
        attempt: u32 as bigint,
        seq: u32 as bigint,
        body: Cow<'a, str> as text,
    }
}

const LOG_APPEND: &str = concat!(
    "insert into log_chunk (run, task_no, map_index, attempt, seq, body)
     select item.run, item.task_no, item.map_index, item.attempt, item.seq, item.body from ",
    chunks!(),
    " where true on conflict do nothing"
);

async fn log_append(conn: &mut Conn, chunks: &[LogChunk]) -> StoreResult<()> {
    let items = json(chunks.iter().map(|chunk| ChunkItem {
        run: chunk.key.task.run,
        task_no: chunk.key.task.task,
        map_index: chunk.key.task.index,
        attempt: chunk.key.attempt,
        seq: chunk.seq,
        body: clean(&chunk.text),
    }));
    sqlx::query(LOG_APPEND).bind(items).execute(conn).await.map(drop).map_err(write_failed)
}

#[async_trait]
impl LogViews for Store {
    async fn view_log(&self, attempt: AttemptKey, from_seq: u32, limit: usize) -> StoreResult<Vec<LogChunk>> {
        call!(self.view(attempt, from_seq, limit), |conn, _now| view_log(conn, *attempt, *from_seq, *limit))
    }

    async fn view_log_extents(
        &self,
        attempt: AttemptKey,
        from_seq: u32,
        limit: usize,
    ) -> StoreResult<Vec<LogExtent>> {
        call!(self.view(attempt, from_seq, limit), |conn, _now| view_log_extents(
            conn, *attempt, *from_seq, *limit
        ))
    }
}

const VIEW_LOG: &str = "
    select seq, body from log_chunk
    where run = $1 and task_no = $2 and map_index = $3 and attempt = $4 and seq >= $5 order by seq limit $6";

async fn view_log(
    conn: &mut Conn,
    key: AttemptKey,
    from_seq: u32,
    chunks_max: usize,
) -> StoreResult<Vec<LogChunk>> {
    let query = sqlx::query(VIEW_LOG)
        .bind(key.task.run.0)
        .bind(i64::from(key.task.task.0))
        .bind(i64::from(key.task.index))
        .bind(i64::from(key.attempt))
        .bind(i64::from(from_seq))
        .bind(limit(chunks_max));
    decode(&query.fetch_all(conn).await.map_err(failed)?, |cells| {
        Ok(LogChunk { key, seq: cells.number()?, text: cells.take()? })
    })
}

const VIEW_LOG_EXTENTS: &str = "
    select seq, cast(octet_length(body) as bigint),
        cast(octet_length(body) - octet_length(replace(body, $7, '')) as bigint),
        octet_length(rtrim(body, $7)) < octet_length(body)
    from log_chunk
    where run = $1 and task_no = $2 and map_index = $3 and attempt = $4 and seq >= $5 order by seq limit $6";

async fn view_log_extents(
    conn: &mut Conn,
    key: AttemptKey,
    from_seq: u32,
    chunks_max: usize,
) -> StoreResult<Vec<LogExtent>> {
    let query = sqlx::query(VIEW_LOG_EXTENTS)
        .bind(key.task.run.0)
        .bind(i64::from(key.task.task.0))
        .bind(i64::from(key.task.index))
        .bind(i64::from(key.attempt))
        .bind(i64::from(from_seq))
        .bind(limit(chunks_max))
        .bind("\n");
    decode(&query.fetch_all(conn).await.map_err(failed)?, |cells| {
        Ok(LogExtent {
            seq: cells.number()?,
            bytes: cells.number()?,
            newlines: cells.number()?,
            ends_line: cells.take()?,
        })
    })
}
