//! From a task's end to its successor's start, in chains of 40 processes: by the tasks' own stamps, and by the store's
//! record. A chain of the same processes without a scheduler is the limit: what lies above it is rota's share.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;

use crate::clock::ms;
use crate::dags;
use crate::figures::Bench;
use crate::home::Home;
use crate::limits::chain;
use crate::record::Record;
use crate::server::Server;
use crate::stamp::{self, Stamp};
use crate::stats::Samples;
use crate::store::{Expected, TaskTimes};

const TASKS: usize = 40;
const RUNS: usize = 25;
/// Milliseconds at p50 and p99: standalone over the bare chain, and in a cluster altogether.
const AIM_STANDALONE: [f64; 2] = [1.0, 5.0];
const AIM_CLUSTER: [f64; 2] = [3.0, 10.0];
const LOOK: Duration = Duration::from_millis(100);
const RUN_MAX: Duration = Duration::from_secs(60);

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Record>> {
    let runs = bench.size(RUNS);
    let home = Home::new(bench)?;
    let file = home.file("stamps");
    let home = home
        .dag("chain", &dags::chain("chain", TASKS, &dags::stamp(&bench.me, &file)))?
        .dag("quiet", &dags::chain("quiet", TASKS, "noop: true"))?;
    let bare = chain::edges(&bench.me, &home.file("bare-before"), runs * TASKS / 2).await?;
    let server = Server::start(bench, &home).await?;
    for dag in ["chain", "quiet"] {
        server.dag_known(dag).await?;
        eprintln!("{runs} runs of a chain of {TASKS} ({dag})");
        for _ in 0..runs {
            let id = server.trigger(dag).await?;
            server.run_ended(id, LOOK, RUN_MAX).await?;
        }
    }
    let mut store = server.stop().await?;
    store.verify("chain", Expected { runs, tasks: TASKS, processes: TASKS }).await?;
    store.verify("quiet", Expected { runs, tasks: TASKS, processes: 0 }).await?;
    let stamped = stamped_edges(&stamp::read(&file)?, runs)?;
    let stored = store.tasks("chain").await?;
    let by_store = stored_edges(&stored, |from, to| to.spawned_at - from.ended_at)?;
    let to_queue = stored_edges(&stored, |from, to| to.queued_at - from.ended_at)?;
    let to_claim = stored_edges(&stored, |_, to| to.started_at - to.queued_at)?;
    let to_spawn = stored_edges(&stored, |_, to| to.spawned_at - to.started_at)?;
    let quiet = store.tasks("quiet").await?;
    let quiet = stored_edges(&quiet, |from, to| to.started_at - from.ended_at)?;
    Ok(vec![
        edge_record(bench, &stamped, &bare),
        Record::new("edge_by_store_ms", by_store.median(), "ms")
            .samples(&by_store)
            .number("end_to_decision_p50", to_queue.median())
            .number("decision_to_claim_p50", to_claim.median())
            .number("claim_to_spawned_p50", to_spawn.median()),
        Record::new("edge_noop_ms", quiet.median(), "ms").samples(&quiet),
    ])
}

fn edge_record(bench: &Bench, stamped: &Samples, bare: &Samples) -> Record {
    let over = |share| stamped.quantile(share) - bare.quantile(share);
    let record = Record::new("edge_ms", stamped.median(), "ms")
        .samples(stamped)
        .limit("p50 of the same processes one after the other, without a scheduler", bare.median())
        .number("limit_p99", bare.quantile(0.99))
        .number("over_limit_p50", over(0.5))
        .number("over_limit_p99", over(0.99));
    let (names, aims) = match bench.services {
        None => (["aim_over_limit_p50", "aim_over_limit_p99"], AIM_STANDALONE),
        Some(_) => (["aim_p50", "aim_p99"], AIM_CLUSTER),
    };
    names.iter().zip(aims).fold(record, |record, (name, aim)| record.with(name, aim))
}

/// By the tasks' own stamps; checks that each task of each run has one, in the order of the chain.
fn stamped_edges(stamps: &[Stamp], runs: usize) -> anyhow::Result<Samples> {
    let mut by_run: BTreeMap<&str, Vec<&Stamp>> = BTreeMap::new();
    for stamp in stamps {
        by_run.entry(&stamp.run).or_default().push(stamp);
    }
    ensure!(by_run.len() == runs, "expected stamps of {runs} runs, got {}", by_run.len());
    let mut edges = Vec::new();
    for (run, chain) in by_run {
        let names: Vec<String> = chain.iter().map(|it| format!("{}#{}", it.task, it.attempt)).collect();
        let expected: Vec<String> = (0..TASKS).map(|no| format!("t{no}#1")).collect();
        ensure!(names == expected, "run {run}: expected t0 to t{} once each, got {names:?}", TASKS - 1);
        for pair in chain.windows(2) {
            let edge = pair[1].start_ns - pair[0].end_ns;
            ensure!(edge > 0, "run {run}: {} started before {} had ended", pair[1].task, pair[0].task);
            edges.push(ms(edge));
        }
    }
    Samples::new(edges)
}

/// By the store's record, in milliseconds.
fn stored_edges(
    tasks: &[(i64, TaskTimes)],
    edge: impl Fn(&TaskTimes, &TaskTimes) -> i64,
) -> anyhow::Result<Samples> {
    let pairs = tasks.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    Samples::new(pairs.map(|pair| ms(edge(&pair[0].1, &pair[1].1) * 1000)).collect())
}
