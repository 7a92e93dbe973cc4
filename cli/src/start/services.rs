//! From settings to the clustered adapters.

use std::sync::Arc;
use std::time::Duration;

use rota_backend::{
    EtcdLeadership, EtcdOptions, EtcdTls, PeerOptions, PostgresOptions, PostgresStore, QueueKind,
    RabbitBroker, RabbitOptions,
};
use rota_core::id::ReplicaId;

use super::config::{Config, leader_ttl};
use super::keys;
use crate::failure::Failure;
use crate::process::listen::host_name;

/// Where schedulers listen for each other unless told otherwise.
const PEER_LISTEN: &str = "127.0.0.1:7685";

/// The database's address.
pub(crate) fn database(config: &Config, name: &str) -> anyhow::Result<PostgresOptions> {
    let url = config.needed(keys::DATABASE_URL, "postgres://user:password@host:5432/database")?;
    Ok(PostgresOptions::new(&url, name).map_err(|error| {
        config
            .refuse(keys::DATABASE_URL, "postgres://user:password@host:5432/database")
            .help(error.to_string())
    })?)
}

/// A store that connects when it is used.
pub(super) fn store(config: &Config, name: &str) -> anyhow::Result<PostgresStore> {
    Ok(PostgresStore::new(database(config, name)?))
}

/// A broker that connects in the background.
pub(super) fn broker(config: &Config, name: &str) -> anyhow::Result<Arc<RabbitBroker>> {
    let urls = config.needed_list(keys::BROKER_URLS, "amqp://user:password@host:5672/vhost")?;
    let mut options = RabbitOptions::new(urls, name.to_owned());
    options.kind = match config.text(keys::BROKER_QUEUES)?.as_deref() {
        None | Some("classic") => QueueKind::Classic,
        Some("quorum") => QueueKind::Quorum,
        Some(_) => return Err(config.refuse(keys::BROKER_QUEUES, "quorum or classic").into()),
    };
    let broker = RabbitBroker::start(options).map_err(|error| {
        config.refuse(keys::BROKER_URLS, "amqp://user:password@host:5672/vhost").help(error.to_string())
    })?;
    Ok(Arc::new(broker))
}

/// An election that connects in the background.
pub(super) fn election(config: &Config, replica: ReplicaId) -> anyhow::Result<EtcdLeadership> {
    let endpoints = config.needed_list(keys::ETCD_ENDPOINTS, "http://host:2379,http://other:2379")?;
    let mut options = EtcdOptions::new(endpoints, replica);
    options.ttl = leader_ttl(config)?;
    if let Some(prefix) = config.text(keys::ETCD_PREFIX)? {
        options.prefix = if prefix.ends_with('/') { prefix } else { format!("{prefix}/") };
    }
    options.user = match (config.text(keys::ETCD_USER)?, config.text(keys::ETCD_PASSWORD)?) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        _ => return Err(Failure::usage("etcd.user and etcd.password go together").at("[etcd]").into()),
    };
    options.tls = tls(config)?;
    options.peer = peer(config)?;
    Ok(EtcdLeadership::start(options).map_err(|error| {
        config.refuse(keys::ETCD_ENDPOINTS, "addresses of etcd members").help(error.to_string())
    })?)
}

fn tls(config: &Config) -> anyhow::Result<Option<EtcdTls>> {
    let cert = match (config.path(keys::ETCD_CERT)?, config.path(keys::ETCD_KEY)?) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => return Err(Failure::usage("etcd.cert and etcd.key go together").at("[etcd]").into()),
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
    Ok(Some(PeerOptions { listen, advertise }))
}

/// How long finished runs are kept.
pub(super) fn retention(config: &Config) -> anyhow::Result<Duration> {
    config.duration(keys::SCHEDULER_RETENTION, Duration::from_secs(90 * 24 * 3600))
}
