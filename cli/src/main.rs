//! The `rota` binary: the only place where adapters meet loops, and where people meet both.
//!
//! Each command group is one module with its clap arguments, its help examples and its `run`. Exit codes: 0 it
//! worked, 1 the thing failed, 2 wrong usage. Who reads the output changes none of them (see `output`).

mod client;
mod dag;
mod failure;
mod file;
mod leader;
mod ledger;
mod log;
mod output;
mod process;
mod run;
mod schedule;
mod standalone;
mod start;
mod supervisor;
mod text;
mod time;
mod worker;
mod zones;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::failure::Outcome;

const EXAMPLES: &str = "\
Examples:
  rota standalone
      run the DAGs in ./dags, with a dashboard, nothing else needed
  rota dag validate dags
      check every DAG file under ./dags
  rota dag test dags/packages.yaml
      run one DAG here and now, without a server
  rota dag trigger packages --wait
      ask a running server for a run, and wait for its end
  rota schedule next '*/15 9-17 * * 1-5' --timezone Europe/Berlin

Exit codes: 0 it worked, 1 the thing failed, 2 wrong usage.";

/// A distributed cron and workflow scheduler.
#[derive(Debug, Parser)]
#[command(name = "rota", version, after_help = EXAMPLES, arg_required_else_help = true, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Standalone(standalone::Args),
    #[command(subcommand)]
    Start(start::Command),
    Migrate(start::migrate::Args),
    #[command(subcommand)]
    Dag(dag::Command),
    #[command(subcommand)]
    Run(run::Command),
    #[command(subcommand)]
    File(file::Command),
    #[command(subcommand)]
    Schedule(schedule::Command),
    #[command(subcommand)]
    Worker(worker::Command),
    Ledger(ledger::Args),
    Leader(leader::Args),
    /// Started by workers: keeps their tasks' processes in custody.
    #[command(name = "__warden", hide = true)]
    Warden,
}

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == rota_worker::STARTER) {
        return rota_worker::starter_main(args);
    }
    rota_core::schedule::zones_from(zones::read);
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(words) => return explain(&words),
    };
    let result = match command {
        Command::Standalone(args) => standalone::run(args),
        Command::Start(command) => start::run(command),
        Command::Migrate(args) => start::migrate::run(args),
        Command::Dag(command) => dag::run(command),
        Command::Run(command) => run::run(command),
        Command::File(command) => file::run(command),
        Command::Schedule(command) => schedule::run(command),
        Command::Worker(command) => worker::run(command),
        Command::Ledger(args) => ledger::run(args),
        Command::Leader(args) => leader::run(args),
        Command::Warden => return rota_worker::warden_main(),
    };
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(error) => failure::report(&error),
    }
}

/// Prints a help, the version, or what is wrong with the command line.
fn explain(words: &clap::Error) -> ExitCode {
    let printed = match words.kind() {
        ErrorKind::DisplayVersion => output::print_text(&version()),
        _ => output::print_clap(words),
    };
    match printed {
        Err(error) if !words.use_stderr() => failure::report(&error),
        _ => ExitCode::from(u8::try_from(words.exit_code()).unwrap_or(2)),
    }
}

/// What `rota --version` says: the zone data as well, because it decides when things are due.
fn version() -> String {
    let zones = rota_core::schedule::zone_data().describe();
    format!("rota {}\ntime zones: {}\n", env!("CARGO_PKG_VERSION"), text::clean(&zones))
}
