//! A `rota standalone` that is measured: started as anyone would, driven through its REST API.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::figures::Bench;
use crate::home::Home;

/// How long a server gets to answer and to know its DAGs.
const START_MAX: Duration = Duration::from_secs(60);
/// How long it gets to stop in good order.
const STOP_MAX: Duration = Duration::from_secs(30);
/// How often a starting server is looked at.
const LOOK: Duration = Duration::from_millis(1);
/// Last bytes of the server's log that are shown when something goes wrong.
const LOG_TAIL: usize = 2000;

/// A running server. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pid: u32,
    data: PathBuf,
    log: PathBuf,
    url: String,
    token: String,
    client: reqwest::Client,
}

impl Server {
    /// Starts a server on `home` and waits until it answers.
    pub(crate) async fn start(bench: &Bench, home: &Home) -> anyhow::Result<Self> {
        let log = home.file("rota.log");
        let mut command = Command::new(&bench.rota);
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_ours(name)) {
            command.env_remove(name);
        }
        command
            .args(["standalone", "--listen", "127.0.0.1:0", "--dags"])
            .arg(home.dags())
            .arg("--data")
            .arg(home.data())
            .args(bench.slots.iter().flat_map(|slots| ["--slots".to_owned(), slots.to_string()]))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("cannot start {}", bench.rota.display()))?;
        let pid = child.id().context("the server ended at once")?;
        let (data, url, token) = (home.data(), String::new(), String::new());
        let mut server = Self { child, pid, data, log, url, token, client: client()? };
        let deadline = Instant::now() + START_MAX;
        while !server.is_ready().await? {
            server.alive()?;
            ensure!(Instant::now() < deadline, "no answer within {START_MAX:?}{}", server.log_tail());
            sleep(LOOK).await;
        }
        Ok(server)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until the server knows a DAG.
    pub(crate) async fn dag_known(&self, dag: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_MAX;
        loop {
            let answer = self.get(&format!("/api/v1/dags/{dag}")).await?;
            match answer.status() {
                StatusCode::OK => return Ok(()),
                StatusCode::NOT_FOUND if Instant::now() < deadline => sleep(LOOK).await,
                status => bail!("GET dag {dag}: {status}{}", self.log_tail()),
            }
        }
    }

    /// Asks for a run; its number.
    pub(crate) async fn trigger(&self, dag: &str) -> anyhow::Result<i64> {
        trigger(&self.client, &self.url, &self.token, dag).await
    }

    /// Asks for `count` runs, `connections` at a time.
    pub(crate) async fn trigger_many(
        &self,
        dag: &str,
        count: usize,
        connections: usize,
    ) -> anyhow::Result<()> {
        let mut callers = JoinSet::new();
        for caller in 0..connections {
            let share = count / connections + usize::from(caller < count % connections);
            let (client, url, token) = (self.client.clone(), self.url.clone(), self.token.clone());
            let dag = dag.to_owned();
            callers.spawn(async move {
                for _ in 0..share {
                    trigger(&client, &url, &token, &dag).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(caller) = callers.join_next().await {
            caller??;
        }
        Ok(())
    }

    /// Waits until a run has ended; its state.
    pub(crate) async fn run_ended(
        &self,
        run: i64,
        look: Duration,
        limit: Duration,
    ) -> anyhow::Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            let answer = self.json(&format!("/api/v1/runs/{run}")).await?;
            let state = answer["state"].as_str().unwrap_or_default();
            if !matches!(state, "queued" | "running") {
                return Ok(state.to_owned());
            }
            ensure!(
                Instant::now() < deadline,
                "run {run} is still {state} after {limit:?}: {}{}",
                self.progress(run).await,
                self.log_tail()
            );
            sleep(look).await;
        }
    }

    /// Waits until no run of a DAG is queued or running.
    pub(crate) async fn all_ended(&self, dag: &str, look: Duration, limit: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        let path = format!("/api/v1/dags/{dag}/runs?state=queued,running&limit=1");
        loop {
            let answer = self.json(&path).await?;
            if answer["items"].as_array().is_some_and(Vec::is_empty) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{dag} still has active runs after {limit:?}{}",
                self.log_tail()
            );
            sleep(look).await;
        }
    }

    /// Reads a page of the API.
    pub(crate) async fn json(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.get(path).await?;
        ensure!(answer.status().is_success(), "GET {path}: {}{}", answer.status(), self.log_tail());
        Ok(answer.json().await?)
    }

    /// Ends it as Ctrl-C would, and waits until it is gone.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        signal(self.pid, Signal::TERM)?;
        match timeout(STOP_MAX, self.child.wait()).await {
            Ok(status) => {
                let status = status?;
                ensure!(status.success(), "the server ended with {status}{}", self.log_tail());
                Ok(())
            }
            Err(_) => bail!("the server did not stop within {STOP_MAX:?}{}", self.log_tail()),
        }
    }

    /// Ends it as a power cut would.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    async fn is_ready(&mut self) -> anyhow::Result<bool> {
        let Some((url, token)) = beacon(&self.data, self.pid) else { return Ok(false) };
        (self.url, self.token) = (url, token);
        Ok(self.get("/readyz").await?.status().is_success())
    }

    fn alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the server ended with {status}{}", self.log_tail()),
        }
    }

    async fn get(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        request.send().await.with_context(|| format!("GET {path}{}", self.log_tail()))
    }

    /// How many tasks of a run are in which state, in words.
    async fn progress(&self, run: i64) -> String {
        let Ok(answer) = self.json(&format!("/api/v1/runs/{run}/tasks")).await else { return String::new() };
        let mut counts = std::collections::BTreeMap::<String, usize>::new();
        for task in answer["items"].as_array().into_iter().flatten() {
            *counts.entry(task["state"].to_string()).or_default() += 1;
        }
        format!("{counts:?}")
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(LOG_TAIL)..]).into_owned();
        if tail.is_empty() { tail } else { format!("\n--- end of the server's log ---\n{tail}") }
    }
}

/// Sends a signal to a process that we started.
pub(crate) fn signal(pid: u32, signal: Signal) -> anyhow::Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).context("no process has number 0")?;
    kill_process(pid, signal).context("cannot signal the process")
}

/// Where the server of a data directory listens and its token, once process `pid` has written both.
fn beacon(data: &Path, pid: u32) -> Option<(String, String)> {
    let text = std::fs::read_to_string(data.join("server.json")).ok()?;
    let beacon: Value = serde_json::from_str(&text).ok()?;
    if beacon["pid"] != json!(pid) {
        return None;
    }
    let token = std::fs::read_to_string(data.join("admin-token")).ok()?;
    Some((beacon["url"].as_str()?.to_owned(), token.trim().to_owned()))
}

fn client() -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).tcp_nodelay(true);
    builder.build().context("cannot make an HTTP client")
}

async fn trigger(client: &reqwest::Client, url: &str, token: &str, dag: &str) -> anyhow::Result<i64> {
    let request = client.post(format!("{url}/api/v1/dags/{dag}/runs")).bearer_auth(token);
    let answer = request.json(&json!({})).send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status == StatusCode::CREATED, "trigger of {dag}: {status} {text}");
    let run: Value = serde_json::from_str(&text)?;
    run["id"].as_i64().context("the new run has no id")
}

/// Variables that would make the server another one than the defaults say.
fn is_ours(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("ROTA_") || name == "RUST_LOG")
}
