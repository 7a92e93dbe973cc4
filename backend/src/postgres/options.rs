//! Where the database is and how to reach it.

use std::str::FromStr;

use rota_core::port::{StoreError, StoreResult};
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tracing::log::LevelFilter;

/// A parameter of libpq that says which of several hosts to take. rota always takes one that accepts writes.
const TARGET: &str = "target_session_attrs=";

/// How to reach a Postgres.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// One for each host, tried in turn.
    pub(super) hosts: Vec<PgConnectOptions>,
}

impl PostgresOptions {
    /// Reads `postgres://user:password@host:port,host:port/database?sslmode=...`. Of several hosts the one that accepts
    /// writes is used. `name` is shown in the server's list of sessions. Without an `sslmode`, hosts outside this
    /// machine are reached by TLS with a verified certificate (`verify-full`).
    ///
    /// # Errors
    /// `Refused`, in words without the password.
    pub fn new(url: &str, name: &str) -> StoreResult<Self> {
        let hosts = one_url_per_host(url)?;
        let hosts: StoreResult<Vec<_>> = hosts.iter().map(|url| host_options(url, name)).collect();
        Ok(Self { hosts: hosts? })
    }
}

fn refused(why: impl std::fmt::Display) -> StoreError {
    StoreError::Refused(format!(
        "the database's address cannot be used: {why}; expected postgres://user:password@host:5432/database"
    ))
}

fn one_url_per_host(url: &str) -> StoreResult<Vec<String>> {
    let (scheme, rest) = url.split_once("://").ok_or_else(|| refused("it has no scheme"))?;
    if !matches!(scheme, "postgres" | "postgresql") {
        return Err(refused(format!("`{scheme}` is no scheme of Postgres")));
    }
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    if database.is_empty() {
        return Err(refused("it names no database"));
    }
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    let query: Vec<&str> =
        query.split('&').filter(|part| !part.is_empty() && !part.starts_with(TARGET)).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    Ok(hosts.split(',').map(|host| format!("postgres://{user}{host}/{database}{query}")).collect())
}

fn host_options(url: &str, name: &str) -> StoreResult<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url).map_err(refused)?;
    let says_how = url.contains("sslmode=") || url.contains("ssl-mode=");
    let options = match (says_how, is_local(&options)) {
        (true, _) => options,
        (false, true) => options.ssl_mode(PgSslMode::Disable),
        (false, false) => options.ssl_mode(PgSslMode::VerifyFull),
    };
    Ok(options
        .application_name(name)
        .log_statements(LevelFilter::Off)
        .log_slow_statements(LevelFilter::Off, Default::default()))
}

fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let is_loopback = host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    options.get_socket().is_some() || host == "localhost" || host.starts_with('/') || is_loopback
}

/// A host for people: never the password.
pub(super) fn place(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(url: &str) -> Vec<String> {
        PostgresOptions::new(url, "test").unwrap().hosts.iter().map(place).collect()
    }

    #[test]
    fn several_hosts_are_tried_in_turn() {
        let url = "postgres://u:p@a:1,b:2,10.0.0.7/rota?target_session_attrs=read-write&sslmode=require";
        assert_eq!(places(url), ["a:1", "b:2", "10.0.0.7:5432"]);
    }

    #[test]
    fn hosts_elsewhere_are_reached_by_verified_tls_unless_the_address_says_otherwise() {
        let mode = |url: &str| PostgresOptions::new(url, "test").unwrap().hosts[0].get_ssl_mode();
        assert!(matches!(mode("postgres://u@db.example/rota"), PgSslMode::VerifyFull));
        assert!(matches!(mode("postgres://u@db.example/rota?sslmode=require"), PgSslMode::Require));
        assert!(matches!(mode("postgres://u@127.0.0.1/rota"), PgSslMode::Disable));
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for url in
            ["mysql://u:hunter2@h/d", "postgres://u:hunter2@h", "u:hunter2@h/d", "postgres://u:hunter2@h:x/d"]
        {
            let error = PostgresOptions::new(url, "test").unwrap_err();
            assert!(
                matches!(error, StoreError::Refused(_)) && !error.to_string().contains("hunter2"),
                "{error}"
            );
        }
    }
}
