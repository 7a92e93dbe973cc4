//! `run: "true"` tasks per second beside what the machine can spawn at all. Then the same number of tasks that each
//! append a line to a file: those lines, not rota's own records, prove that every process ran once.

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
use crate::store::{self, Expected};

const TASKS: usize = 5_000;
const SPAWNS: usize = 3_000;
/// rota's default: four slots per core.
const SLOTS_PER_CORE: usize = 4;
const AIM_RATIO: f64 = 0.75;
const LOOK: Duration = Duration::from_millis(50);
const RUN_MAX: Duration = Duration::from_secs(120);

pub(crate) async fn measure(bench: &Bench) -> anyhow::Result<Vec<Record>> {
    let (tasks, spawns) = (bench.size(TASKS), bench.size(SPAWNS));
    let at_a_time = std::thread::available_parallelism().map_or(1, usize::from) * SLOTS_PER_CORE;
    let home = Home::new(bench)?;
    let file = home.file("witness");
    let home = home
        .dag("bare", &dags::fan("bare", tasks, "run: \"true\""))?
        .dag("witness", &dags::fan("witness", tasks, &dags::witness(&file)))?;
    let before = SpawnLimits::measure(spawns, at_a_time).await?;
    eprintln!("limits: {}", before.describe());
    let server = Server::start(bench, &home).await?;
    let bare = run(&server, "bare", tasks).await?;
    let witness = run(&server, "witness", tasks).await?;
    server.stop().await?;
    let after = SpawnLimits::measure(spawns, at_a_time).await?;
    eprintln!("limits: {}", after.describe());
    verify(&home, &file, tasks).await?;
    ensure!(bare.forks >= tasks as u64, "{tasks} tasks, but only {} processes were started", bare.forks);
    let mut store = store::open(&home.data()).await?;
    let limits = before.mean(after);
    let mut records = Vec::new();
    for (name, dag, measured) in
        [("process_tasks_per_s", "bare", bare), ("process_witnessed_tasks_per_s", "witness", witness)]
    {
        let times = store::runs(&mut store, dag).await?;
        let times = times.first().context("the run is gone")?;
        let rate = tasks as f64 * 1e6 / (times.finished_at - times.created_at) as f64;
        records.push(
            Record::new(name, rate, "tasks/s")
                .with("n", tasks)
                .with("slots", at_a_time)
                .limit("bare spawns/s of /bin/true", limits.bare_true)
                .number("ratio_to_bash", rate / limits.bash)
                .number("ratio_to_bash_two_pipes", rate / limits.bash_piped)
                .with("aim_ratio", AIM_RATIO)
                .with("limits_before", before.describe())
                .with("limits_after", after.describe())
                .number(
                    "cpu_rota_us_per_task",
                    (measured.cpu.user + measured.cpu.system) * 1e6 / tasks as f64,
                )
                .number("cpu_tasks_us_per_task", measured.cpu.children * 1e6 / tasks as f64),
        );
    }
    Ok(records)
}

struct Measured {
    cpu: Cpu,
    /// Processes and threads that the whole machine started meanwhile.
    forks: u64,
}

async fn run(server: &Server, dag: &str, tasks: usize) -> anyhow::Result<Measured> {
    eprintln!("{tasks} processes ({dag})");
    server.dag_known(dag).await?;
    let (cpu, forks) = (Cpu::of(server.pid())?, process::forks()?);
    let id = server.trigger(dag).await?;
    server.run_ended(id, LOOK, RUN_MAX).await?;
    Ok(Measured { cpu: Cpu::of(server.pid())?.since(cpu), forks: process::forks()? - forks })
}

/// The store says that every task ran once; so does the witness file, line by line.
async fn verify(home: &Home, file: &Path, tasks: usize) -> anyhow::Result<()> {
    let mut store = store::open(&home.data()).await?;
    for dag in ["bare", "witness"] {
        store::verify(&mut store, dag, Expected { runs: 1, tasks, processes: tasks }).await?;
    }
    let text = std::fs::read_to_string(file).context("cannot read the witness file")?;
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for line in text.lines() {
        *seen.entry(line).or_default() += 1;
    }
    let names = (1..tasks).map(|no| format!("t{no} 1")).chain(["root 1".to_owned()]);
    for name in names {
        let times = seen.remove(name.as_str()).unwrap_or(0);
        ensure!(times == 1, "the witness file has `{name}` {times} times instead of once");
    }
    ensure!(seen.is_empty(), "the witness file has lines of no task: {seen:?}");
    Ok(())
}
