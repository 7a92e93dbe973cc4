//! No-op tasks per second through the whole standalone path: REST trigger, leader, store on disk, broker, worker, and
//! back. Times are the store's own: from the moment a run was asked for until its end was decided.

use std::time::Duration;

use crate::clock::now_ns;
use crate::dags;
use crate::figures::Bench;
use crate::home::Home;
use crate::limits::rows;
use crate::process::Cpu;
use crate::record::Record;
use crate::server::Server;
use crate::stats::Samples;
use crate::store::{self, Expected, RunTimes};

const AIM: f64 = 10_000.0;
const NOOP: &str = "noop: true";
/// How often the server is asked whether it is done. The times come from its store, so this needs not be often.
const LOOK: Duration = Duration::from_millis(50);
const RUN_MAX: Duration = Duration::from_secs(120);
const FAN_TASKS: usize = 10_000;
const FAN_RUNS: usize = 5;
const RUNS: usize = 2_000;
const TASKS_PER_RUN: usize = 5;
const CONNECTIONS: usize = 16;
/// Rows per transaction of the limit: what the leader lets into the lane of no-op tasks at most.
const LIMIT_BATCH: usize = 2048;
const LIMIT_TASKS: usize = 50_000;

/// Runs of one wide DAG, one after the other.
pub(crate) async fn fan(bench: &Bench) -> anyhow::Result<Vec<Record>> {
    let tasks = bench.size(FAN_TASKS);
    let home = Home::new(bench)?.dag("fan", &dags::fan("fan", tasks, NOOP))?;
    let before = limit(bench, &home, "before.db").await?;
    let server = Server::start(bench, &home).await?;
    server.dag_known("fan").await?;
    let cpu = Cpu::of(server.pid())?;
    for run in 0..FAN_RUNS {
        eprintln!("run {} of {FAN_RUNS}, {tasks} tasks", run + 1);
        let id = server.trigger("fan").await?;
        server.run_ended(id, LOOK, RUN_MAX).await?;
    }
    let cpu = Cpu::of(server.pid())?.since(cpu);
    server.stop().await?;
    let mut store = store::open(&home.data()).await?;
    store::verify(&mut store, "fan", Expected { runs: FAN_RUNS, tasks, processes: 0 }).await?;
    let times = store::runs(&mut store, "fan").await?;
    let rate = |run: &RunTimes| tasks as f64 * 1e6 / (run.finished_at - run.created_at) as f64;
    let rates = Samples::new(times.iter().map(rate).collect())?;
    let after = limit(bench, &home, "after.db").await?;
    let record = Record::new("noop_fan_tasks_per_s", rates.median(), "tasks/s")
        .with("tasks_per_run", tasks)
        .samples(&rates);
    Ok(vec![finished(record, cpu, tasks * FAN_RUNS).limit(LIMIT_IS, f64::midpoint(before, after))])
}

/// Many small runs, asked for over HTTP by several clients at once.
pub(crate) async fn runs(bench: &Bench) -> anyhow::Result<Vec<Record>> {
    let count = bench.size(RUNS);
    let home = Home::new(bench)?.dag("five", &dags::five("five", NOOP))?;
    let before = limit(bench, &home, "before.db").await?;
    let server = Server::start(bench, &home).await?;
    server.dag_known("five").await?;
    eprintln!("{count} runs of {TASKS_PER_RUN} tasks");
    let (cpu, began) = (Cpu::of(server.pid())?, now_ns() / 1000);
    server.trigger_many("five", count, CONNECTIONS).await?;
    let asked = now_ns() / 1000;
    server.all_ended("five", LOOK, RUN_MAX).await?;
    let cpu = Cpu::of(server.pid())?.since(cpu);
    server.stop().await?;
    let mut store = store::open(&home.data()).await?;
    let expected = Expected { runs: count, tasks: TASKS_PER_RUN, processes: 0 };
    store::verify(&mut store, "five", expected).await?;
    let times = store::runs(&mut store, "five").await?;
    let ended = times.iter().map(|run| run.finished_at).max().unwrap_or(began);
    let spans =
        Samples::new(times.iter().map(|run| (run.finished_at - run.created_at) as f64 / 1e3).collect())?;
    let after = limit(bench, &home, "after.db").await?;
    let all = count * TASKS_PER_RUN;
    let record = Record::new("noop_runs_tasks_per_s", all as f64 * 1e6 / (ended - began) as f64, "tasks/s")
        .with("runs", count)
        .with("tasks_per_run", TASKS_PER_RUN)
        .number("triggers_per_s", count as f64 * 1e6 / (asked - began) as f64)
        .number("run_ms_p50", spans.median())
        .number("run_ms_p99", spans.quantile(0.99));
    Ok(vec![finished(record, cpu, all).limit(LIMIT_IS, f64::midpoint(before, after))])
}

const LIMIT_IS: &str =
    "tasks/s as bare SQLite rows (1 insert and 2 updates each, 2048 of each per transaction)";

async fn limit(bench: &Bench, home: &Home, file: &str) -> anyhow::Result<f64> {
    let rate = rows::tasks_per_second(&home.file(file), bench.size(LIMIT_TASKS), LIMIT_BATCH).await?;
    eprintln!("limit: {rate:.0} tasks/s as bare SQLite rows");
    Ok(rate)
}

fn finished(record: Record, cpu: Cpu, tasks: usize) -> Record {
    record
        .aim(AIM)
        .number("cpu_user_us_per_task", cpu.user * 1e6 / tasks as f64)
        .number("cpu_system_us_per_task", cpu.system * 1e6 / tasks as f64)
}
