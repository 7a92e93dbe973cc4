//! What an etcd election is told, checked once. Never talks to etcd.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};
use rota_core::id::ReplicaId;
use rota_core::port::LeadershipError;

/// How long making a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Between two HTTP/2 pings on a silent connection, and how long an answer to one may take.
///
/// etcd by default closes a connection that pings more than three times without getting any data (it calls that too
/// many pings), so each connection here also asks for something at least every [`super::QUIET_MAX`].
const PING: Duration = Duration::from_secs(1);

/// Options of an [`super::EtcdLeadership`].
#[derive(Clone)]
pub struct EtcdOptions {
    /// Addresses of etcd's members, like `http://10.0.0.1:2379`. One is used at a time; when it fails, the next.
    pub endpoints: Vec<String>,
    /// This replica's name, different from all others in the election.
    pub replica: ReplicaId,
    /// How long after a leader's last sign of life its seat is free. etcd may grant more: at least one and a half of its
    /// election timeout (2 s with its defaults).
    pub ttl: Duration,
    /// The start of all keys, ending with a slash: one election per prefix.
    pub prefix: String,
    /// User and password, if etcd asks for them.
    pub user: Option<(String, String)>,
    /// For `https` endpoints: what differs from the system's own certificates.
    pub tls: Option<EtcdTls>,
    /// The fast path between replicas; without it a dead leader is followed after [`EtcdOptions::ttl`].
    pub peer: Option<PeerOptions>,
}

/// Certificates, all as PEM files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EtcdTls {
    /// Who signed etcd's certificate; the system's certificates otherwise.
    pub ca: Option<PathBuf>,
    /// This client's certificate and its key.
    pub cert: Option<(PathBuf, PathBuf)>,
    /// The name in etcd's certificate, where it is not the name in the endpoint.
    pub domain: Option<String>,
}

/// Where replicas reach each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerOptions {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The same as others reach it, `host:port`.
    pub advertise: String,
}

impl EtcdOptions {
    /// Options with a TTL of 5 s, prefix `/rota/`, no user, no special certificates and no fast path.
    pub fn new(endpoints: Vec<String>, replica: ReplicaId) -> Self {
        Self {
            endpoints,
            replica,
            ttl: Duration::from_secs(5),
            prefix: "/rota/".to_owned(),
            user: None,
            tls: None,
            peer: None,
        }
    }

    /// Checks everything that can be checked without etcd.
    ///
    /// # Errors
    /// In words: no or wrong endpoints, a wrong prefix, unreadable certificates.
    pub fn validate(&self) -> Result<(), LeadershipError> {
        for endpoint in self.endpoints_checked()? {
            self.connect_options(if endpoint.starts_with("https://") { TlsMode::On } else { TlsMode::Off })?;
        }
        Ok(())
    }

    /// The TTL as etcd takes it.
    pub(super) fn ttl_s(&self) -> i64 {
        i64::try_from(self.ttl.as_millis().div_ceil(1000).max(1)).unwrap_or(i64::MAX)
    }

    /// The endpoints with their scheme, or what is wrong with the options.
    pub(super) fn endpoints_checked(&self) -> Result<Vec<String>, LeadershipError> {
        if self.endpoints.is_empty() {
            return Err(LeadershipError(
                "no etcd endpoint is given: expected one or more like http://host:2379".into(),
            ));
        }
        if !self.prefix.starts_with('/') || !self.prefix.ends_with('/') {
            return Err(LeadershipError(format!(
                "the etcd prefix is `{}`: expected it to start and end with a slash, like /rota/",
                self.prefix
            )));
        }
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let full = |given: &String| {
            if given.contains("://") { given.clone() } else { format!("{scheme}://{given}") }
        };
        let endpoints: Vec<String> = self.endpoints.iter().map(full).collect();
        for endpoint in &endpoints {
            let is_tls = endpoint.starts_with("https://");
            if !is_tls && !endpoint.starts_with("http://") {
                return Err(LeadershipError(format!(
                    "etcd endpoint {endpoint}: expected http:// or https://"
                )));
            }
            if !is_tls && self.tls.is_some() {
                return Err(LeadershipError(format!(
                    "etcd endpoint {endpoint} is not https, but certificates are given for it"
                )));
            }
        }
        Ok(endpoints)
    }

    /// The client's options, without the user.
    pub(super) fn connect_options(&self, is_tls: TlsMode) -> Result<ConnectOptions, LeadershipError> {
        let options = ConnectOptions::new()
            .with_connect_timeout(CONNECT_MAX)
            .with_keep_alive(PING, PING)
            .with_keep_alive_while_idle(false)
            .with_require_leader(true);
        match is_tls {
            TlsMode::Off => Ok(options),
            TlsMode::On => Ok(options.with_tls(self.tls.clone().unwrap_or_default().load()?)),
        }
    }

    /// The client's options with the user.
    pub(super) fn with_user(&self, options: ConnectOptions) -> ConnectOptions {
        match &self.user {
            Some((name, password)) => options.with_user(name, password).with_auto_token_refresh(true),
            None => options,
        }
    }
}

impl fmt::Debug for EtcdOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdOptions")
            .field("endpoints", &self.endpoints)
            .field("replica", &self.replica)
            .field("ttl", &self.ttl)
            .field("prefix", &self.prefix)
            .field("user", &self.user.as_ref().map(|(name, _)| name))
            .field("tls", &self.tls)
            .field("peer", &self.peer)
            .finish()
    }
}

/// Whether an endpoint speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TlsMode {
    /// `https`.
    On,
    /// `http`.
    Off,
}

impl EtcdTls {
    fn load(&self) -> Result<TlsOptions, LeadershipError> {
        let mut tls = match &self.ca {
            Some(ca) => TlsOptions::new().ca_certificate(Certificate::from_pem(pem(ca)?)),
            None => TlsOptions::new().with_enabled_roots(),
        };
        if let Some((cert, key)) = &self.cert {
            tls = tls.identity(Identity::from_pem(pem(cert)?, pem(key)?));
        }
        if let Some(domain) = &self.domain {
            tls = tls.domain_name(domain);
        }
        Ok(tls)
    }
}

fn pem(path: &Path) -> Result<Vec<u8>, LeadershipError> {
    let bytes = std::fs::read(path);
    let bytes = bytes.map_err(|error| LeadershipError(format!("cannot read {}: {error}", path.display())))?;
    if !bytes.windows(11).any(|window| window == b"-----BEGIN ") {
        return Err(LeadershipError(format!("{} is not a PEM file: expected -----BEGIN ..", path.display())));
    }
    Ok(bytes)
}
