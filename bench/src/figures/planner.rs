//! The planner alone, in this process: how long it takes to plan a whole run, per edge of its DAG. The same for every
//! size means linear.

use std::time::{Duration, Instant};

use anyhow::ensure;
use chrono::{DateTime, Utc};
use rota_core::dag::Dag;
use rota_core::id::{DagVersion, RunId};
use rota_core::plan::Planner;
use rota_core::port::{Batch, Committed, Object, QueuedTask, RunRow, TaskRow};
use rota_core::state::{RunState, TaskState, Trigger};
use std::sync::Arc;

use super::layered::{SplitMix, layered};
use crate::clock::now_ns;
use crate::figures::Bench;
use crate::record::Record;
use crate::stats::Samples;

/// Sizes in tasks, and how often each is planned.
const SIZES: [(usize, usize); 3] = [(1_000, 50), (10_000, 15), (100_000, 5)];
const SEED: u64 = 20_260_101;
/// Facts that the leader hears of at once.
const FACTS: usize = 256;
/// A hundred times the tasks may cost this many times more per edge: caches get cold, but nothing grows with the run.
const RATIO_MAX: f64 = 6.0;
const RUN: RunId = RunId(1);

pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    let mut per_edge = Vec::new();
    for (tasks, rounds) in SIZES {
        let (tasks, rounds) = (bench.size(tasks), bench.size(rounds));
        let (dag, edges) = layered(tasks, SEED)?;
        eprintln!("{tasks} tasks, {edges} edges, {rounds} times");
        let mut times = Vec::new();
        for round in 0..rounds {
            let took = plan(&dag, SEED + round as u64)?;
            times.push(took.as_secs_f64() * 1e9 / edges as f64);
        }
        let times = Samples::new(times)?;
        per_edge.push(times.median());
        let name = format!("planner_{tasks}_ns_per_edge");
        records.push(
            Record::new(&name, times.median(), "ns/edge")
                .samples(&times)
                .with("tasks", tasks)
                .with("edges", edges)
                .number("ns_per_task", times.median() * edges as f64 / tasks as f64)
                .with("seed", SEED),
        );
    }
    let ratio = per_edge[per_edge.len() - 1] / per_edge[0];
    ensure!(ratio < RATIO_MAX, "an edge of the largest DAG costs {ratio:.1} times one of the smallest");
    let what = "ns per edge of the largest DAG over those of the smallest; 1 is linear";
    records.push(Record::new("planner_growth", ratio, "times").with("is", what).with("most", RATIO_MAX));
    Ok(records)
}

/// Walks one run to its end. The time is the planner's alone: rows are made while the watch stands still.
fn plan(dag: &Arc<Dag>, seed: u64) -> anyhow::Result<Duration> {
    let now = DateTime::from_timestamp_nanos(now_ns());
    let mut watch = Watch::default();
    let mut planner = Planner::default();
    let mut random = SplitMix(seed);
    let mut seen = vec![false; dag.tasks.len()];
    let mut open: Vec<TaskRow> = Vec::new();
    watch.time(|| planner.run_known(running(dag, now), Arc::clone(dag), &[], now))?;
    loop {
        let batch = watch.time(|| planner.plan(now))?;
        if batch.is_empty() && open.is_empty() {
            break;
        }
        for queued in &batch.queues {
            let place = &mut seen[queued.key.task.task.0 as usize];
            ensure!(!*place, "{} was queued twice", queued.key);
            *place = true;
            open.push(succeeded(queued, now));
        }
        let is_end = check_end(&batch)?;
        if !batch.is_empty() {
            watch.time(|| planner.committed(batch, Committed::default(), now))?;
        }
        if is_end {
            break;
        }
        let facts: Vec<TaskRow> = (0..FACTS.min(open.len()))
            .map(|_| open.swap_remove(random.below(open.len() as u64) as usize))
            .collect();
        watch.time(|| planner.observed(&facts, now))?;
    }
    let unseen = seen.iter().filter(|seen| !**seen).count();
    ensure!(unseen == 0 && open.is_empty(), "the run ended with {unseen} tasks never queued");
    ensure!(!planner.has_run(RUN), "the run did not end");
    Ok(watch.0)
}

/// Whether the batch ends the run, which must be in success.
fn check_end(batch: &Batch) -> anyhow::Result<bool> {
    ensure!(
        batch.ends_without_attempt.is_empty() && batch.retries.is_empty(),
        "nothing fails here, yet {batch:?}"
    );
    match batch.run_transitions.as_slice() {
        [] => Ok(false),
        [end] => {
            ensure!(end.to == RunState::Success, "the run ended as {:?}", end.to);
            Ok(true)
        }
        more => anyhow::bail!("one run moved {} times in one batch", more.len()),
    }
}

#[derive(Default)]
struct Watch(Duration);

impl Watch {
    fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = work();
        self.0 += began.elapsed();
        done
    }
}

fn running(dag: &Dag, now: DateTime<Utc>) -> RunRow {
    RunRow {
        id: RUN,
        dag: dag.id.clone(),
        version: DagVersion(1),
        slot: None,
        interval_start: None,
        trigger: Trigger::Manual,
        state: RunState::Running,
        params: Object::new(),
        reason: None,
        created_at: now,
        started_at: Some(now),
        finished_at: None,
        ending: None,
    }
}

fn succeeded(queued: &QueuedTask, now: DateTime<Utc>) -> TaskRow {
    TaskRow {
        key: queued.key.task,
        name: queued.name.clone(),
        attempt: queued.key.attempt,
        state: TaskState::Success,
        queue: queued.queue.clone(),
        priority: queued.priority,
        failures: 0,
        losses: 0,
        queued_at: Some(now),
        started_at: Some(now),
        finished_at: Some(now),
        retry_at: None,
        worker: None,
        incarnation: None,
        exit_code: None,
        signal: None,
        error: None,
        outputs: None,
        cancel_requested: false,
    }
}
