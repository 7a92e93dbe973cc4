//! Where the dashboard listens, and for whom.

use std::net::{SocketAddr, TcpListener};

use crate::failure::Failure;
use crate::standalone::beacon::TOKEN_CHARS_MIN;

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

/// This machine's name.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_others_needs_a_chosen_token() {
        let open = SocketAddr::from(([0, 0, 0, 0], 7682));
        assert!(check(open, false).is_err_and(|error| error.to_string().contains("ROTA_ADMIN_TOKEN")));
        assert!(check(open, true).is_ok());
        assert!(check(SocketAddr::from(([127, 0, 0, 1], 7682)), false).is_ok());
    }
}
