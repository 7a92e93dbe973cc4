//! No-op tasks per second through the whole path: REST trigger, leader, store on disk, broker, worker, and back. Times are
//! the store's own: from the moment a run was asked for until its end was decided.

use std::time::Duration;

use crate::clock::now_ns;
use crate::dags;
use crate::figures::Bench;
use crate::home::Home;
use crate::limits::Limits;
use crate::process::Usage;
use crate::record::Record;
use crate::server::Server;
use crate::stats::Samples;
use crate::store::{Expected, RunTimes};

/// Tasks per second, standalone and in a cluster.
const AIMS: [f64; 2] = [10_000.0, 6_000.0];
const NOOP: &str = "noop: true";
/// How often the server is asked whether it is done. The times come from its store, so this needs not be often.
const LOOK: Duration = Duration::from_millis(50);
const RUN_MAX: Duration = Duration::from_secs(120);
const FAN_TASKS: usize = 10_000;
const FAN_RUNS: usize = 5;
const RUNS: usize = 2_000;
const TASKS_PER_RUN: usize = 5;
const CONNECTIONS: usize = 16;

/// Runs of one wide DAG, one after the other.
pub(crate) async fn fan(bench: &Bench) -> anyhow::Result<Vec<Record>> {
    let tasks = bench.size(FAN_TASKS);
    let home = Home::new(bench)?.dag("fan", &dags::fan("fan", tasks, NOOP))?;
    let before = Limits::measure(bench, &home, "before").await?;
    let server = Server::start(bench, &home).await?;
    server.dag_known("fan").await?;
    let used = server.usage()?;
    for run in 0..FAN_RUNS {
        eprintln!("run {} of {FAN_RUNS}, {tasks} tasks", run + 1);
        let id = server.trigger("fan").await?;
        server.run_ended(id, LOOK, RUN_MAX).await?;
    }
    let used = server.usage()?.since(&used);
    let mut store = server.stop().await?;
    store.verify("fan", Expected { runs: FAN_RUNS, tasks, processes: 0 }).await?;
    let times = store.runs("fan").await?;
    let rate = |run: &RunTimes| tasks as f64 * 1e6 / (run.finished_at - run.created_at) as f64;
    let rates = Samples::new(times.iter().map(rate).collect())?;
    let after = Limits::measure(bench, &home, "after").await?;
    let record = Record::new("noop_fan_tasks_per_s", rates.median(), "tasks/s")
        .with("tasks_per_run", tasks)
        .samples(&rates);
    Ok(vec![before.mean(after).beside(finished(bench, record, &used, tasks * FAN_RUNS))])
}

/// Many small runs, asked for over HTTP by several clients at once.
pub(crate) async fn runs(bench: &Bench) -> anyhow::Result<Vec<Record>> {
    let count = bench.size(RUNS);
    let home = Home::new(bench)?.dag("five", &dags::five("five", NOOP))?;
    let before = Limits::measure(bench, &home, "before").await?;
    let server = Server::start(bench, &home).await?;
    server.dag_known("five").await?;
    eprintln!("{count} runs of {TASKS_PER_RUN} tasks");
    let (used, began) = (server.usage()?, now_ns() / 1000);
    server.trigger_many("five", count, CONNECTIONS).await?;
    let asked = now_ns() / 1000;
    server.all_ended("five", LOOK, RUN_MAX).await?;
    let used = server.usage()?.since(&used);
    let mut store = server.stop().await?;
    let expected = Expected { runs: count, tasks: TASKS_PER_RUN, processes: 0 };
    store.verify("five", expected).await?;
    let times = store.runs("five").await?;
    let ended = times.iter().map(|run| run.finished_at).max().unwrap_or(began);
    let waits =
        Samples::new(times.iter().map(|run| (run.started_at - run.created_at) as f64 / 1e3).collect())?;
    let spans =
        Samples::new(times.iter().map(|run| (run.finished_at - run.created_at) as f64 / 1e3).collect())?;
    let after = Limits::measure(bench, &home, "after").await?;
    let all = count * TASKS_PER_RUN;
    let record = Record::new("noop_runs_tasks_per_s", all as f64 * 1e6 / (ended - began) as f64, "tasks/s")
        .with("runs", count)
        .with("tasks_per_run", TASKS_PER_RUN)
        .number("triggers_per_s", count as f64 * 1e6 / (asked - began) as f64)
        .number("run_queued_ms_p50", waits.median())
        .number("run_ms_p50", spans.median())
        .number("run_ms_p99", spans.quantile(0.99));
    Ok(vec![before.mean(after).beside(finished(bench, record, &used, all))])
}

fn finished(bench: &Bench, record: Record, used: &Usage, tasks: usize) -> Record {
    let cpu = used.total();
    let record = record
        .aim(AIMS[usize::from(bench.services.is_some())])
        .number("cpu_user_us_per_task", cpu.user * 1e6 / tasks as f64)
        .number("cpu_system_us_per_task", cpu.system * 1e6 / tasks as f64);
    let each = used.each_us(tasks).into_iter();
    each.fold(record, |record, (name, us)| record.number(&format!("cpu_{name}_us_per_task"), us))
}
