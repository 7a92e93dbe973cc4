//! The independent record: what rota's store says, read after rota has stopped.

use std::path::Path;

use anyhow::{Context, ensure};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ColumnIndex, ConnectOptions, Decode, PgConnection, Row, SqliteConnection, Type};

/// A store, open for reading.
#[derive(Debug)]
pub(crate) enum Store {
    /// Of a standalone server.
    Sqlite(SqliteConnection),
    /// Of a cluster.
    Postgres(PgConnection),
}

/// Runs of a DAG and how long they took, all times in microseconds since 1970 UTC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunTimes {
    /// When the run was asked for.
    pub(crate) created_at: i64,
    /// When it was let in.
    pub(crate) started_at: i64,
    /// When its end was decided.
    pub(crate) finished_at: i64,
}

/// A task's times, in microseconds since 1970 UTC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskTimes {
    /// When the leader decided that it may be claimed.
    pub(crate) queued_at: i64,
    /// When its claim was written.
    pub(crate) started_at: i64,
    /// When its process was there; its end for a task without one.
    pub(crate) spawned_at: i64,
    /// When the worker saw it end.
    pub(crate) ended_at: i64,
    /// The same, but never before the claim.
    pub(crate) finished_at: i64,
}

/// A fired slot, in microseconds since 1970 UTC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fired {
    /// The instant that was due.
    pub(crate) slot: i64,
    /// When the leader decided.
    pub(crate) decided_at: i64,
}

// Both databases understand these. Every column is a bigint.
const RUNS: &str = "select count(*), count(*) filter (where state = 'success') from run where dag = $1";
const TASKS: &str = "select count(*), \
     count(*) filter (where state = 'success' and attempt = 1 and failures = 0 and losses = 0), \
     count(distinct claim_token), count(*) filter (where spawned_at is not null and exit_code = 0) \
     from task where run in (select id from run where dag = $1)";
const HISTORY: &str = "select count(*) from task_attempt where run in (select id from run where dag = $1)";
const DAGS: &str = "select count(*) from dag";
const FINISHED: &str = "select count(*) from task where state = 'success'";
const RUN_TIMES: &str = "select created_at, started_at, finished_at from run where dag = $1 order by id";
const TASK_TIMES: &str = "select run, queued_at, started_at, coalesce(spawned_at, ended_at), ended_at, finished_at \
     from task where run in (select id from run where dag = $1) order by run, task_no";
const SLOTS: &str = "select slot, decided_at, cast(case when outcome = 'fired' then 1 else 0 end as bigint) \
     from slot where dag = $1 order by slot";

/// What must hold of a DAG's runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    /// All of them succeeded.
    pub(crate) runs: usize,
    /// Tasks of each; all succeeded with their first attempt.
    pub(crate) tasks: usize,
    /// How many of these were processes.
    pub(crate) processes: usize,
}

impl Store {
    /// The store in a data directory.
    pub(crate) async fn in_directory(data: &Path) -> anyhow::Result<Self> {
        let file = data.join("rota.db");
        let options = SqliteConnectOptions::new().filename(&file).pragma("query_only", "on");
        let store = options.connect().await.with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Self::Sqlite(store))
    }

    /// The store in a database of Postgres.
    pub(crate) async fn in_postgres(url: &str) -> anyhow::Result<Self> {
        let options: PgConnectOptions = url.parse()?;
        let options = options.options([("default_transaction_read_only", "on")]);
        Ok(Self::Postgres(options.connect().await.context("cannot read the database")?))
    }

    /// Checks that every task of every run of `dag` was claimed once, ran once and succeeded.
    pub(crate) async fn verify(&mut self, dag: &str, expected: Expected) -> anyhow::Result<()> {
        let Expected { runs, tasks, processes } = expected;
        let found = self.counts(RUNS, &[dag]).await?;
        ensure!(
            found == [runs, runs],
            "{dag}: expected {runs} runs, all successful; [there, successful] are {found:?}"
        );
        let (all, processes) = (runs * tasks, runs * processes);
        let found = self.counts(TASKS, &[dag]).await?;
        ensure!(
            found == [all, all, all, processes],
            "{dag}: expected {all} tasks, each successful with its first attempt and its own claim, {processes} of \
             them processes; [there, successful, claims, processes] are {found:?}"
        );
        let again = self.counts(HISTORY, &[dag]).await?;
        ensure!(again == [0], "{dag}: {} tasks had an earlier attempt", again[0]);
        Ok(())
    }

    /// Times of all runs of a DAG, by run.
    pub(crate) async fn runs(&mut self, dag: &str) -> anyhow::Result<Vec<RunTimes>> {
        let rows = self.rows(RUN_TIMES, &[dag]).await?;
        Ok(rows
            .iter()
            .map(|row| RunTimes { created_at: row[0], started_at: row[1], finished_at: row[2] })
            .collect())
    }

    /// Times of all tasks of a DAG, by run and place in the file.
    pub(crate) async fn tasks(&mut self, dag: &str) -> anyhow::Result<Vec<(i64, TaskTimes)>> {
        let rows = self.rows(TASK_TIMES, &[dag]).await?;
        let times = |row: &Vec<i64>| TaskTimes {
            queued_at: row[1],
            started_at: row[2],
            spawned_at: row[3],
            ended_at: row[4],
            finished_at: row[5],
        };
        Ok(rows.iter().map(|row| (row[0], times(row))).collect())
    }

    /// The fired slots of a DAG, by slot. Fails if a slot was missed or skipped.
    pub(crate) async fn fired(&mut self, dag: &str) -> anyhow::Result<Vec<Fired>> {
        let rows = self.rows(SLOTS, &[dag]).await?;
        let other = rows.iter().find(|row| row[2] != 1);
        ensure!(other.is_none(), "slot {other:?} of {dag} was not fired");
        Ok(rows.iter().map(|row| Fired { slot: row[0], decided_at: row[1] }).collect())
    }

    /// How many DAGs there are.
    pub(crate) async fn dag_count(&mut self) -> anyhow::Result<usize> {
        Ok(self.counts(DAGS, &[]).await?[0])
    }

    /// How many tasks have succeeded, of whatever DAG.
    pub(crate) async fn finished(&mut self) -> anyhow::Result<usize> {
        Ok(self.counts(FINISHED, &[]).await?[0])
    }

    async fn counts(&mut self, query: &'static str, values: &[&str]) -> anyhow::Result<Vec<usize>> {
        let rows = self.rows(query, values).await?;
        let row = rows.first().context("a count is one row")?;
        row.iter().map(|count| Ok(usize::try_from(*count)?)).collect()
    }

    async fn rows(&mut self, query: &'static str, values: &[&str]) -> anyhow::Result<Vec<Vec<i64>>> {
        match self {
            Self::Sqlite(store) => {
                let query = values.iter().fold(sqlx::query(query), |query, value| query.bind(*value));
                query.fetch_all(store).await?.iter().map(numbers).collect()
            }
            Self::Postgres(store) => {
                let query = values.iter().fold(sqlx::query(query), |query, value| query.bind(*value));
                query.fetch_all(store).await?.iter().map(numbers).collect()
            }
        }
    }
}

/// A row of bigints.
fn numbers<R: Row>(row: &R) -> anyhow::Result<Vec<i64>>
where
    usize: ColumnIndex<R>,
    for<'r> i64: Decode<'r, R::Database> + Type<R::Database>,
{
    (0..row.len()).map(|place| Ok(row.try_get(place)?)).collect()
}
