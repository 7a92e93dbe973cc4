//! How the dashboard is set up, validated once.

use std::fmt;
use std::net::SocketAddr;

use rota_core::schedule::Zone;

use crate::serve::Certificate;

/// Fewest characters of an admin token.
pub const TOKEN_CHARS_MIN: usize = 16;

/// The dashboard's settings.
#[derive(Clone)]
pub struct Options {
    /// Where it listens. Only used for the login link and the checks of [`Options::validate`]; the caller binds.
    pub listen: SocketAddr,
    /// The name of this installation, shown beside the brand (`prod-eu`, `standalone`).
    pub place: String,
    /// The zone that pages show times in; slots of a DAG are shown in the DAG's own zone too.
    pub timezone: Zone,
    /// The token of the only account there is, at least [`TOKEN_CHARS_MIN`] characters.
    pub admin_token: String,
    /// Host names under which the dashboard is reached, beside the loopback names. Needed when it listens elsewhere.
    pub hosts: Vec<String>,
    /// Whether people reach it through TLS, rota's own or a proxy's: cookies are then marked `Secure` and named `__Host-…`.
    pub tls: bool,
    /// With what it speaks TLS itself; without one it speaks plain HTTP.
    pub certificate: Option<Certificate>,
}

/// A setting that was refused.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// A token that can be guessed.
    #[error("the admin token has {0} characters, expected at least {TOKEN_CHARS_MIN}: choose a longer one")]
    TokenTooShort(usize),
    /// A listener that others can reach, without the names it is reached by.
    #[error(
        "{0} can be reached from other machines: name the hosts under which the dashboard is reached, or listen on 127.0.0.1"
    )]
    Public(SocketAddr),
}

impl Options {
    /// Checks the settings against each other.
    ///
    /// # Errors
    /// A guessable token; a listener outside loopback without host names.
    pub fn validate(&self) -> Result<(), OptionsError> {
        let chars = self.admin_token.chars().count();
        if chars < TOKEN_CHARS_MIN {
            return Err(OptionsError::TokenTooShort(chars));
        }
        if !self.listen.ip().is_loopback() && self.hosts.is_empty() {
            return Err(OptionsError::Public(self.listen));
        }
        Ok(())
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("listen", &self.listen)
            .field("place", &self.place)
            .field("timezone", &self.timezone)
            .field("hosts", &self.hosts)
            .field("tls", &self.tls)
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 7682)),
            place: "test".into(),
            timezone: Zone::UTC,
            admin_token: "0123456789abcdef".into(),
            hosts: Vec::new(),
            tls: false,
            certificate: None,
        }
    }

    #[test]
    fn a_listener_outside_loopback_without_hosts_is_refused() {
        let public = Options { listen: SocketAddr::from(([0, 0, 0, 0], 7682)), ..options() };
        assert!(matches!(public.validate(), Err(OptionsError::Public(_))));
        assert!(Options { hosts: vec!["rota.example".into()], ..public }.validate().is_ok());
        assert!(options().validate().is_ok());
    }

    #[test]
    fn a_short_token_is_refused_and_no_token_is_printed() {
        assert!(Options { admin_token: "short".into(), ..options() }.validate().is_err());
        assert!(!format!("{:?}", options()).contains("0123456789abcdef"));
    }
}
