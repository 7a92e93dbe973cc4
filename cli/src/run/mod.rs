//! `rota run`: runs on a running server.

mod change;
mod list;
mod logs;
mod show;

use clap::Subcommand;

use crate::client::block_on;
use crate::failure::CommandResult;

pub(crate) use self::show::print_run;

const EXAMPLES: &str = "\
Examples:
  rota run list --dag packages --state failed
  rota run show 17
  rota run logs 17 report --follow
  rota run retry 17 --failed";

/// Runs: list, show, read logs, cancel, retry
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Command {
    List(list::Args),
    Show(show::Args),
    Logs(logs::Args),
    Cancel(change::CancelArgs),
    Retry(change::RetryArgs),
}

/// Carries out a `rota run` command.
pub(crate) fn run(command: Command) -> CommandResult {
    match command {
        Command::List(args) => block_on(list::run(args)),
        Command::Show(args) => block_on(show::run(args)),
        Command::Logs(args) => block_on(logs::run(args)),
        Command::Cancel(args) => block_on(change::cancel(args)),
        Command::Retry(args) => block_on(change::retry(args)),
    }
}
