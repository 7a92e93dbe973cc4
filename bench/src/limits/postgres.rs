//! What Postgres can do without rota, through one connection: batched rows of rota's own table, each task inserted and
//! updated twice; unnest updates of a narrow table; single commits.

use std::time::Instant;

use anyhow::ensure;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::limits::turns;
use crate::stats::Samples;

const SCHEMA: &str = include_str!("../../../migrations/postgres/0001_initial.sql");

const INSERT: &str =
    "insert into task (run, task_no, map_index, attempt, name, queue, priority, queued_at, state)
     select item.run, item.no, 0, 1, 't' || item.no, 'noop', 0, $3, 'queued'
     from unnest($1::bigint[], $2::bigint[]) as item(run, no)";

// The state is compared as an expression so that each row is found by the primary key, as rota's own statements do.
const CLAIM: &str = "update task set state = 'running', started_at = $3, worker = 'bench', incarnation = 1,
         claim_token = item.no, claim_nonce = $4
     from unnest($1::bigint[], $2::bigint[]) as item(run, no)
     where task.run = item.run and task.task_no = item.no and task.map_index = 0 and task.attempt = 1
         and task.state || '' = 'queued'";

const FINISH: &str = "update task set state = 'success', finished_at = $3, ended_at = $3
     from unnest($1::bigint[], $2::bigint[]) as item(run, no)
     where task.run = item.run and task.task_no = item.no and task.map_index = 0 and task.attempt = 1
         and task.claim_token = item.no and task.state || '' = 'running'";

/// Rows of the narrow table, and of each of its updates.
const NARROW_ROWS: i64 = 50_000;
const NARROW_BATCH: i64 = 1_000;
const COMMITS: usize = 500;

/// Tasks per second, each one insert and two updates, with `batch` of each in a transaction.
pub(crate) async fn tasks_per_second(url: &str, tasks: usize, batch: usize) -> anyhow::Result<f64> {
    let mut store = connect(url).await?;
    sqlx::raw_sql(SCHEMA).execute(&mut store).await?;
    let all: Vec<i64> = (0..tasks as i64).collect();
    let batches: Vec<&[i64]> = all.chunks(batch).collect();
    let began = Instant::now();
    for turn in turns(&batches) {
        let mut transaction = store.begin().await?;
        for (statement, batch) in [INSERT, CLAIM, FINISH].into_iter().zip(turn) {
            let Some(batch) = batch else { continue };
            let runs = vec![1_i64; batch.len()];
            let query = sqlx::query(statement).bind(runs).bind(*batch).bind(crate::clock::now_ns() / 1000);
            let query = if statement == CLAIM { query.bind([7_u8; 16].to_vec()) } else { query };
            let done = query.execute(&mut *transaction).await?;
            ensure!(
                done.rows_affected() == batch.len() as u64,
                "a batch of {} changed {done:?}",
                batch.len()
            );
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

/// The plain speed of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Speed {
    /// Rows per second, updated a thousand at a time by unnest, each time committed.
    pub(crate) updates_per_s: f64,
    /// The median of committing one row, milliseconds.
    pub(crate) commit_ms: f64,
}

impl Speed {
    /// Measures both in an empty database.
    pub(crate) async fn measure(url: &str) -> anyhow::Result<Self> {
        let mut store = connect(url).await?;
        let schema =
            "create table narrow (id bigint primary key, value bigint not null) with (fillfactor = 50)";
        sqlx::query(schema).execute(&mut store).await?;
        let fill = "insert into narrow select no, 0 from generate_series(1, $1::bigint) as no";
        sqlx::query(fill).bind(NARROW_ROWS).execute(&mut store).await?;
        let began = Instant::now();
        for first in (1..=NARROW_ROWS).step_by(NARROW_BATCH as usize) {
            let ids: Vec<i64> = (first..first + NARROW_BATCH).collect();
            let update =
                "update narrow set value = value + 1 from unnest($1::bigint[]) as item where id = item";
            let done = sqlx::query(update).bind(ids).execute(&mut store).await?;
            ensure!(done.rows_affected() == NARROW_BATCH as u64, "an update changed {done:?}");
        }
        let updates_per_s = NARROW_ROWS as f64 / began.elapsed().as_secs_f64();
        let mut commits = Vec::new();
        for no in 1..=COMMITS as i64 {
            let began = Instant::now();
            let update = "update narrow set value = value + 1 where id = $1";
            let done = sqlx::query(update).bind(no).execute(&mut store).await?;
            ensure!(done.rows_affected() == 1, "an update changed {done:?}");
            commits.push(began.elapsed().as_secs_f64() * 1e3);
        }
        store.close().await?;
        Ok(Self { updates_per_s, commit_ms: Samples::new(commits)?.median() })
    }

    /// The mean of a measurement before and one after.
    pub(crate) fn mean(self, other: Self) -> Self {
        Self {
            updates_per_s: f64::midpoint(self.updates_per_s, other.updates_per_s),
            commit_ms: f64::midpoint(self.commit_ms, other.commit_ms),
        }
    }
}

async fn connect(url: &str) -> anyhow::Result<PgConnection> {
    let options: PgConnectOptions = url.parse()?;
    Ok(options.connect().await?)
}
