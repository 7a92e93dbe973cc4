//! The store's share of a no-op task: the same writes as the whole path makes, through the ports of the store,
//! without loops, broker and HTTP. What lies between this figure and the whole path is the loops' share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use rota_backend::{PostgresOptions, PostgresStore, SqliteStore, SystemClock, postgres_migrate};
use rota_core::id::{
    AttemptKey, DagId, Epoch, Incarnation, QueueName, ReplicaId, RunId, TaskKey, TaskName, TaskNo, WorkerId,
};
use rota_core::port::{
    Actor, Batch, ClaimRequest, Claimed, Clock, DagPut, Facts, FilesPut, Finish, Intents, Object, Plans,
    QueuedTask, RunTransition, TriggerRequest, WorkerHello,
};
use rota_core::state::{RunState, TaskState};
use rota_tests::services::together::Services;

use crate::dags;
use crate::figures::Bench;
use crate::home::Home;
use crate::limits::{database, postgres, rows, turns};
use crate::record::Record;
use crate::stats::Samples;

const TASKS: usize = 30_000;
const ROUNDS: usize = 3;
const BATCHES: [usize; 3] = [64, 512, 2048];

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Record>> {
    let tasks = bench.size(TASKS);
    let home = Home::new(bench)?;
    let mut records = Vec::new();
    for batch in BATCHES {
        eprintln!("{tasks} tasks, {batch} in a batch");
        let (mut rates, mut limits) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let (rate, limit) = match &bench.services {
                None => embedded(&home, &format!("{batch}-{round}.db"), tasks, batch).await?,
                Some(services) => clustered(services, tasks, batch).await?,
            };
            rates.push(rate);
            limits.push(limit);
        }
        let (rates, limits) = (Samples::new(rates)?, Samples::new(limits)?);
        records.push(
            Record::new(&format!("store_path_{batch}_tasks_per_s"), rates.median(), "tasks/s")
                .samples(&rates)
                .with("batch", batch)
                .limit("the same rows through sqlx alone", limits.median()),
        );
    }
    Ok(records)
}

/// Tasks per second, and the limit.
async fn embedded(home: &Home, name: &str, tasks: usize, batch: usize) -> anyhow::Result<(f64, f64)> {
    let limit = rows::tasks_per_second(&home.file(&format!("limit-{name}")), tasks, batch).await?;
    let store = SqliteStore::open(&home.file(&format!("store-{name}")), Arc::new(SystemClock)).await?;
    Ok((Walk::begin(store).await?.tasks_per_second(tasks, batch).await?, limit))
}

async fn clustered(services: &Services, tasks: usize, batch: usize) -> anyhow::Result<(f64, f64)> {
    let limit = postgres::tasks_per_second(&database(services), tasks, batch).await?;
    let options = PostgresOptions::new(&database(services), "bench")?;
    postgres_migrate(&options).await?;
    let store = PostgresStore::new(options);
    Ok((Walk::begin(store).await?.tasks_per_second(tasks, batch).await?, limit))
}

struct Walk<S> {
    store: S,
    epoch: Epoch,
    run: RunId,
    worker: WorkerId,
    incarnation: Incarnation,
}

impl<S: Plans + Facts + Intents> Walk<S> {
    /// A leader, a worker and a running run.
    async fn begin(store: S) -> anyhow::Result<Self> {
        let now = SystemClock.now();
        let epoch = store.term_begin(&ReplicaId::trusted("bench")).await?;
        let dag = DagId::trusted("five");
        let put = DagPut {
            dag: dag.clone(),
            path: "five.yaml".to_owned(),
            source: dags::five("five", "noop: true"),
            hash: "0".repeat(64),
            cursor: None,
            next_slot: None,
        };
        let files = FilesPut { dags: vec![put], at: now, ..FilesPut::default() };
        let versions = store.files_put(epoch, &files).await?;
        let (_, version) = *versions.first().context("the store took no DAG")?;
        let request = TriggerRequest { dag, version, params: Object::new(), idempotency_key: None };
        let actor = Actor { name: "bench".to_owned(), origin: String::new() };
        let run = store.run_trigger(&request, &actor).await?.run.id;
        let worker = WorkerId::trusted("bench");
        let incarnation = store.worker_register(&hello(&worker)).await?;
        let start =
            RunTransition { run, from: RunState::Queued, to: RunState::Running, at: now, reason: None };
        store.batch_commit(epoch, &Batch { run_transitions: vec![start], ..Batch::default() }).await?;
        Ok(Self { store, epoch, run, worker, incarnation })
    }

    /// Three batches are under way at a time, as in the whole path: one is queued, one claimed, one finished and read.
    async fn tasks_per_second(&self, tasks: usize, batch: usize) -> anyhow::Result<f64> {
        let queues: Vec<Vec<QueuedTask>> =
            (0..tasks).step_by(batch).map(|no| self.queued(no..tasks.min(no + batch))).collect();
        let began = Instant::now();
        let mut claimed: Vec<Claimed> = Vec::new();
        let mut done = 0;
        for (turn, [to_queue, to_claim, _]) in turns(&queues).enumerate() {
            let (queued, claims, finished) =
                tokio::join!(self.queue(to_queue), self.claim(to_claim, turn), self.finish(&claimed));
            queued?;
            done += finished?;
            claimed = claims?;
        }
        let rate = tasks as f64 / began.elapsed().as_secs_f64();
        ensure!(done == tasks, "expected {tasks} finished tasks, the leader read {done}");
        Ok(rate)
    }

    fn queued(&self, tasks: std::ops::Range<usize>) -> Vec<QueuedTask> {
        let (now, queue) = (SystemClock.now(), QueueName::trusted(QueueName::NOOP));
        let task = |no: usize| {
            let key = TaskKey::single(self.run, TaskNo(no as u32)).attempt(1);
            let name = TaskName::trusted(format!("t{no}"));
            QueuedTask { key, name, queue: queue.clone(), priority: 0, at: now }
        };
        tasks.map(task).collect()
    }

    async fn queue(&self, tasks: Option<&Vec<QueuedTask>>) -> anyhow::Result<()> {
        let Some(tasks) = tasks else { return Ok(()) };
        let batch = Batch { queues: tasks.clone(), ..Batch::default() };
        self.store.batch_commit(self.epoch, &batch).await?;
        Ok(())
    }

    async fn claim(&self, tasks: Option<&Vec<QueuedTask>>, turn: usize) -> anyhow::Result<Vec<Claimed>> {
        let Some(tasks) = tasks else { return Ok(Vec::new()) };
        let keys: Vec<AttemptKey> = tasks.iter().map(|task| task.key).collect();
        let request = ClaimRequest {
            worker: self.worker.clone(),
            incarnation: self.incarnation,
            nonce: turn as u128,
            keys,
        };
        Ok(self.store.tasks_claim(&request).await?)
    }

    /// Finishes what was claimed and reads it as the leader does; how many of them have succeeded.
    async fn finish(&self, claimed: &[Claimed]) -> anyhow::Result<usize> {
        if claimed.is_empty() {
            return Ok(0);
        }
        let now = SystemClock.now();
        let finishes: Vec<Finish> = claimed.iter().map(|it| success(it, now)).collect();
        let late = self.store.tasks_finish(&finishes).await?;
        ensure!(late.is_empty(), "{} outcomes were refused", late.len());
        let keys: Vec<TaskKey> = claimed.iter().map(|it| it.key.task).collect();
        let rows = self.store.tasks_load(&keys).await?;
        Ok(rows.iter().filter(|row| row.state == TaskState::Success && row.attempt == 1).count())
    }
}

fn hello(worker: &WorkerId) -> WorkerHello {
    WorkerHello {
        id: worker.clone(),
        host: "bench".to_owned(),
        pid: std::process::id(),
        version: "0".to_owned(),
        queues: vec![QueueName::trusted(QueueName::NOOP)],
        labels: Object::new(),
        slots: 8,
        lease: Duration::from_secs(600),
    }
}

fn success(claimed: &Claimed, now: DateTime<Utc>) -> Finish {
    Finish {
        key: claimed.key,
        token: claimed.token,
        state: TaskState::Success,
        spawned_at: None,
        ended_at: now,
        exit_code: None,
        signal: None,
        error: None,
        outputs: None,
    }
}
