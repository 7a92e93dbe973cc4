//! `rota worker`: the workers of a running server.

mod drain;
mod list;

use clap::Subcommand;

use crate::client::block_on;
use crate::failure::CommandResult;

const EXAMPLES: &str = "\
Examples:
  rota worker list
  rota worker drain node-3";

/// Workers: list, drain
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    List(list::Args),
    Drain(drain::Args),
}

/// Carries out a `rota worker` command.
pub(crate) fn run(command: Command) -> CommandResult {
    match command {
        Command::List(args) => block_on(list::run(args)),
        Command::Drain(args) => block_on(drain::run(args)),
    }
}
