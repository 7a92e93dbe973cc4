//! Tasks per second that are processes, beside what the machine can spawn at all: `run: "true"`, which starts a shell;
//! `run: [/bin/true]`, which does not; and tasks that each append a line to a file. Those lines, not rota's own records,
//! prove that every process ran once.
//!
//! Other work on the machine takes its share of both rota and the yardstick, so they are measured in turns and compared
//! turn by turn.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::dags;
use crate::figures::Bench;
use crate::home::Home;
use crate::limits::spawns::SpawnLimits;
use crate::process::{self, Cpu};
use crate::record::Record;
use crate::server::Server;
use crate::stats::Samples;
use crate::store::{Expected, Store};

const TASKS: usize = 5_000;
const ROUNDS: usize = 3;
const SPAWNS: usize = 1_500;
/// rota's default: four slots per core.
const SLOTS_PER_CORE: usize = 4;
const AIM_RATIO: f64 = 0.75;
const LOOK: Duration = Duration::from_millis(50);
const RUN_MAX: Duration = Duration::from_secs(120);

/// One kind of task, and what it is compared with.
struct Kind {
    figure: &'static str,
    dag: &'static str,
    limit_is: &'static str,
    limit: fn(&SpawnLimits) -> f64,
}

const KINDS: [Kind; 3] = [
    Kind {
        figure: "process_tasks_per_s",
        dag: "script",
        limit_is: "bare spawns/s of bash -euo pipefail -c true, output read through two pipes",
        limit: |limits| limits.bash_piped,
    },
    Kind {
        figure: "process_argv_tasks_per_s",
        dag: "argv",
        limit_is: "bare spawns/s of /bin/true",
        limit: |limits| limits.bare_true,
    },
    Kind {
        figure: "process_witnessed_tasks_per_s",
        dag: "witness",
        limit_is: "bare spawns/s of bash -euo pipefail -c true, output read through two pipes",
        limit: |limits| limits.bash_piped,
    },
];

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Record>> {
    let (tasks, spawns) = (bench.size(TASKS), bench.size(SPAWNS));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let at_a_time = bench.slots.map_or(cores * SLOTS_PER_CORE, |slots| slots as usize);
    let home = Home::new(bench)?;
    let file = home.file("witness");
    let home = home
        .dag("script", &dags::fan("script", tasks, "run: \"true\""))?
        .dag("argv", &dags::fan("argv", tasks, "run: [/bin/true]"))?
        .dag("witness", &dags::fan("witness", tasks, &dags::witness(&file)))?;
    let server = Server::start(bench, &home).await?;
    let mut limits = vec![limit(spawns, at_a_time).await?];
    let mut measured = Vec::new();
    for round in 0..ROUNDS {
        for (place, kind) in KINDS.iter().enumerate() {
            eprintln!("round {} of {ROUNDS}: {tasks} processes ({})", round + 1, kind.dag);
            measured.push((place, limits.len(), run(&server, kind.dag).await?));
            limits.push(limit(spawns, at_a_time).await?);
        }
    }
    let mut store = server.stop().await?;
    verify(&mut store, &file, tasks).await?;
    let mut records = Vec::new();
    for (place, kind) in KINDS.iter().enumerate() {
        let turns = measured.iter().filter(|(of, _, _)| *of == place);
        let turns: Vec<_> = turns.map(|(_, next, run)| (limits[next - 1].mean(limits[*next]), run)).collect();
        for (_, run) in &turns {
            ensure!(run.forks >= tasks as u64, "{tasks} tasks, but only {} processes started", run.forks);
        }
        let record = record(&mut store, kind, &turns, tasks).await?;
        records.push(record.with("slots", at_a_time));
    }
    Ok(records)
}

async fn record(
    store: &mut Store,
    kind: &Kind,
    turns: &[(SpawnLimits, &Measured)],
    tasks: usize,
) -> anyhow::Result<Record> {
    let times = store.runs(kind.dag).await?;
    let rates = times.iter().map(|run| tasks as f64 * 1e6 / (run.finished_at - run.created_at) as f64);
    let rates: Vec<f64> = rates.collect();
    let ratio = |limit: fn(&SpawnLimits) -> f64| {
        Samples::new(rates.iter().zip(turns).map(|(rate, (limits, _))| rate / limit(limits)).collect())
    };
    let mean = |part: fn(&Cpu) -> f64| {
        turns.iter().map(|(_, run)| part(&run.cpu)).sum::<f64>() * 1e6 / (tasks * turns.len()) as f64
    };
    let own_limit = Samples::new(turns.iter().map(|(limits, _)| (kind.limit)(limits)).collect())?;
    let parent = Samples::new(turns.iter().map(|(limits, _)| limits.parent_us).collect())?;
    let last = turns.last().context("nothing was measured")?;
    let rates = Samples::new(rates.clone())?;
    Ok(Record::new(kind.figure, rates.median(), "tasks/s")
        .with("tasks_per_run", tasks)
        .samples(&rates)
        .limit(kind.limit_is, own_limit.median())
        .number("ratio", ratio(kind.limit)?.median())
        .number("ratio_to_bare_true", ratio(|limits| limits.bare_true)?.median())
        .number("ratio_to_bare_bash", ratio(|limits| limits.bash)?.median())
        .with("aim_ratio", AIM_RATIO)
        .number("cpu_rota_us_per_task", mean(|cpu| cpu.user + cpu.system))
        .number("cpu_bare_parent_us_per_spawn", parent.median())
        .number("cpu_tasks_us_per_task", mean(|cpu| cpu.children))
        .with("limits_of_last_round", last.0.describe()))
}

#[derive(Debug)]
struct Measured {
    cpu: Cpu,
    /// Processes and threads that the whole machine started meanwhile.
    forks: u64,
}

async fn limit(spawns: usize, at_a_time: usize) -> anyhow::Result<SpawnLimits> {
    let limits = SpawnLimits::measure(spawns, at_a_time).await?;
    eprintln!("limits: {}", limits.describe());
    Ok(limits)
}

async fn run(server: &Server, dag: &str) -> anyhow::Result<Measured> {
    server.dag_known(dag).await?;
    let (used, forks) = (server.usage()?, process::forks()?);
    let id = server.trigger(dag).await?;
    server.run_ended(id, LOOK, RUN_MAX).await?;
    Ok(Measured { cpu: server.usage()?.since(&used).total(), forks: process::forks()? - forks })
}

/// The store says that every task ran once; so does the witness file, line by line.
async fn verify(store: &mut Store, file: &Path, tasks: usize) -> anyhow::Result<()> {
    for kind in &KINDS {
        store.verify(kind.dag, Expected { runs: ROUNDS, tasks, processes: tasks }).await?;
    }
    let text = std::fs::read_to_string(file).context("cannot read the witness file")?;
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for line in text.lines() {
        *seen.entry(line).or_default() += 1;
    }
    let names = (1..tasks).map(|no| format!("t{no} 1")).chain(["root 1".to_owned()]);
    for name in names {
        let times = seen.remove(name.as_str()).unwrap_or(0);
        ensure!(times == ROUNDS, "{ROUNDS} runs, but the witness file has `{name}` {times} times");
    }
    ensure!(seen.is_empty(), "the witness file has lines of no task: {seen:?}");
    Ok(())
}
