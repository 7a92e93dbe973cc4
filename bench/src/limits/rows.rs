//! Batched SQLite rows per second: rota's own table and pragmas, one connection, each task inserted and updated twice.
//! Nothing else is done, so no scheduler on this store can be faster with batches of this size.

use std::path::Path;
use std::time::Instant;

use anyhow::ensure;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::limits::turns;

const SCHEMA: &str = include_str!("../../../migrations/sqlite/0001_initial.sql");

const INSERT: &str =
    "insert into task (run, task_no, map_index, attempt, name, queue, priority, queued_at, state)
     select item.value ->> 0, item.value ->> 1, 0, 1, item.value ->> 2, 'noop', 0, $2, 'queued'
     from json_each($1) as item";

const CLAIM: &str = "update task set state = 'running', started_at = $2, worker = 'bench', incarnation = 1,
         claim_token = item.value ->> 1, claim_nonce = $3
     from json_each($1) as item
     where task.run = item.value ->> 0 and task.task_no = item.value ->> 1 and task.map_index = 0
         and task.attempt = 1 and task.state = 'queued'";

const FINISH: &str = "update task set state = 'success', finished_at = $2, ended_at = $2
     from json_each($1) as item
     where task.run = item.value ->> 0 and task.task_no = item.value ->> 1 and task.map_index = 0
         and task.attempt = 1 and task.claim_token = item.value ->> 1 and task.state = 'running'";

/// Tasks per second, each one insert and two updates, with `batch` of each in a transaction.
pub(crate) async fn tasks_per_second(file: &Path, tasks: usize, batch: usize) -> anyhow::Result<f64> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-4096");
    let mut store = options.connect().await?;
    sqlx::raw_sql(SCHEMA).execute(&mut store).await?;
    let batches: Vec<Batch> =
        (0..tasks).step_by(batch).map(|no| Batch::of(no, batch.min(tasks - no))).collect();
    let began = Instant::now();
    for turn in turns(&batches) {
        let mut transaction = store.begin().await?;
        for (statement, batch) in [INSERT, CLAIM, FINISH].into_iter().zip(turn) {
            if let Some(batch) = batch {
                batch.apply(&mut transaction, statement).await?;
            }
        }
        transaction.commit().await?;
    }
    let took = began.elapsed();
    let done = "select count(*) from task where state = 'success'";
    let done: i64 = sqlx::query_scalar(done).fetch_one(&mut store).await?;
    ensure!(done == tasks as i64, "expected {tasks} finished rows, got {done}");
    store.close().await?;
    Ok(tasks as f64 / took.as_secs_f64())
}

struct Batch {
    items: String,
    rows: u64,
}

impl Batch {
    fn of(first: usize, rows: usize) -> Self {
        let items: Vec<String> = (first..first + rows).map(|no| format!("[1,{no},\"t{no}\"]")).collect();
        // The claim and the finish read place 0 and 1 only, so that one list serves all three.
        Self { items: format!("[{}]", items.join(",")), rows: rows as u64 }
    }

    async fn apply(&self, store: &mut SqliteConnection, statement: &'static str) -> anyhow::Result<()> {
        let query = sqlx::query(statement).bind(self.items.as_str()).bind(crate::clock::now_ns() / 1000);
        let query = if statement == CLAIM { query.bind([7_u8; 16].to_vec()) } else { query };
        let done = query.execute(store).await?;
        ensure!(done.rows_affected() == self.rows, "a batch of {} changed {done:?}", self.rows);
        Ok(())
    }
}
