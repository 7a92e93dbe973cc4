//! What each kind of process is told, checked before anything starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rota_core::id::{QueueName, ReplicaId, WorkerId};
use rota_core::port::Object;
use rota_kit::host::host_name;
use rota_web::Certificate;
use rota_worker::{Account, LEASE_DEFAULT, LEASE_MIN, Limits, SLOTS_MAX, Tenure, WorkerOptions};

use super::Command;
use super::config::{Config, pair, retention};
use super::keys;
use crate::failure::Failure;
use crate::process::confine::{Confinement, UMASK_DEFAULT};
use crate::process::listen::{self, Secrecy};
use crate::process::token::{self, TOKEN_CHARS_MIN};
use crate::process::zone;

/// A kind of process, with its settings.
pub(super) enum Role {
    /// Leads or stands by.
    Scheduler(Box<rota_scheduler::Options>),
    /// Runs tasks.
    Worker(Box<WorkerOptions>),
    /// Shows and takes wishes.
    Web(Box<rota_web::Options>),
}

impl Role {
    /// Checks the settings of a command's process.
    pub(super) fn of(command: &Command, config: &Config) -> anyhow::Result<Self> {
        Ok(match command {
            Command::Scheduler(_) => Self::Scheduler(Box::new(scheduler(config)?)),
            Command::Worker(_) => Self::Worker(Box::new(worker(config)?)),
            Command::Web(_) => Self::Web(Box::new(web(config)?)),
        })
    }

    /// The word for it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Scheduler(_) => "scheduler",
            Self::Worker(_) => "worker",
            Self::Web(_) => "web",
        }
    }

    /// Where it listens.
    pub(super) fn listen(&self, config: &Config) -> anyhow::Result<SocketAddr> {
        let default = match self {
            Self::Scheduler(_) => "127.0.0.1:7683",
            Self::Worker(_) => "127.0.0.1:7684",
            Self::Web(_) => WEB_LISTEN,
        };
        config.address(keys::LISTEN, default)
    }
}

const WEB_LISTEN: &str = "127.0.0.1:7682";

/// The process's name.
pub(super) fn name(config: &Config) -> anyhow::Result<String> {
    let name = config.text(keys::NAME)?.unwrap_or_else(host_name);
    let is_good = !name.is_empty()
        && name.len() <= 128
        && !name.chars().any(|c| c.is_control() || matches!(c, '=' | '/'));
    if is_good {
        Ok(name)
    } else {
        Err(config.refuse(keys::NAME, "1 to 128 characters without `=` and `/`").into())
    }
}

fn directory(config: &Config, key: keys::Key) -> anyhow::Result<Option<PathBuf>> {
    let Some(path) = config.path(key)? else { return Ok(None) };
    if !path.is_dir() {
        return Err(config
            .refuse(key, "a directory; it may be empty")
            .help("make it, or leave the setting out")
            .into());
    }
    Ok(Some(std::path::absolute(path)?))
}

fn scheduler(config: &Config) -> anyhow::Result<rota_scheduler::Options> {
    let mut options = rota_scheduler::Options::new(ReplicaId::trusted(name(config)?));
    options.dags_dir = directory(config, keys::SCHEDULER_DAGS)?;
    options.retention = retention(config)?;
    Ok(options)
}

fn worker(config: &Config) -> anyhow::Result<WorkerOptions> {
    let data = config.path(keys::WORKER_DATA)?.unwrap_or_else(|| PathBuf::from("rota-worker"));
    let mut options = WorkerOptions::new(WorkerId::trusted(name(config)?), std::path::absolute(data)?);
    options.dags_dir = directory(config, keys::WORKER_DAGS)?;
    if let Some(slots) = config.number(keys::WORKER_SLOTS)? {
        if slots == 0 || slots > SLOTS_MAX {
            return Err(config.refuse(keys::WORKER_SLOTS, &format!("1 to {SLOTS_MAX}")).into());
        }
        options.slots = slots;
    }
    if let Some(queues) = config.list(keys::WORKER_QUEUES)? {
        let parsed: Result<Vec<QueueName>, _> = queues.iter().map(|queue| queue.parse()).collect();
        options.queues = parsed
            .map_err(|error| config.refuse(keys::WORKER_QUEUES, "names of queues").help(error.to_string()))?;
    }
    if let Some(user) = config.text(keys::WORKER_USER)? {
        let account = Account::find(&user);
        let expected = "a user of this machine for the tasks, while rota is started by root";
        options.run_as = Some(account.map_err(|why| config.refuse(keys::WORKER_USER, expected).help(why))?);
    }
    options.labels = labels(config)?;
    options.limits = limits(config)?;
    let lease = config.duration(keys::WORKER_LEASE, LEASE_DEFAULT)?;
    if lease < LEASE_MIN {
        return Err(config.refuse(keys::WORKER_LEASE, &format!("at least {LEASE_MIN:?}")).into());
    }
    options.tenure = Tenure::Lease(lease);
    options.drain_grace = config.duration(keys::WORKER_DRAIN_GRACE, Duration::from_secs(10))?;
    Ok(options)
}

/// What each process of a task may use.
fn limits(config: &Config) -> anyhow::Result<Limits> {
    let entries = config.list(keys::WORKER_LIMITS)?.unwrap_or_default();
    let expected = "limits such as memory=4GiB,processes=200";
    let limits = Limits::parse(entries.iter().map(String::as_str));
    Ok(limits.map_err(|why| config.refuse(keys::WORKER_LIMITS, expected).help(why))?)
}

/// What a process of this kind sets up for itself and what it starts.
pub(super) fn confinement(config: &Config, role: &Role) -> anyhow::Result<Confinement> {
    let (umask, no_new_privileges) = match role {
        Role::Worker(_) => (config.text(keys::WORKER_UMASK)?, config.is_on(keys::WORKER_NO_NEW_PRIVILEGES)?),
        // They start nothing.
        Role::Scheduler(_) | Role::Web(_) => (None, true),
    };
    let umask = Confinement::umask(umask.as_deref().unwrap_or(UMASK_DEFAULT));
    let refused = |why: String| {
        config
            .refuse(keys::WORKER_UMASK, "permissions to go without, in octal digits, such as 077 or 022")
            .help(why)
    };
    Ok(Confinement { umask: umask.map_err(refused)?, no_new_privileges })
}

fn labels(config: &Config) -> anyhow::Result<Object> {
    let mut labels = Object::new();
    for entry in config.list(keys::WORKER_LABELS)?.into_iter().flatten() {
        let Some((name, value)) = entry.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(config.refuse(keys::WORKER_LABELS, "labels such as zone=a,disk=ssd").into());
        };
        labels.insert(name.to_owned(), value.into());
    }
    Ok(labels)
}

fn web(config: &Config) -> anyhow::Result<rota_web::Options> {
    let listen = config.address(keys::LISTEN, WEB_LISTEN)?;
    let timezone = match config.text(keys::WEB_TIMEZONE)? {
        Some(name) => name
            .parse()
            .map_err(|_| config.refuse(keys::WEB_TIMEZONE, "an IANA zone such as Europe/Berlin"))?,
        None => zone(),
    };
    let hosts = config.list(keys::WEB_HOSTS)?.unwrap_or_default();
    let certificate = certificate(config)?;
    let is_behind_proxy = config.is_on(keys::WEB_TLS)?;
    let secrecy = match (&certificate, is_behind_proxy, config.is_on(keys::WEB_INSECURE)?) {
        (Some(_), _, _) => Secrecy::OwnTls,
        (None, true, _) => Secrecy::Proxy,
        (None, false, true) => Secrecy::Waived,
        (None, false, false) => Secrecy::None,
    };
    secrecy.check(listen)?;
    Ok(rota_web::Options {
        listen,
        place: config.text(keys::WEB_PLACE)?.unwrap_or_else(|| "cluster".to_owned()),
        timezone,
        admin_token: admin_token(config)?,
        hosts: listen::hosts(listen, hosts),
        tls: is_behind_proxy || certificate.is_some(),
        certificate,
    })
}

/// What the dashboard speaks TLS with.
fn certificate(config: &Config) -> anyhow::Result<Option<Certificate>> {
    match (config.path(keys::WEB_CERT)?, config.path(keys::WEB_KEY)?) {
        (Some(certificate), Some(key)) => {
            let loaded = Certificate::load(certificate, key);
            let places = format!("{} and {}", config.place(keys::WEB_CERT), config.place(keys::WEB_KEY));
            Ok(Some(loaded.map_err(|error| listen::no_certificate(&error).at(places))?))
        }
        (None, None) => Ok(None),
        _ => Err(pair(config, keys::WEB_CERT, keys::WEB_KEY).into()),
    }
}

/// Every dashboard of a cluster has the same token, so somebody has to choose it.
fn admin_token(config: &Config) -> anyhow::Result<String> {
    let Some(token) = config.text(keys::WEB_ADMIN_TOKEN)? else {
        return Err(Failure::usage("the dashboard has no admin token")
            .at(keys::WEB_ADMIN_TOKEN.variable)
            .expected(format!("at least {TOKEN_CHARS_MIN} random characters, the same for every web process"))
            .help("make one: head -c 24 /dev/urandom | base64")
            .into());
    };
    if !token::is_usable(&token) {
        return Err(config.refuse(keys::WEB_ADMIN_TOKEN, &token::expected()).into());
    }
    Ok(token)
}
