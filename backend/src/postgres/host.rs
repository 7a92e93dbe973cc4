//! Finds, of several hosts, the one that accepts writes.

use std::time::Duration;

use rota_core::port::StoreResult;
use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::timeout;

use super::options::place;
use super::sql::unavailable;

/// The longest that opening a connection to one host may take.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// What a freshly opened session is asked and told. A setting that this server does not know is left out (PostgreSQL 13
/// cannot check whether the client is there).
const GREETING: &str = "
    select pg_is_in_recovery(), (
        select set_config(s.name, '1s', false) from pg_settings as s where s.name = 'client_connection_check_interval')";

/// Connects to the first host that accepts writes, beginning with number `first`. Returns its number as well.
///
/// # Errors
/// `Unavailable`, with what each host said.
pub(super) async fn primary(hosts: &[PgConnectOptions], first: usize) -> StoreResult<(usize, PgConnection)> {
    let mut trouble = Vec::new();
    for index in (0..hosts.len()).map(|offset| (first + offset) % hosts.len()) {
        let host = &hosts[index];
        match timeout(CONNECT_MAX, greet(host)).await {
            Ok(Ok(Some(connection))) => return Ok((index, connection)),
            Ok(Ok(None)) => trouble.push(format!("{} is a standby", place(host))),
            Ok(Err(error)) => trouble.push(format!("{}: {error}", place(host))),
            Err(_) => trouble.push(format!("{} does not answer", place(host))),
        }
    }
    Err(unavailable(trouble.join("; ")))
}

/// `None`: it does not accept writes.
async fn greet(host: &PgConnectOptions) -> Result<Option<PgConnection>, sqlx::Error> {
    let mut connection = host.connect().await?;
    let (is_standby, _): (bool, Option<String>) = sqlx::query_as(GREETING).fetch_one(&mut connection).await?;
    Ok((!is_standby).then_some(connection))
}
