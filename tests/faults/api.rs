//! Asks the server for things, as a client that survives its absence.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::cli_support::rota;

/// A client beside a data directory. One per thread.
pub(crate) struct Api {
    data: PathBuf,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// What the server said: status and body. `None`: there was no answer.
pub(crate) type Answer = Option<(u16, Value)>;

impl Api {
    pub(crate) fn new(data: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build().unwrap();
        Self { data: data.to_owned(), http, runtime }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some(body))
    }

    pub(crate) fn pause(&self, dag: &str, paused: bool) -> bool {
        let answer = self.send(Method::PATCH, &format!("/dags/{dag}"), Some(&json!({"paused": paused})));
        matches!(answer, Some((200, _)))
    }

    /// The ids of the newest runs of a DAG, or of all DAGs, in these states.
    pub(crate) fn runs(&self, query: &str) -> Option<Vec<i64>> {
        let (status, body) = self.get(&format!("/runs?limit=500&{query}"))?;
        let items = body["items"].as_array().filter(|_| status == 200)?;
        Some(items.iter().filter_map(|run| run["id"].as_i64()).collect())
    }

    /// The run that a DAG makes under a key.
    pub(crate) fn trigger(&self, dag: &str, key: &str) -> Option<i64> {
        let body = json!({"params": {"key": key}, "idempotency_key": key});
        let (status, run) = self.post(&format!("/dags/{dag}/runs"), &body)?;
        run["id"].as_i64().filter(|_| status == 200 || status == 201)
    }

    /// The same by `rota dag trigger`.
    pub(crate) fn trigger_by_command(&self, dag: &str, key: &str) -> Option<i64> {
        let param = format!("key={key}");
        let args = ["dag", "trigger", dag, "--param", &param, "--idempotency-key", key, "-o", "json"];
        let end = rota().args(args).arg("--data").arg(&self.data).finish();
        let run: Value = serde_json::from_str(&end.stdout).ok()?;
        run["id"].as_i64().filter(|_| end.code == 0)
    }

    fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let beacon: Value =
            serde_json::from_str(&fs::read_to_string(self.data.join("server.json")).ok()?).ok()?;
        let token = fs::read_to_string(self.data.join("admin-token")).ok()?;
        let url = format!("{}/api/v1{path}", beacon["url"].as_str()?);
        let mut request = self.http.request(method, url).bearer_auth(token.trim());
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
