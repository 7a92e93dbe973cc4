//! The log of the commands that run loops: to stderr, because stdout is for results.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// The `--log` of a command.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LogArg {
    /// What to log to stderr, in tracing's filter language (warn, info, rota_scheduler=debug)
    #[arg(long = "log", env = "RUST_LOG", value_name = "FILTER", default_value = "warn")]
    filter: String,
}

impl LogArg {
    /// Logs from now on.
    ///
    /// # Errors
    /// A filter that cannot be read.
    pub(crate) fn start(&self) -> anyhow::Result<()> {
        start(&self.filter)
    }
}

/// The `--log` of a process that nobody sits in front of: it says what it does.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StartLogArg {
    /// What to log to stderr, in tracing's filter language (warn, info, rota_scheduler=debug) [default: info of rota's own,
    /// warn of its libraries]
    #[arg(
        long = "log",
        env = "RUST_LOG",
        value_name = "FILTER",
        default_value = QUIET_OTHERS,
        hide_default_value = true
    )]
    filter: String,
}

/// The libraries' own words are for those who ask for them.
const QUIET_OTHERS: &str =
    "warn,rota=info,rota_backend=info,rota_scheduler=info,rota_worker=info,rota_web=info,lapin=off";

impl StartLogArg {
    /// As [`LogArg::start`].
    ///
    /// # Errors
    /// A filter that cannot be read.
    pub(crate) fn start(&self) -> anyhow::Result<()> {
        start(&self.filter)
    }
}

fn start(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::usage(format!("the log filter cannot be read: {error}")).at("--log or RUST_LOG").expected(
            "a level (error, warn, info, debug, trace), or targets with levels such as rota_scheduler=debug",
        )
    })?;
    let colours = io::stderr().is_terminal();
    // What the log would say of its own trouble goes to stderr with a macro that panics when stderr is the trouble.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colours)
        .log_internal_errors(false)
        .init();
    Ok(())
}
