//! From settings to the options of the clustered adapters, checked before anything starts.

use rota_backend::{EtcdOptions, EtcdTls, PeerOptions, PostgresOptions, QueueKind, RabbitOptions};
use rota_core::id::ReplicaId;
use rota_kit::host::host_name;

use super::config::{Config, leader_ttl, pair};
use super::keys;
use super::roles::Role;
use crate::failure::Failure;

/// Where schedulers listen for each other unless told otherwise.
const PEER_LISTEN: &str = "127.0.0.1:7685";

/// Where a process finds its services.
pub(super) struct ServiceOptions {
    /// The database.
    pub(super) database: PostgresOptions,
    /// The broker.
    pub(super) broker: RabbitOptions,
    /// The election, in a scheduler.
    pub(super) election: Option<EtcdOptions>,
}

impl ServiceOptions {
    /// Checks the settings of all services that a process of this kind uses.
    pub(super) fn of(config: &Config, role: &Role, name: &str) -> anyhow::Result<Self> {
        let title = format!("rota {} {name}", role.word());
        let election = match role {
            Role::Scheduler(_) => Some(election(config, ReplicaId::trusted(name))?),
            Role::Worker(_) | Role::Web(_) => None,
        };
        Ok(Self { database: database(config, &title)?, broker: broker(config, &title)?, election })
    }
}

/// The database's address.
pub(super) fn database(config: &Config, title: &str) -> anyhow::Result<PostgresOptions> {
    let url = config.needed(keys::DATABASE_URL, "postgres://user:password@host:5432/database")?;
    Ok(PostgresOptions::new(&url, title).map_err(|error| {
        config
            .refuse(keys::DATABASE_URL, "postgres://user:password@host:5432/database")
            .help(error.to_string())
    })?)
}

fn broker(config: &Config, title: &str) -> anyhow::Result<RabbitOptions> {
    let urls = config.needed_list(keys::BROKER_URLS, "amqp://user:password@host:5672/vhost")?;
    let mut options = RabbitOptions::new(urls, title);
    options.kind = match config.text(keys::BROKER_QUEUES)?.as_deref() {
        None | Some("classic") => QueueKind::Classic,
        Some("quorum") => QueueKind::Quorum,
        Some(_) => return Err(config.refuse(keys::BROKER_QUEUES, "quorum or classic").into()),
    };
    if let Some(prefix) = config.text(keys::BROKER_PREFIX)? {
        options.prefix = prefix;
    }
    options.ca_file = config.path(keys::BROKER_CA)?;
    options.validate().map_err(|error| Failure::usage(error.0).at(config.place(keys::BROKER_URLS)))?;
    Ok(options)
}

fn election(config: &Config, replica: ReplicaId) -> anyhow::Result<EtcdOptions> {
    let endpoints = config.needed_list(keys::ETCD_ENDPOINTS, "http://host:2379,http://other:2379")?;
    let mut options = EtcdOptions::new(endpoints, replica);
    options.ttl = leader_ttl(config)?;
    if let Some(prefix) = config.text(keys::ETCD_PREFIX)? {
        options.prefix = if prefix.ends_with('/') { prefix } else { format!("{prefix}/") };
    }
    options.user = match (config.text(keys::ETCD_USER)?, config.text(keys::ETCD_PASSWORD)?) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        _ => return Err(pair(config, keys::ETCD_USER, keys::ETCD_PASSWORD).into()),
    };
    options.tls = tls(config)?;
    options.peer = peer(config)?;
    options.validate().map_err(|error| Failure::usage(error.0).at(config.place(keys::ETCD_ENDPOINTS)))?;
    Ok(options)
}

fn tls(config: &Config) -> anyhow::Result<Option<EtcdTls>> {
    let cert = match (config.path(keys::ETCD_CERT)?, config.path(keys::ETCD_KEY)?) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => return Err(pair(config, keys::ETCD_CERT, keys::ETCD_KEY).into()),
    };
    let tls = EtcdTls { ca: config.path(keys::ETCD_CA)?, cert, domain: config.text(keys::ETCD_DOMAIN)? };
    Ok((tls != EtcdTls::default()).then_some(tls))
}

/// The fast path between schedulers; `off` turns it off.
fn peer(config: &Config) -> anyhow::Result<Option<PeerOptions>> {
    if config.text(keys::PEER_LISTEN)?.as_deref() == Some("off") {
        return Ok(None);
    }
    let listen = config.address(keys::PEER_LISTEN, PEER_LISTEN)?;
    let advertise = match config.text(keys::PEER_ADVERTISE)? {
        Some(advertise) => advertise,
        None if listen.ip().is_unspecified() => format!("{}:{}", host_name(), listen.port()),
        None => listen.to_string(),
    };
    if advertise.rsplit_once(':').is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err()) {
        return Err(config
            .refuse(keys::PEER_ADVERTISE, "host:port, as other schedulers reach this one")
            .into());
    }
    Ok(Some(PeerOptions { listen, advertise }))
}
