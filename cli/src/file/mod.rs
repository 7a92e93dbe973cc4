//! `rota file`: the DAG files of a running server.

mod list;

use clap::Subcommand;

use crate::client::block_on;
use crate::failure::CommandResult;

pub(crate) use self::list::note_broken;

const EXAMPLES: &str = "\
Examples:
  rota file list
  rota file list --broken  what a server cannot use, and why";

/// DAG files of a running server: which there are, and what is wrong with them
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    List(list::Args),
}

/// Carries out a `rota file` command.
pub(crate) fn run(command: Command) -> CommandResult {
    match command {
        Command::List(args) => block_on(list::run(args)),
    }
}
