//! rota's benchmarks: one program that drives the real `rota` binary and prints one JSON line per figure.
//!
//! Each figure is verified (every task really ran, once) and stands beside the machine's own limit, measured in the
//! same run. Progress goes to stderr, figures to stdout; a figure that could not be verified makes the program exit
//! with 1. `docs/benchmarks.md` says what each figure means. This program never changes what it measures: it starts
//! `rota standalone`, or a cluster on private services, as anyone would, talks to its REST API, and reads its store after
//! it has stopped.

mod clock;
mod dags;
mod figures;
mod home;
mod limits;
mod process;
mod record;
mod server;
mod stamp;
mod stats;
mod store;
mod tap;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use rota_tests::services::together::Services;
use tokio::signal::unix::{SignalKind, signal};

use crate::figures::{Bench, Figure};
use crate::record::Record;

/// The longest that one figure may take, a clean clone apart.
const FIGURE_MAX: Duration = Duration::from_secs(600);
/// The longest that a clean clone may take.
const CLEAN_CLONE_MAX: Duration = Duration::from_secs(3 * 3600);

const EXAMPLES: &str = "\
Examples:
  cargo build --release -p rota -p rota-bench
  target/release/rota-bench                        every figure (about six minutes)
  target/release/rota-bench noop-fan edge          two of them
  target/release/rota-bench --cluster              what can be measured of a scheduler, a worker and a web server on
                                                   private etcd, RabbitMQ and Postgres (which have to be installed)
  target/release/rota-bench --quick                small sizes, to see that everything works
  target/release/rota-bench clean-clone --clean-clone /var/tmp/clone
                                                   both README commands in a fresh clone of this repository";

/// Measures rota: one JSON line per figure on stdout, progress on stderr
#[derive(Debug, Parser)]
#[command(name = "rota-bench", after_help = EXAMPLES, max_term_width = 110)]
struct Args {
    /// What to measure [default: everything that fits but clean-clone]
    #[arg(value_enum)]
    figures: Vec<Figure>,
    /// The binary to measure [default: `rota` beside this program]
    #[arg(long, value_name = "FILE")]
    rota: Option<PathBuf>,
    /// Where stores and witness files go; must not be in memory
    #[arg(long, value_name = "DIR", default_value_os_t = std::env::temp_dir())]
    dir: PathBuf,
    /// Measure a cluster instead of a standalone rota
    #[arg(long)]
    cluster: bool,
    /// Sizes of a tenth: shows that everything works, measures little
    #[arg(long)]
    quick: bool,
    /// Keep the stores and logs
    #[arg(long)]
    keep: bool,
    /// Processes that rota runs at a time [default: rota's own default]
    #[arg(long, value_name = "N")]
    slots: Option<u32>,
    /// A directory to be made for the clone that the figure `clean-clone` builds
    #[arg(long, value_name = "DIR")]
    clean_clone: Option<PathBuf>,
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == stamp::COMMAND) {
        return stamp::main(words.next());
    }
    match run(Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(args: Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("the async runtime cannot be started")?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            code = measure(args) => code,
            // Dropping the measurement kills the processes it started.
            _ = interrupt.recv() => bail!("interrupted"),
            _ = terminate.recv() => bail!("terminated"),
        }
    })
}

async fn measure(args: Args) -> anyhow::Result<ExitCode> {
    let me = std::env::current_exe().context("cannot find this program's own file")?;
    let rota = args.rota.unwrap_or_else(|| me.with_file_name("rota"));
    let rota = std::path::absolute(rota)?;
    if !rota.is_file() {
        bail!("{} is not there: run `cargo build --release -p rota`, or give --rota", rota.display());
    }
    let file_system = home::file_system(&args.dir)?;
    if file_system == "tmpfs" {
        bail!(
            "{} is in memory (tmpfs): give --dir on a disk, or the store costs nothing",
            args.dir.display()
        );
    }
    let Args { figures: mut chosen, dir, quick, keep, slots, clean_clone, cluster, .. } = args;
    if let Some(other) = chosen.iter().find(|it| !it.fits(cluster)) {
        let advice = if cluster { "leave out" } else { "give" };
        bail!("{} cannot be measured like this: {advice} --cluster", other.name());
    }
    if chosen.is_empty() {
        chosen = Figure::defaults(cluster);
    }
    let services = cluster.then(|| tokio::task::block_in_place(Services::start));
    let bench = Bench { rota, me, dir, quick, keep, slots, services, clean_clone };
    figures::machine(&bench, file_system).print();
    let mut is_good = true;
    for figure in chosen {
        is_good &= one(&bench, figure).await;
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Measures one figure; whether it was verified.
async fn one(bench: &Bench, figure: Figure) -> bool {
    let name = figure.name();
    eprintln!("== {name}");
    let limit = if figure == Figure::CleanClone { CLEAN_CLONE_MAX } else { FIGURE_MAX };
    let outcome = match tokio::time::timeout(limit, Box::pin(figure.measure(bench))).await {
        Ok(outcome) => outcome,
        Err(_) => Err(anyhow::anyhow!("took longer than {} s", limit.as_secs())),
    };
    match outcome {
        Ok(records) => {
            let load = process::load();
            for record in records {
                let record = if bench.services.is_some() { record.prefixed("cluster_") } else { record };
                record.with("load_1m", load.as_str()).with("quick", bench.quick).print();
            }
            true
        }
        Err(error) => {
            eprintln!("{name}: {error:#}");
            Record::failed(&name, &format!("{error:#}")).print();
            false
        }
    }
}
