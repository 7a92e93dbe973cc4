//! Where the dashboard listens, and for whom.

use std::net::{SocketAddr, TcpListener};

use rota_kit::host::host_name;
use rota_web::CertificateError;

use super::token::TOKEN_CHARS_MIN;
use crate::failure::Failure;

/// Refuses an address that other machines can reach, unless somebody chose a token for it: a dashboard that runs commands
/// must not be open by accident.
pub(crate) fn check(listen: SocketAddr, has_chosen_token: bool) -> anyhow::Result<()> {
    if listen.ip().is_loopback() || has_chosen_token {
        return Ok(());
    }
    Err(Failure::usage(format!("{listen} can be reached from other machines, and no admin token was chosen"))
        .at("--listen")
        .expected("a loopback address such as 127.0.0.1:7682, or ROTA_ADMIN_TOKEN in the environment")
        .help(format!(
            "set ROTA_ADMIN_TOKEN to at least {TOKEN_CHARS_MIN} random characters: head -c 24 /dev/urandom | base64"
        ))
        .into())
}

/// How what people say to the dashboard, tokens too, is kept from others on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// By TLS of its own.
    OwnTls,
    /// By a proxy in front of it that speaks TLS.
    Proxy,
    /// It is not, and somebody wants it so.
    Waived,
    /// It is not.
    None,
}

impl Secrecy {
    /// Refuses an address that other machines can reach without any of it.
    pub(crate) fn check(self, listen: SocketAddr) -> anyhow::Result<()> {
        if listen.ip().is_loopback() || self != Self::None {
            return Ok(());
        }
        let what = format!(
            "{listen} can be reached from other machines, and whoever is on the way can read the token"
        );
        Err(Failure::usage(what)
            .at("--listen, ROTA_LISTEN")
            .expected("a loopback address, a certificate, or a proxy in front that speaks TLS")
            .help(
                "set ROTA_WEB_CERT and ROTA_WEB_KEY to PEM files, or ROTA_WEB_TLS=true behind such a proxy; where nobody \
                 else is on the network, ROTA_WEB_INSECURE=true",
            )
            .into())
    }
}

/// A certificate that cannot be used.
pub(crate) fn no_certificate(error: &CertificateError) -> Failure {
    Failure::usage(error.to_string()).expected(
        "two PEM files: the server's certificate with those that it was signed by, and its private key",
    )
}

/// Takes the address.
pub(crate) fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(listen).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| {
        Failure::failed(format!("cannot listen on {listen}: {error}"))
            .at("--listen")
            .help("choose another port, or port 0 for any free one")
            .into()
    })
}

/// The names by which the dashboard may be reached: those given, else this machine's, if it listens for others.
pub(crate) fn hosts(listen: SocketAddr, given: Vec<String>) -> Vec<String> {
    if !given.is_empty() || listen.ip().is_loopback() {
        return given;
    }
    vec![host_name()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_others_needs_secrecy_or_a_word_that_it_does_not() {
        let open = SocketAddr::from(([10, 0, 0, 7], 7682));
        let refused = Secrecy::None.check(open).unwrap_err().to_string();
        for way_out in ["ROTA_WEB_CERT", "ROTA_WEB_TLS=true", "ROTA_WEB_INSECURE=true"] {
            assert!(refused.contains(way_out), "{refused}");
        }
        for secrecy in [Secrecy::OwnTls, Secrecy::Proxy, Secrecy::Waived] {
            assert!(secrecy.check(open).is_ok());
        }
        assert!(Secrecy::None.check(SocketAddr::from(([127, 0, 0, 1], 7682))).is_ok());
    }

    #[test]
    fn an_address_for_others_needs_a_chosen_token() {
        let open = SocketAddr::from(([0, 0, 0, 0], 7682));
        assert!(check(open, false).is_err_and(|error| error.to_string().contains("ROTA_ADMIN_TOKEN")));
        assert!(check(open, true).is_ok());
        assert!(check(SocketAddr::from(([127, 0, 0, 1], 7682)), false).is_ok());
    }
}
