//! `rota start scheduler|worker|web`: one process of a cluster, on Postgres, RabbitMQ and etcd.
//!
//! Any number of each, in any order, before or after their services: a process listens for its probes at once, waits for
//! what is missing and says so, and then runs the same loops as `rota standalone`.

mod cautions;
mod config;
mod file;
mod keys;
mod process;
mod roles;
mod service_watch;
mod services;

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;

use self::config::{Config, Flag};
use self::roles::Role;
use self::services::ServiceOptions;
use crate::failure::{CommandResult, Outcome};
use crate::log::StartLogArg;
use crate::output::{note, print_block};

const EXAMPLES: &str = "\
Examples:
  rota start scheduler --config /etc/rota/rota.toml --dags /srv/dags
  rota start worker --slots 16 --queues default,reports --labels zone=a
  ROTA_ADMIN_TOKEN=$(cat secret) ROTA_WEB_TLS=true rota start web \\
      --listen 0.0.0.0:7682 --hosts rota.example.org
      behind a proxy that speaks TLS; else ROTA_WEB_CERT and ROTA_WEB_KEY
  rota start worker --config rota.toml --check
      print the settings and check them, then end

Settings come from flags, else the environment (ROTA_DATABASE_URL,
ROTA_BROKER_URL, ROTA_ETCD_ENDPOINTS, ...), else the file: see
docs/configuration.md.";

/// Run one process of a cluster
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    Scheduler(SchedulerArgs),
    Worker(WorkerArgs),
    Web(WebArgs),
}

/// What all three are told.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// The configuration
    #[arg(long, env = "ROTA_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// This process's name, the same after a restart [default: this machine's name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where it listens: health, /leader, /metrics and, for web, the dashboard
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Print and check the settings, then end
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    log: StartLogArg,
}

/// Run a scheduler: one leads, the others stand by
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SchedulerArgs {
    #[command(flatten)]
    common: Common,
    /// Its directory of DAG files [default: none, it schedules what others have stored]
    #[arg(long, value_name = "DIR")]
    dags: Option<String>,
    /// Where it listens for other schedulers, for a fast fail-over [default: 127.0.0.1:7685; off: none]
    #[arg(long, value_name = "ADDR:PORT")]
    peer_listen: Option<String>,
    /// The same as the others reach it [default: that address, or this machine's name]
    #[arg(long, value_name = "HOST:PORT")]
    peer_advertise: Option<String>,
}

/// Run a worker: it claims tasks and runs their processes
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WorkerArgs {
    #[command(flatten)]
    common: Common,
    /// Processes that run at a time [default: four per core]
    #[arg(long, value_name = "N")]
    slots: Option<String>,
    /// The queues it serves [default: default]
    #[arg(long, value_name = "A,B")]
    queues: Option<String>,
    /// Its labels
    #[arg(long, value_name = "K=V,..")]
    labels: Option<String>,
    /// A directory of its own, kept across restarts [default: rota-worker]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Where this machine has the DAG files, if tasks are to start beside theirs
    #[arg(long, value_name = "DIR")]
    dags: Option<String>,
}

/// Run the dashboard and the API
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WebArgs {
    #[command(flatten)]
    common: Common,
    /// Names by which it is reached [default: this machine's name, if it listens for others]
    #[arg(long, value_name = "NAME,..")]
    hosts: Option<String>,
}

/// Runs the process until it is told to stop.
pub(crate) fn run(command: Command) -> CommandResult {
    let (common, flags) = match &command {
        Command::Scheduler(args) => (&args.common, scheduler_flags(args)),
        Command::Worker(args) => (&args.common, worker_flags(args)),
        Command::Web(args) => (&args.common, vec![(keys::WEB_HOSTS, "--hosts", args.hosts.clone())]),
    };
    let own =
        [(keys::NAME, "--name", common.name.clone()), (keys::LISTEN, "--listen", common.listen.clone())];
    let flags: Vec<Flag> = own.into_iter().chain(flags).collect();
    common.log.start()?;
    let config = Config::read(common.config.as_deref(), &flags)?;
    let role = Role::of(&command, &config)?;
    let confinement = roles::confinement(&config, &role)?;
    let name = roles::name(&config)?;
    let places = ServiceOptions::of(&config, &role, &name)?;
    let listen = role.listen(&config)?;
    let cautions = cautions::of(&config, &role)?;
    if common.check {
        print_block(&config.print(role.word()))?;
        for caution in cautions {
            note(&format!("caution: {caution}"));
        }
        return Ok(Outcome::Done);
    }
    crate::process::cautions::tell(&cautions);
    confinement.settle().context("this process's limits cannot be set")?;
    process::run(process::CheckedProcess { role, name, places, listen })
}

fn scheduler_flags(args: &SchedulerArgs) -> Vec<Flag> {
    vec![
        (keys::SCHEDULER_DAGS, "--dags", args.dags.clone()),
        (keys::PEER_LISTEN, "--peer-listen", args.peer_listen.clone()),
        (keys::PEER_ADVERTISE, "--peer-advertise", args.peer_advertise.clone()),
    ]
}

fn worker_flags(args: &WorkerArgs) -> Vec<Flag> {
    vec![
        (keys::WORKER_SLOTS, "--slots", args.slots.clone()),
        (keys::WORKER_QUEUES, "--queues", args.queues.clone()),
        (keys::WORKER_LABELS, "--labels", args.labels.clone()),
        (keys::WORKER_DATA, "--data", args.data.clone()),
        (keys::WORKER_DAGS, "--dags", args.dags.clone()),
    ]
}

/// Applies the schema's migrations.
pub(crate) mod migrate {
    use rota_core::port::StoreError;

    use super::{Config, keys, services};
    use crate::failure::{CommandResult, Failure, Outcome};
    use crate::output::print_line;

    const EXAMPLES: &str = "\
Examples:
  ROTA_DATABASE_URL=postgres://rota@db/rota rota migrate
  rota migrate --config /etc/rota/rota.toml

Processes that need the new schema wait for it. Those of an older rota end
when they see it, and do not start again: put the new program in place first.";

    /// Bring the database's schema up to date
    #[derive(Debug, clap::Args)]
    #[command(after_help = EXAMPLES)]
    pub(crate) struct Args {
        /// The configuration
        #[arg(long, env = "ROTA_CONFIG", value_name = "FILE")]
        config: Option<std::path::PathBuf>,
        /// The database; better given by ROTA_DATABASE_URL, which other users of this machine cannot see
        #[arg(long, value_name = "URL")]
        database_url: Option<String>,
    }

    /// Carries it out.
    pub(crate) fn run(args: Args) -> CommandResult {
        let config = Config::read(
            args.config.as_deref(),
            &[(keys::DATABASE_URL, "--database-url", args.database_url)],
        )?;
        let options = services::database(&config, "rota migrate")?;
        let runtime = crate::process::runtime()?;
        let applied =
            runtime.block_on(rota_backend::postgres_migrate(&options)).map_err(|error| match error {
                StoreError::Refused(why) => Failure::failed(why),
                error => Failure::failed(error.to_string())
                    .help("nothing is half applied: mend it and run `rota migrate` again"),
            })?;
        for name in &applied {
            print_line(&format!("applied {name}"))?;
        }
        if applied.is_empty() {
            print_line("the schema is up to date")?;
        }
        Ok(Outcome::Done)
    }
}
