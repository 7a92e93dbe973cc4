//! `rota standalone`: everything in one process, nothing installed.
//!
//! This is the same scheduler, worker and web as a cluster runs, on the embedded ports. Start: claim the data directory,
//! settle the token, listen, then start the loops. Stop: one token tells all loops; running tasks get their grace time.

pub(crate) mod address_file;
mod banner;
mod process;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rota_backend::DataDir;
use rota_web::Certificate;
use rota_worker::{Account, Limits};
use rustix::fs::Mode;

use crate::failure::{CommandResult, Failure};
use crate::log::LogArg;
use crate::process::cautions as found;
use crate::process::confine::{Confinement, UMASK_DEFAULT};
use crate::process::life::run_to_end;
use crate::process::listen::{self, Secrecy, no_certificate};

const EXAMPLES: &str = "\
Examples:
  rota standalone
      the DAGs in ./dags, state in ./rota-data
  rota standalone --dags ~/dags --data ~/rota
      other places
  rota standalone --slots 4 --listen 127.0.0.1:0
      at most four processes at a time, any free port
  ROTA_ADMIN_TOKEN=$(cat secret) rota standalone --listen 0.0.0.0:7682 \\
      --cert rota.pem --key rota.key
      for other machines too; needs a token of at least 20 characters

Ctrl-C ends it once running tasks have had their grace time; a second Ctrl-C
ends it at once. Nothing is lost either way: the next start goes on where this
one stopped.";

/// Run scheduler, worker and dashboard in one process, with nothing else installed
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Directory of DAG files (all *.yaml and *.yml below it)
    #[arg(long, env = "ROTA_DAGS", value_name = "DIR", default_value = "dags")]
    dags: PathBuf,
    /// Directory of rota's own state
    #[arg(long, env = "ROTA_DATA", value_name = "DIR", default_value = "rota-data")]
    data: PathBuf,
    /// Where the dashboard and the API listen
    #[arg(long, env = "ROTA_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:7682")]
    listen: SocketAddr,
    /// A name by which other machines reach the dashboard (may be repeated) [default: this machine's name]
    #[arg(long, env = "ROTA_HOSTS", value_name = "NAME", value_delimiter = ',')]
    host: Vec<String>,
    /// Processes that run at a time [default: four per core]
    #[arg(long, env = "ROTA_WORKER_SLOTS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    slots: Option<u32>,
    /// Another user for the tasks, who cannot read rota's token and state; only when rota runs as root [default: rota's own]
    #[arg(long, env = "ROTA_WORKER_USER", value_name = "NAME")]
    user: Option<String>,
    #[command(flatten)]
    confinement: ConfinementArgs,
    #[command(flatten)]
    secrecy: SecrecyArgs,
    #[command(flatten)]
    log: LogArg,
}

/// What tasks may do and use.
#[derive(Debug, clap::Args)]
struct ConfinementArgs {
    /// The permissions that files of tasks go without, in octal digits
    #[arg(long, env = "ROTA_WORKER_UMASK", value_name = "MODE", default_value = UMASK_DEFAULT, value_parser = Confinement::umask)]
    umask: Mode,
    /// Tasks cannot gain rights by what they run: sudo, ping and most mailers then fail in them
    #[arg(long, env = "ROTA_WORKER_NO_NEW_PRIVILEGES")]
    no_new_privileges: bool,
    /// What each process of a task may use, such as memory=4GiB,processes=200 [default: what rota may]
    #[arg(long, env = "ROTA_WORKER_LIMITS", value_name = "NAME=VALUE", value_delimiter = ',')]
    limit: Vec<String>,
}

/// How the dashboard is kept from being read by others on the way.
#[derive(Debug, clap::Args)]
struct SecrecyArgs {
    /// A PEM file with the dashboard's certificate, for https://; goes with --key
    #[arg(long, env = "ROTA_WEB_CERT", value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// A PEM file with its private key
    #[arg(long, env = "ROTA_WEB_KEY", value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// People reach it through a proxy that speaks TLS
    #[arg(long, env = "ROTA_WEB_TLS")]
    tls_proxy: bool,
    /// Speak plain HTTP to other machines too
    #[arg(long, env = "ROTA_WEB_INSECURE")]
    insecure: bool,
}

impl SecrecyArgs {
    /// The certificate, and whether cookies go over TLS only.
    fn settle(self, listen: SocketAddr) -> anyhow::Result<(Option<Certificate>, bool)> {
        let certificate = match (self.cert, self.key) {
            (Some(certificate), Some(key)) => {
                let loaded = Certificate::load(certificate, key);
                Some(loaded.map_err(|error| no_certificate(&error).at("--cert and --key"))?)
            }
            _ => None,
        };
        let secrecy = match (&certificate, self.tls_proxy, self.insecure) {
            (Some(_), _, _) => Secrecy::OwnTls,
            (None, true, _) => Secrecy::Proxy,
            (None, false, true) => Secrecy::Waived,
            (None, false, false) => Secrecy::None,
        };
        secrecy.check(listen)?;
        Ok((certificate, matches!(secrecy, Secrecy::OwnTls | Secrecy::Proxy)))
    }
}

/// Runs it until it is told to stop.
pub(crate) fn run(args: Args) -> CommandResult {
    args.log.start()?;
    let limits = Limits::parse(args.confinement.limit.iter().map(String::as_str).filter(|it| !it.is_empty()))
        .map_err(|why| Failure::usage(why).at("--limit"))?;
    check_dags(&args.dags)?;
    let chosen = std::env::var("ROTA_ADMIN_TOKEN").ok().filter(|token| !token.is_empty());
    listen::check(args.listen, chosen.is_some())?;
    let run_as = args.user.as_deref().map(account).transpose()?;
    found::tell(&cautions(&args.dags, chosen.as_deref(), run_as.as_ref()));
    let (certificate, tls) = args.secrecy.settle(args.listen)?;
    let data = DataDir::acquire(&args.data).map_err(|error| Failure::failed(error.to_string()))?;
    if let Some(account) = &run_as {
        account.let_through(data.path()).map_err(|why| Failure::failed(why).at("--user"))?;
    }
    let ConfinementArgs { umask, no_new_privileges, .. } = args.confinement;
    let confinement = Confinement { umask, no_new_privileges };
    confinement.settle().context("this process's limits cannot be set")?;
    let setup = process::StandaloneSetup {
        token: address_file::settle_token(data.path(), chosen)?,
        listener: listen::bind(args.listen)?,
        hosts: listen::hosts(args.listen, args.host),
        dags: std::path::absolute(&args.dags)?,
        slots: args.slots,
        run_as,
        limits,
        certificate,
        tls,
        data,
    };
    run_to_end(process::run(setup))
}

/// Whom tasks run as.
fn account(name: &str) -> anyhow::Result<Account> {
    let found = Account::find(name);
    Ok(found.map_err(|why| {
        Failure::usage(why).at("--user").expected("a user of this machine, while rota is started by root")
    })?)
}

/// What is dangerous, though it works.
fn cautions(dags: &Path, token: Option<&str>, run_as: Option<&Account>) -> Vec<String> {
    // Another user for tasks can only be had by root.
    let root = if run_as.is_none() { found::root(found::AND_ITS_TASKS) } else { None };
    let token = token.and_then(|token| found::token(token, "ROTA_ADMIN_TOKEN"));
    [root, found::dags(dags), token].into_iter().flatten().collect()
}

fn check_dags(dags: &Path) -> anyhow::Result<()> {
    if dags.is_dir() {
        return Ok(());
    }
    Err(Failure::usage("there is no directory of DAG files")
        .at(dags.display().to_string())
        .expected("a directory; it may be empty")
        .help("make it, or name another one with --dags")
        .into())
}
