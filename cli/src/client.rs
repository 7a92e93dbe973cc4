//! The REST client of the commands that talk to a running server, and how they find it.
//!
//! The server is named by `--url` or `ROTA_URL`, with the token in `ROTA_TOKEN`. Beside a standalone's data directory
//! neither is needed: it holds the address (`server.json`) and the admin token (`admin-token`, readable by its owner
//! only). That token is sent to that address and to no other; one from the environment goes to an address from there or from
//! the command line only. Neither goes over plain HTTP to another machine, unless somebody says so.

mod nearest;
mod problem;
mod trust;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use futures_util::TryStreamExt;
use reqwest::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::wire::Page;
pub(crate) use self::wire::{Dag, Run, Scheduler, ServerFile, Task, Term, Worker, was_so};
use crate::failure::Failure;
use crate::process::cautions::is_this_machine;
use crate::standalone::address_file::{AddressFile, read_token};

/// Which server to talk to.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Server {
    /// The server's address; its token comes from ROTA_TOKEN
    #[arg(long, env = "ROTA_URL", value_name = "URL", help_heading = "Server")]
    url: Option<String>,
    /// A standalone's data directory, which names its server and holds its token
    #[arg(long, env = "ROTA_DATA", value_name = "DIR", default_value = "rota-data", help_heading = "Server")]
    data: PathBuf,
    /// A PEM file with who signed an https:// server's certificate [default: those that this system trusts]
    #[arg(long, env = "ROTA_CA", value_name = "FILE", help_heading = "Server")]
    ca: Option<PathBuf>,
    /// Send the token over plain http:// to another machine, where everybody on the way can read it
    #[arg(long, help_heading = "Server")]
    insecure: bool,
}

/// A server, found.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Server {
    /// Finds the server. Nothing is sent yet.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let (base, token) = self.found()?;
        let address = reqwest::Url::parse(&base).ok().filter(|url| url.has_host());
        let address = address.filter(|url| matches!(url.scheme(), "http" | "https"));
        let address = address.ok_or_else(|| {
            Failure::usage(format!("`{base}` is not an address that this command can use"))
                .at("--url or ROTA_URL")
                .expected("an address such as https://rota.example.org or http://127.0.0.1:7682")
        })?;
        if token.is_some() {
            self.check_way(&base, &address)?;
        }
        let roots = match address.scheme() {
            "https" => trust::roots(self.ca.as_deref())?,
            _ => rustls::RootCertStore::empty(),
        };
        // Redirects are not followed, so that the token goes to this address only.
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(trust::config(roots)?)
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .context("the HTTP client cannot be set up")?;
        Ok(Client { http, base, token })
    }

    /// The address, and the token that belongs to it.
    fn found(&self) -> anyhow::Result<(String, Option<String>)> {
        let server = AddressFile::read(&self.data)?;
        match (&self.url, server) {
            (Some(url), server) => {
                let url = url.trim_end_matches('/').to_owned();
                let is_local = server.is_some_and(|server| server.url == url);
                let token = match std::env::var("ROTA_TOKEN").ok().filter(|token| !token.is_empty()) {
                    None if is_local => read_token(&self.data)?,
                    given => given,
                };
                Ok((url, token))
            }
            // Whoever can write a directory's server.json must not get a token that was meant for another server.
            (None, Some(server)) => Ok((server.url, read_token(&self.data)?)),
            (None, None) => Err(self.unknown().into()),
        }
    }

    /// Refuses a way on which others can read the token.
    fn check_way(&self, base: &str, address: &reqwest::Url) -> anyhow::Result<()> {
        if self.insecure || address.scheme() == "https" || address.host_str().is_some_and(is_own_host) {
            return Ok(());
        }
        Err(Failure::usage("the token would go to another machine unencrypted")
            .at(base)
            .expected("an https:// address, or this machine's own")
            .help("give the server's https:// address, or --insecure where nobody else can read what is sent")
            .into())
    }

    fn unknown(&self) -> Failure {
        Failure::usage("no server to talk to")
            .at(format!("{} holds no server.json", self.data.display()))
            .expected("a running `rota standalone` with this data directory, or an address")
            .help("start one with `rota standalone`, name its directory with --data, or give --url and ROTA_TOKEN")
    }
}

impl Client {
    const TIMEOUT: Duration = Duration::from_secs(30);

    /// Reads `path` below `/api/v1`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let response = self.request(Method::GET, path, None, Some(Self::TIMEOUT)).await?;
        response.json().await.with_context(|| self.strange(path))
    }

    /// Reads the list at `path` below `/api/v1`, page after page, up to `limit` entries.
    pub(crate) async fn list(&self, path: &str, limit: usize) -> anyhow::Result<Vec<Value>> {
        let mut entries: Vec<Value> = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let page_path = match &cursor {
                Some(cursor) => format!("{path}{separator}cursor={}", encoded(cursor)),
                None => path.to_owned(),
            };
            let page: Page = self.get(&page_path).await?;
            let got = page.items.len();
            entries.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() || got == 0 || entries.len() >= limit {
                entries.truncate(limit);
                return Ok(entries);
            }
        }
    }

    /// Sends `body` to `path` below `/api/v1`.
    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        let response = self.request(method, path, Some(body), Some(Self::TIMEOUT)).await?;
        let text = response.text().await.with_context(|| self.strange(path))?;
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| self.strange(path))
    }

    /// Reads `path` below `/api/v1` piece by piece, for as long as the server sends. Pieces may end inside a character.
    pub(crate) async fn stream<F>(&self, path: &str, mut piece: F) -> anyhow::Result<()>
    where
        F: FnMut(&[u8]) -> anyhow::Result<()>,
    {
        let response = self.request(Method::GET, path, None, None).await?;
        let mut pieces = response.bytes_stream();
        while let Some(bytes) = pieces.try_next().await.context("the server went away")? {
            piece(&bytes)?;
        }
        Ok(())
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        timeout: Option<Duration>,
    ) -> anyhow::Result<Response> {
        let url = format!("{}/api/v1{path}", self.base);
        let mut request = self.http.request(method, &url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(timeout) = timeout {
            request = request.timeout(timeout);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refused(&url, response).await.into())
    }

    async fn refused(&self, url: &str, response: Response) -> Failure {
        let status = response.status();
        let body = response.text().await.unwrap_or_default();
        let failure = problem::failure(status, &body).at(url);
        match (status, &self.token) {
            (StatusCode::UNAUTHORIZED, None) => failure
                .help("set ROTA_URL and ROTA_TOKEN, or name the standalone's data directory with --data"),
            (StatusCode::UNAUTHORIZED, Some(_)) => {
                failure.help("the token is not this server's: check ROTA_TOKEN and --data")
            }
            _ => failure,
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let what = if error.is_timeout() { "did not answer in time" } else { "does not answer" };
        let cause = root_cause(error);
        if let Some(fault) = cause.strip_prefix("invalid peer certificate: ") {
            return untrusted(fault).at(&self.base);
        }
        Failure::failed(format!("the server {what}: {cause}"))
            .at(&self.base)
            .help("is it running? start it with `rota standalone`, or name another one with --url or --data")
    }

    fn strange(&self, path: &str) -> String {
        format!("{}/api/v1{path} answered with something else than rota's API does", self.base)
    }
}

/// Nothing was sent: the server could not show that it is the one that was meant.
fn untrusted(fault: &str) -> Failure {
    let failure = Failure::failed(format!("the server's certificate is not believed: {fault}"));
    if fault.starts_with("UnknownIssuer") {
        failure.help("if you know who signed it, name a PEM file with their certificate by --ca or ROTA_CA")
    } else {
        failure.help("use the name that the certificate is for, or have the server's certificate renewed")
    }
}

/// Whether an address in a URL is this machine's, so that what is sent to it leaves by no wire.
fn is_own_host(host: &str) -> bool {
    if is_this_machine(host) {
        return true;
    }
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    // Only an address of this machine can be bound.
    address.is_ok_and(|address| std::net::UdpSocket::bind((address, 0)).is_ok())
}

/// A text as one segment of a path, or one value of a query.
pub(crate) fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Runs a client command to its end on this thread.
pub(crate) fn block_on<F>(future: F) -> crate::failure::CommandResult
where
    F: Future<Output = crate::failure::CommandResult>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the async runtime cannot be started")?.block_on(future)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_in_the_clear_to_this_machine_only() {
        let server = |insecure| Server { url: None, data: PathBuf::new(), ca: None, insecure };
        let is_let_through =
            |insecure, url: &str| server(insecure).check_way(url, &reqwest::Url::parse(url).unwrap()).is_ok();
        for url in [
            "http://127.0.0.1:7682",
            "http://[::1]:7682",
            "http://localhost",
            "http://127.8.8.8",
            "https://h",
        ] {
            assert!(is_let_through(false, url), "{url}");
        }
        for url in [
            "http://rota.example.org",
            "http://192.0.2.7",
            "http://localhost.example",
            "http://[2001:db8::1]",
        ] {
            assert!(!is_let_through(false, url) && is_let_through(true, url), "{url}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_place_in_an_address() {
        assert_eq!(encoded("node-3.eu"), "node-3.eu");
        assert_eq!(encoded("../x y&a=ü"), "..%2Fx%20y%26a%3D%C3%BC");
    }
}
