//! From the server's start to its first finished task: on an empty data directory, again on the one it left behind, with
//! a run that was asked for as soon as the server answered; and with a job that is due every second.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::time::{Instant, sleep};

use crate::clock::{ms, now_ns};
use crate::dags;
use crate::figures::Bench;
use crate::home::Home;
use crate::record::Record;
use crate::server::Server;
use crate::stamp;
use crate::stats::Samples;
use crate::store::Store;

const STARTS: usize = 7;
const AIM_MS: f64 = 1000.0;
const LOOK: Duration = Duration::from_millis(5);
const TASK_MAX: Duration = Duration::from_secs(30);

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Record>> {
    let (mut fresh, mut again, mut cron) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..STARTS {
        eprintln!("start {} of {STARTS}", round + 1);
        let home = Home::new(bench)?;
        let file = home.file("stamps");
        let home = home.dag("first", &dags::chain("first", 1, &dags::stamp(&bench.me, &file)))?;
        fresh.push(asked(bench, &home, &file, 1).await?);
        again.push(asked(bench, &home, &file, 2).await?);
        let home = Home::new(bench)?;
        let file = home.file("stamps");
        let home = home.dag("tick", &dags::every_second("tick", &dags::stamp(&bench.me, &file)))?;
        cron.push(due(bench, &home, &file).await?);
    }
    Ok(vec![
        record("start_to_first_task_ms", &fresh)?.aim(AIM_MS),
        record("restart_to_first_task_ms", &again)?.aim(AIM_MS),
        record("start_to_first_cron_task_ms", &cron)?.with("includes", "the wait for the next whole second"),
    ])
}

/// Milliseconds from the start.
struct Start {
    ready: f64,
    started: f64,
    finished: f64,
}

/// A run that is asked for as soon as its DAG is known.
async fn asked(bench: &Bench, home: &Home, file: &Path, round: usize) -> anyhow::Result<Start> {
    let began = now_ns();
    let server = Server::start(bench, home).await?;
    let ready = now_ns();
    server.dag_known("first").await?;
    let run = server.trigger("first").await?;
    let state = server.run_ended(run, LOOK, TASK_MAX).await?;
    ensure!(state == "success", "the first run ended as {state}");
    let store = server.stop().await?;
    let stamps = stamp::read(file)?;
    ensure!(stamps.len() == round, "expected {round} processes, {} left a stamp", stamps.len());
    times(store, "first", round, [began, ready, stamps[round - 1].start_ns]).await
}

/// A job that is due every second; the server is killed once the first one has ended.
async fn due(bench: &Bench, home: &Home, file: &Path) -> anyhow::Result<Start> {
    let began = now_ns();
    let server = Server::start(bench, home).await?;
    let ready = now_ns();
    let deadline = Instant::now() + TASK_MAX;
    loop {
        let ended = server.json("/api/v1/runs?state=success&limit=1").await?;
        if ended["items"].as_array().is_some_and(|runs| !runs.is_empty()) {
            break;
        }
        ensure!(Instant::now() < deadline, "no task within {TASK_MAX:?}");
        sleep(LOOK).await;
    }
    let store = server.kill().await?;
    let first = stamp::read(file)?.first().context("no process left a stamp")?.start_ns;
    times(store, "tick", 1, [began, ready, first]).await
}

async fn times(mut store: Store, dag: &str, round: usize, stamps: [i64; 3]) -> anyhow::Result<Start> {
    let [began, ready, started] = stamps;
    let tasks = store.tasks(dag).await?;
    let (_, task) = tasks.get(round - 1).context("the store has no such task")?;
    let since = |ns: i64| ms(ns - began);
    Ok(Start { ready: since(ready), started: since(started), finished: since(task.finished_at * 1000) })
}

fn record(name: &str, starts: &[Start]) -> anyhow::Result<Record> {
    let of = |part: fn(&Start) -> f64| Samples::new(starts.iter().map(part).collect());
    let finished = of(|start| start.finished)?;
    Ok(Record::new(name, finished.median(), "ms")
        .samples(&finished)
        .number("answers_p50", of(|start| start.ready)?.median())
        .number("process_started_p50", of(|start| start.started)?.median()))
}
