//! The figures. Each module measures one thing and verifies it; all of them return records to be printed.

mod clean_clone;
mod edge;
mod late;
mod layered;
mod memory;
mod noop;
mod planner;
mod processes;
mod round_trips;
mod start;
mod store_path;
mod validate;

use std::path::PathBuf;

use clap::ValueEnum;
use rota_tests::services::together::Services;

use crate::process;
use crate::record::Record;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Figure {
    /// No-op tasks per second: runs of one DAG with 10,000 tasks
    NoopFan,
    /// No-op tasks per second: 2,000 runs of five tasks
    NoopRuns,
    /// Tasks per second through the store's ports alone, without loops
    StorePath,
    /// `run: "true"` tasks per second beside bare spawns
    Processes,
    /// From a task's end to its successor's start
    Edge,
    /// How late a cron job of every second starts
    Late,
    /// Resident memory, idle and with 1,000 DAGs
    Memory,
    /// From the server's start to the first finished task
    Start,
    /// `rota dag validate` of 1,000 files
    Validate,
    /// Round trips to Postgres per no-op task (with --cluster)
    RoundTrips,
    /// The planner alone: nanoseconds per edge
    Planner,
    /// Both commands of the README in a fresh clone (needs --clean-clone)
    CleanClone,
}

impl Figure {
    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it can be measured of a standalone rota, and of a cluster.
    const fn is_of(self) -> (bool, bool) {
        match self {
            Self::NoopFan | Self::NoopRuns | Self::StorePath | Self::Processes | Self::Edge | Self::Late => {
                (true, true)
            }
            Self::RoundTrips => (false, true),
            Self::Memory | Self::Start | Self::Validate | Self::Planner | Self::CleanClone => (true, false),
        }
    }

    /// What is measured unless something else is asked for. The clean clone takes as long as two builds.
    pub(crate) fn defaults(is_cluster: bool) -> Vec<Self> {
        let all = Self::value_variants().iter().copied();
        all.filter(|it| it.fits(is_cluster) && *it != Self::CleanClone).collect()
    }

    /// Whether it can be measured of this kind of rota.
    pub(crate) const fn fits(self, is_cluster: bool) -> bool {
        let (standalone, cluster) = self.is_of();
        if is_cluster { cluster } else { standalone }
    }

    /// Measures it.
    ///
    /// # Errors
    /// It could not be measured, or not be verified.
    pub(crate) async fn measure(self, bench: &Bench) -> anyhow::Result<Vec<Record>> {
        match self {
            Self::NoopFan => noop::fan(bench).await,
            Self::NoopRuns => noop::runs(bench).await,
            Self::StorePath => store_path::measure(bench).await,
            Self::Processes => processes::measure(bench).await,
            Self::Edge => edge::measure(bench).await,
            Self::Late => late::measure(bench).await,
            Self::Memory => memory::measure(bench).await,
            Self::Start => start::measure(bench).await,
            Self::Validate => validate::measure(bench).await,
            Self::RoundTrips => round_trips::measure(bench).await,
            Self::Planner => planner::measure(bench),
            Self::CleanClone => clean_clone::measure(bench).await,
        }
    }
}

/// What all figures share.
pub(crate) struct Bench {
    /// The binary that is measured.
    pub(crate) rota: PathBuf,
    /// This program, for stamps.
    pub(crate) me: PathBuf,
    /// Where homes are made.
    pub(crate) dir: PathBuf,
    /// Sizes of a tenth.
    pub(crate) quick: bool,
    /// Homes are kept.
    pub(crate) keep: bool,
    /// Processes at a time; rota's default if not given.
    pub(crate) slots: Option<u32>,
    /// The services of the cluster that is measured; none: a standalone rota is.
    pub(crate) services: Option<Services>,
    /// Where the fresh clone goes.
    pub(crate) clean_clone: Option<PathBuf>,
}

impl Bench {
    /// `full`, or a tenth of it.
    pub(crate) fn size(&self, full: usize) -> usize {
        if self.quick { (full / 10).max(1) } else { full }
    }
}

/// The first line: what this machine is.
pub(crate) fn machine(bench: &Bench, file_system: &str) -> Record {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Record::new("machine", cores as f64, "cores")
        .with("processor", process::processor())
        .with("load_1m", process::load())
        .with("store_dir", bench.dir.display().to_string())
        .with("file_system", file_system)
        .with("rota", bench.rota.display().to_string())
}
