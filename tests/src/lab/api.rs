//! Asks a server for things, as a client that survives its absence.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

/// A client. One per thread.
pub struct Api {
    place: Place,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// Where the server is found.
enum Place {
    /// Beside its data directory, wherever it listens this time.
    Data(PathBuf),
    /// At a fixed address, with a token.
    Url(String, String),
}

/// What the server said: status and body. `None`: there was no answer.
pub type Answer = Option<(u16, Value)>;

/// A client to be built. The library wants to know whose cryptography it is to use, even for plain HTTP.
pub fn http() -> reqwest::ClientBuilder {
    // Fails only when another test of this program has done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

impl Api {
    /// A client of the standalone server with this data directory.
    #[must_use]
    pub fn beside(data: &Path) -> Self {
        Self::new(Place::Data(data.to_owned()))
    }

    /// A client of a server at a fixed address.
    #[must_use]
    pub fn at(url: &str, token: &str) -> Self {
        Self::new(Place::Url(url.to_owned(), token.to_owned()))
    }

    fn new(place: Place) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let http = http().timeout(Duration::from_secs(10)).build().unwrap();
        Self { place, http, runtime }
    }

    /// Asks for a path below `/api/v1`.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None)
    }

    /// Posts to a path below `/api/v1`.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body))
    }

    /// Holds a DAG's schedule.
    #[must_use]
    pub fn hold(&self, dag: &str) -> bool {
        self.switch(dag, &json!({"paused": true}))
    }

    /// Lets a DAG's schedule go on.
    #[must_use]
    pub fn release(&self, dag: &str) -> bool {
        self.switch(dag, &json!({"paused": false}))
    }

    fn switch(&self, dag: &str, body: &Value) -> bool {
        matches!(self.send(Method::PATCH, &format!("/dags/{dag}"), Some(body)), Some((200, _)))
    }

    /// The ids of the newest runs of a DAG, or of all DAGs, in these states.
    #[must_use]
    pub fn runs(&self, query: &str) -> Option<Vec<i64>> {
        let (status, body) = self.get(&format!("/runs?limit=500&{query}"))?;
        let items = body["items"].as_array().filter(|_| status == 200)?;
        Some(items.iter().filter_map(|run| run["id"].as_i64()).collect())
    }

    /// How many DAGs the server knows.
    #[must_use]
    pub fn dags(&self) -> Option<usize> {
        self.get("/dags").and_then(|(_, body)| Some(body["items"].as_array()?.len()))
    }

    /// The run that a DAG makes under a key.
    #[must_use]
    pub fn trigger(&self, dag: &str, key: &str) -> Option<i64> {
        let body = json!({"params": {"key": key}, "idempotency_key": key});
        let (status, run) = self.post(&format!("/dags/{dag}/runs"), &body)?;
        run["id"].as_i64().filter(|_| status == 200 || status == 201)
    }

    /// The server's address and the token, as they are now.
    fn place(&self) -> Option<(String, String)> {
        let data = match &self.place {
            Place::Url(url, token) => return Some((url.clone(), token.clone())),
            Place::Data(data) => data,
        };
        let beacon: Value = serde_json::from_str(&fs::read_to_string(data.join("server.json")).ok()?).ok()?;
        let token = fs::read_to_string(data.join("admin-token")).ok()?;
        Some((beacon["url"].as_str()?.to_owned(), token.trim().to_owned()))
    }

    fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let (url, token) = self.place()?;
        let mut request = self.http.request(method, format!("{url}/api/v1{path}")).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        self.runtime.block_on(async {
            let response = request.send().await.ok()?;
            let status = response.status().as_u16();
            Some((status, response.json().await.ok()?))
        })
    }
}
