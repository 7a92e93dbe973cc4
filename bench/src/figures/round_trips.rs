//! How often the cluster waits for Postgres per no-op task, by role: relays between rota and Postgres count. They cost
//! time, so nothing is timed here.

use std::time::Duration;

use anyhow::Context;

use crate::dags;
use crate::figures::Bench;
use crate::home::Home;
use crate::record::Record;
use crate::server::Server;
use crate::server::cluster::ROLES;
use crate::store::Expected;
use crate::tap::Tap;

const FAN_TASKS: usize = 10_000;
const FAN_RUNS: usize = 3;
const RUNS: usize = 500;
const TASKS_PER_RUN: usize = 5;
const CHAIN_TASKS: usize = 40;
const CHAIN_RUNS: usize = 5;
const CONNECTIONS: usize = 16;
const NOOP: &str = "noop: true";
const LOOK: Duration = Duration::from_millis(250);
const RUN_MAX: Duration = Duration::from_secs(120);

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Record>> {
    let services = bench.services.as_ref().context("this is about a cluster: give --cluster")?;
    let tasks = bench.size(FAN_TASKS);
    let home = Home::new(bench)?
        .dag("fan", &dags::fan("fan", tasks, NOOP))?
        .dag("five", &dags::five("five", NOOP))?
        .dag("chain", &dags::chain("chain", CHAIN_TASKS, NOOP))?;
    let port = services.postgres.port();
    let taps = [Tap::start(port).await?, Tap::start(port).await?, Tap::start(port).await?];
    let server = Server::start_at(bench, &home, taps.each_ref().map(Tap::port)).await?;
    let mut records = Vec::new();

    server.dag_known("fan").await?;
    let before = counts(&taps);
    for _ in 0..FAN_RUNS {
        server.run_ended(server.trigger("fan").await?, LOOK, RUN_MAX).await?;
    }
    records.push(record("round_trips_per_task_fan", before, counts(&taps), FAN_RUNS * tasks));

    server.dag_known("five").await?;
    let (runs, before) = (bench.size(RUNS), counts(&taps));
    server.trigger_many("five", runs, CONNECTIONS).await?;
    server.all_ended("five", LOOK, RUN_MAX).await?;
    records.push(record("round_trips_per_task_runs", before, counts(&taps), runs * TASKS_PER_RUN));

    server.dag_known("chain").await?;
    let before = counts(&taps);
    for _ in 0..CHAIN_RUNS {
        server.run_ended(server.trigger("chain").await?, LOOK, RUN_MAX).await?;
    }
    records.push(record("round_trips_per_task_chain", before, counts(&taps), CHAIN_RUNS * CHAIN_TASKS));

    let mut store = server.stop().await?;
    store.verify("fan", Expected { runs: FAN_RUNS, tasks, processes: 0 }).await?;
    store.verify("five", Expected { runs, tasks: TASKS_PER_RUN, processes: 0 }).await?;
    store.verify("chain", Expected { runs: CHAIN_RUNS, tasks: CHAIN_TASKS, processes: 0 }).await?;
    Ok(records)
}

type Counts = [u64; ROLES.len()];

fn counts(taps: &[Tap; ROLES.len()]) -> Counts {
    taps.each_ref().map(Tap::count)
}

fn record(name: &str, before: Counts, after: Counts, tasks: usize) -> Record {
    let each = [0, 1, 2].map(|no| (after[no] - before[no]) as f64 / tasks as f64);
    let record = Record::new(name, each.iter().sum(), "round trips");
    ROLES.iter().zip(each).fold(record, |record, (role, count)| record.number(role, count))
}
