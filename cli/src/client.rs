//! The REST client of the commands that talk to a running server, and how they find it.
//!
//! The server is named by `--url` or `ROTA_URL`, with the token in `ROTA_TOKEN`. Beside a standalone's data directory
//! neither is needed: it holds the address (`server.json`) and the admin token (`admin-token`, readable by its owner
//! only). That token is sent to that address and to no other.

mod nearest;
mod problem;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use futures_util::TryStreamExt;
use reqwest::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::wire::Page;
pub(crate) use self::wire::{Dag, Run, Scheduler, Task, Term, Worker, was_so};
use crate::failure::Failure;
use crate::standalone::beacon::{Beacon, read_token};

/// Which server to talk to.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Server {
    /// The server's address; its token comes from ROTA_TOKEN
    #[arg(long, env = "ROTA_URL", value_name = "URL", help_heading = "Server")]
    url: Option<String>,
    /// A standalone's data directory, which names its server and holds its token
    #[arg(long, env = "ROTA_DATA", value_name = "DIR", default_value = "rota-data", help_heading = "Server")]
    data: PathBuf,
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
        let beacon = Beacon::read(&self.data)?;
        let (base, is_local) = match (&self.url, &beacon) {
            (Some(url), beacon) => {
                let url = url.trim_end_matches('/').to_owned();
                let is_local = beacon.as_ref().is_some_and(|beacon| beacon.url == url);
                (url, is_local)
            }
            (None, Some(beacon)) => (beacon.url.clone(), true),
            (None, None) => return Err(self.unknown().into()),
        };
        if !base.starts_with("http://") {
            return Err(Failure::usage(format!("`{base}` is not an address that this command can use"))
                .at("--url or ROTA_URL")
                .expected("a plain HTTP address such as http://127.0.0.1:7682")
                .into());
        }
        let token = match std::env::var("ROTA_TOKEN") {
            Ok(token) => Some(token),
            Err(_) if is_local => read_token(&self.data)?,
            Err(_) => None,
        };
        // Redirects are not followed, so that the token goes to this address only.
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .context("the HTTP client cannot be set up")?;
        Ok(Client { http, base, token })
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
                Some(cursor) => format!("{path}{separator}cursor={cursor}"),
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
            (StatusCode::UNAUTHORIZED, None) => {
                failure.help("set ROTA_TOKEN, or name the standalone's data directory with --data")
            }
            (StatusCode::UNAUTHORIZED, Some(_)) => {
                failure.help("the token is not this server's: check ROTA_TOKEN and --data")
            }
            _ => failure,
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let what = if error.is_timeout() { "did not answer in time" } else { "does not answer" };
        let cause = root_cause(error);
        Failure::failed(format!("the server {what}: {cause}"))
            .at(&self.base)
            .help("is it running? start it with `rota standalone`, or name another one with --url or --data")
    }

    fn strange(&self, path: &str) -> String {
        format!("{}/api/v1{path} answered with something else than rota's API does", self.base)
    }
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
