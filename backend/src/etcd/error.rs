//! What etcd's errors mean to an election.

use std::error::Error as _;
use std::fmt;

use etcd_client::Error;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EtcdError {
    /// No answer, or one that another try may change.
    Away(String),
    /// An answer that stays the same until a person mends something.
    Refused(String),
    /// etcd does not know the lease.
    NoLease,
}

impl EtcdError {
    /// The same, with the endpoint that it happened at.
    pub(super) fn at(self, endpoint: &str) -> Self {
        match self {
            Self::Away(why) => Self::Away(format!("etcd at {endpoint}: {why}")),
            Self::Refused(why) => Self::Refused(format!("etcd at {endpoint}: {why}")),
            Self::NoLease => Self::NoLease,
        }
    }
}

impl fmt::Display for EtcdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(why) | Self::Refused(why) => f.write_str(why),
            Self::NoLease => f.write_str("etcd does not know the lease"),
        }
    }
}

impl From<Error> for EtcdError {
    fn from(error: Error) -> Self {
        let why = why(&error);
        let lower = why.to_lowercase();
        if matches!(error, Error::InvalidArgs(_) | Error::InvalidUri(_)) {
            return Self::Refused(why);
        }
        if lower.contains("lease not found") {
            return Self::NoLease;
        }
        // etcd names its errors by text only; the codes are shared by errors that pass and errors that stay.
        let stays = [
            "authentication failed",
            "authentication is not enabled",
            "user name is empty",
            "permission denied",
            "database space exceeded",
            "certificate",
        ];
        if stays.iter().any(|text| lower.contains(text)) { Self::Refused(why) } else { Self::Away(why) }
    }
}

/// An error in words, with its causes: the outermost of a transport error says nothing.
fn why(error: &Error) -> String {
    let (mut text, mut source) = match error {
        Error::GRpcStatus(status) => (status.message().to_owned(), status.source()),
        Error::TransportError(transport) => (transport.to_string(), transport.source()),
        other => (other.to_string(), None),
    };
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    if text.is_empty() { "the connection broke".to_owned() } else { text }
}
