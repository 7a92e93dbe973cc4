//! Which RabbitMQ, under which names, checked once before anything connects. Error texts never hold a URL, because URLs
//! hold passwords.

use std::path::PathBuf;

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use rota_core::port::BrokerError;

/// Seconds between heartbeats unless the URL says otherwise. A silent peer is given up after two of them.
const HEARTBEAT_S: u16 = 10;
/// Most bytes of a prefix: with a queue's name (128) it must fit AMQP's 255.
const PREFIX_BYTES_MAX: usize = 64;

/// How task queues are kept by the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueueKind {
    /// Replicated: for a RabbitMQ cluster of three nodes or more. Goes on while a majority lives, costs more per message.
    /// On a single node, one that was declared a moment before a crash never has a leader again (seen with 3.10.8).
    Quorum,
    /// On one node: the fastest, and while that node is away its queues are too. Workers look into the store then.
    #[default]
    Classic,
}

impl QueueKind {
    /// As `x-queue-type` wants it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quorum => "quorum",
            Self::Classic => "classic",
        }
    }
}

impl std::str::FromStr for QueueKind {
    type Err = BrokerError;

    fn from_str(text: &str) -> Result<Self, BrokerError> {
        match text {
            "quorum" => Ok(Self::Quorum),
            "classic" => Ok(Self::Classic),
            other => Err(BrokerError(format!("`{other}` is no kind of queue: expected quorum or classic"))),
        }
    }
}

/// Where the broker is and how it is used.
#[derive(Clone)]
pub struct RabbitOptions {
    /// `amqp://` or `amqps://` URLs of the nodes of one cluster, tried in turn. A URL may say `?heartbeat=<seconds>`.
    pub urls: Vec<String>,
    /// How task queues are kept.
    pub kind: QueueKind,
    /// What RabbitMQ shows as the name of the connections.
    pub name: String,
    /// In front of every queue and exchange, so that installations can share a broker.
    pub prefix: String,
    /// A PEM file of authorities that sign the broker's certificate, besides those of the system.
    pub ca_file: Option<PathBuf>,
}

impl RabbitOptions {
    /// The usual options for a broker at `urls`.
    pub fn new(urls: Vec<String>, name: impl Into<String>) -> Self {
        Self {
            urls,
            kind: QueueKind::default(),
            name: name.into(),
            prefix: "rota.".to_owned(),
            ca_file: None,
        }
    }

    /// Checks everything that can be checked without the broker.
    ///
    /// # Errors
    /// In words without the password: no or bad URLs, an unreadable file of authorities.
    pub fn validate(&self) -> Result<(), BrokerError> {
        self.check().map(drop)
    }

    pub(super) fn check(&self) -> Result<CheckedOptions, BrokerError> {
        if self.urls.is_empty() {
            return Err(BrokerError("no URL of a broker was given: expected amqp://host:port".to_owned()));
        }
        if self.prefix.len() > PREFIX_BYTES_MAX {
            return Err(BrokerError(format!(
                "the prefix of the queues is longer than {PREFIX_BYTES_MAX} bytes"
            )));
        }
        let uris = self.urls.iter().enumerate().map(|(place, url)| read_url(place, url));
        let cert_chain = match &self.ca_file {
            Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
                BrokerError(format!("cannot read the broker's authorities in {}: {error}", path.display()))
            })?),
            None => None,
        };
        Ok(CheckedOptions {
            uris: uris.collect::<Result<_, _>>()?,
            name: self.name.clone(),
            tls: OwnedTLSConfig { identity: None, cert_chain },
        })
    }
}

/// Options in the shape that connecting needs.
pub(super) struct CheckedOptions {
    /// At least one.
    pub(super) uris: Vec<AMQPUri>,
    pub(super) name: String,
    pub(super) tls: OwnedTLSConfig,
}

fn read_url(place: usize, url: &str) -> Result<AMQPUri, BrokerError> {
    // The reason would quote the URL.
    let mut uri: AMQPUri = url.parse().map_err(|_| {
        let place = place + 1;
        BrokerError(format!(
            "URL {place} of the broker cannot be used: expected amqp://user:password@host:port/vhost"
        ))
    })?;
    uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
    Ok(uri)
}

/// `host:port`, which may be shown to anybody.
pub(super) fn address(uri: &AMQPUri) -> String {
    format!("{}:{}", uri.authority.host, uri.authority.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Result<CheckedOptions, BrokerError> {
        RabbitOptions::new(vec![url.to_owned()], "test").check()
    }

    #[test]
    fn heartbeats_are_short_unless_the_url_says_otherwise() {
        assert_eq!(check("amqp://h:1").unwrap().uris[0].query.heartbeat, Some(10));
        assert_eq!(check("amqp://h:1/%2f?heartbeat=60").unwrap().uris[0].query.heartbeat, Some(60));
    }

    #[test]
    fn bad_options_are_refused_without_showing_a_password() {
        for bad in ["http://u:secret@h", "amqp://u:secret@h:notaport", "u:secret"] {
            let error = check(bad).err().unwrap().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(RabbitOptions::new(vec![], "test").check().is_err());
        let mut options = RabbitOptions::new(vec!["amqps://h".to_owned()], "test");
        options.ca_file = Some(PathBuf::from("/no/such/file"));
        assert!(options.check().err().unwrap().to_string().contains("/no/such/file"));
    }

    #[test]
    fn what_is_shown_of_a_url_is_host_and_port() {
        assert_eq!(address(&check("amqps://u:secret@h/v").unwrap().uris[0]), "h:5671");
    }
}
