//! The independent record: what the server's store says, read after the server has stopped.

use std::path::Path;

use anyhow::{Context, ensure};
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions, Row, SqliteConnection};

/// Opens a stopped server's store for reading.
pub(crate) async fn open(data: &Path) -> anyhow::Result<SqliteConnection> {
    let file = data.join("rota.db");
    let options = SqliteConnectOptions::new().filename(&file).pragma("query_only", "on");
    options.connect().await.with_context(|| format!("cannot read {}", file.display()))
}

/// Runs of a DAG and how long they took, all times in microseconds since 1970 UTC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunTimes {
    /// When the run was asked for.
    pub(crate) created_at: i64,
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

const RUNS: &str = "select count(*), coalesce(sum(state = 'success'), 0) from run where dag = $1";
const TASKS: &str = "select count(*), \
     coalesce(sum(state = 'success' and attempt = 1 and failures = 0 and losses = 0), 0), \
     count(distinct claim_token), coalesce(sum(spawned_at is not null and exit_code = 0), 0) \
     from task where run in (select id from run where dag = $1)";
const HISTORY: &str = "select count(*) from task_attempt where run in (select id from run where dag = $1)";

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

/// Checks that every task of every run of `dag` was claimed once, ran once and succeeded.
pub(crate) async fn verify(
    store: &mut SqliteConnection,
    dag: &str,
    expected: Expected,
) -> anyhow::Result<()> {
    let runs = counts(store, RUNS, dag).await?;
    let Expected { runs: expected_runs, tasks, processes } = expected;
    ensure!(
        runs == [expected_runs, expected_runs],
        "{dag}: expected {expected_runs} runs, all successful; [there, successful] are {runs:?}"
    );
    let all = expected_runs * tasks;
    let found = counts(store, TASKS, dag).await?;
    ensure!(
        found == [all, all, all, expected_runs * processes],
        "{dag}: expected {all} tasks, each successful with its first attempt and its own claim, {} of them \
         processes; [there, successful, claims, processes] are {found:?}",
        expected_runs * processes
    );
    let again = counts(store, HISTORY, dag).await?;
    ensure!(again == [0], "{dag}: {} tasks had an earlier attempt", again[0]);
    Ok(())
}

/// Times of all runs of a DAG, by run.
pub(crate) async fn runs(store: &mut SqliteConnection, dag: &str) -> anyhow::Result<Vec<RunTimes>> {
    let text = "select created_at, finished_at from run where dag = $1 order by id";
    let rows = sqlx::query(text).bind(dag).fetch_all(store).await?;
    let times =
        |row: &SqliteRow| anyhow::Ok(RunTimes { created_at: row.try_get(0)?, finished_at: row.try_get(1)? });
    rows.iter().map(times).collect()
}

/// Times of all tasks of a DAG, by run and place in the file.
pub(crate) async fn tasks(store: &mut SqliteConnection, dag: &str) -> anyhow::Result<Vec<(i64, TaskTimes)>> {
    let text = "select run, queued_at, started_at, coalesce(spawned_at, ended_at), ended_at, finished_at from task \
                where run in (select id from run where dag = $1) order by run, task_no";
    let rows = sqlx::query(text).bind(dag).fetch_all(store).await?;
    let times = |row: &SqliteRow| {
        let times = TaskTimes {
            queued_at: row.try_get(1)?,
            started_at: row.try_get(2)?,
            spawned_at: row.try_get(3)?,
            ended_at: row.try_get(4)?,
            finished_at: row.try_get(5)?,
        };
        anyhow::Ok((row.try_get(0)?, times))
    };
    rows.iter().map(times).collect()
}

/// The fired slots of a DAG, by slot. Fails if a slot was missed or skipped.
pub(crate) async fn fired(store: &mut SqliteConnection, dag: &str) -> anyhow::Result<Vec<Fired>> {
    let text = "select slot, decided_at, outcome from slot where dag = $1 order by slot";
    let rows = sqlx::query(text).bind(dag).fetch_all(store).await?;
    let fired = |row: &SqliteRow| {
        let outcome: String = row.try_get(2)?;
        let slot: i64 = row.try_get(0)?;
        ensure!(outcome == "fired", "slot {slot} of {dag} was {outcome}");
        Ok(Fired { slot, decided_at: row.try_get(1)? })
    };
    rows.iter().map(fired).collect()
}

/// How many DAGs the store of a running server holds.
pub(crate) async fn dag_count(data: &Path) -> anyhow::Result<usize> {
    let mut store = open(data).await?;
    let count: i64 = sqlx::query_scalar("select count(*) from dag").fetch_one(&mut store).await?;
    Ok(usize::try_from(count)?)
}

async fn counts(store: &mut SqliteConnection, query: &'static str, dag: &str) -> anyhow::Result<Vec<usize>> {
    let row = sqlx::query(query).bind(dag).fetch_one(store).await?;
    let count = |place| Ok(usize::try_from(row.try_get::<i64, _>(place)?)?);
    (0..row.len()).map(count).collect()
}
