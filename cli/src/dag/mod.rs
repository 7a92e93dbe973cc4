//! `rota dag`: DAG files here, and DAGs on a running server.

mod files;
mod list;
mod params;
mod pause;
mod schema;
mod show;
mod test;
mod trigger;
mod validate;

use clap::Subcommand;

use crate::client::block_on;
use crate::failure::CommandResult;

const EXAMPLES: &str = "\
Examples:
  rota dag validate dags            check files
  rota dag test dags/packages.yaml  run one here and now, without a server
  rota dag show dags/packages.yaml  its graph as text
  rota dag list                     the DAGs of a running server
  rota dag trigger packages --wait  run one there";

/// DAGs: check, test and draw files; list, trigger and pause on a server
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    Validate(validate::Args),
    Test(test::Args),
    Show(show::Args),
    Schema(schema::Args),
    List(list::Args),
    Trigger(trigger::Args),
    Pause(pause::PauseArgs),
    Unpause(pause::UnpauseArgs),
}

/// Carries out a `rota dag` command.
pub(crate) fn run(command: Command) -> CommandResult {
    match command {
        Command::Validate(args) => validate::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Show(args) => show::run(args),
        Command::Schema(args) => schema::run(&args),
        Command::List(args) => block_on(list::run(args)),
        Command::Trigger(args) => block_on(trigger::run(args)),
        Command::Pause(args) => block_on(pause::pause(args)),
        Command::Unpause(args) => block_on(pause::unpause(args)),
    }
}
