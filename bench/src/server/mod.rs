//! A rota that is measured, standalone or a cluster: started as anyone would, driven through its REST API.

pub(crate) mod cluster;
mod launched;
mod standalone;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::cluster::Databases;
use self::launched::Launched;
use crate::figures::Bench;
use crate::home::Home;
use crate::process::Usage;
use crate::store::Store;

/// How long a server gets to answer and to know its DAGs.
const START_MAX: Duration = Duration::from_secs(60);
/// How often a starting server is looked at.
const LOOK: Duration = Duration::from_millis(1);

/// Where rota's API is.
#[derive(Debug, Clone, Default)]
struct Door {
    url: String,
    token: String,
}

/// Where rota's store is.
#[derive(Debug)]
enum Ledger {
    Directory(PathBuf),
    Database(String),
}

impl Ledger {
    async fn open(&self) -> anyhow::Result<Store> {
        match self {
            Self::Directory(data) => Store::in_directory(data).await,
            Self::Database(url) => Store::in_postgres(url).await,
        }
    }
}

/// What was started.
#[derive(Debug)]
struct Parts {
    /// In the order in which they are stopped.
    processes: Vec<Launched>,
    ledger: Ledger,
    /// Where each process of a cluster has its pages.
    pages: Vec<String>,
}

/// A running rota. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    parts: Parts,
    door: Door,
    client: reqwest::Client,
}

impl Server {
    /// Starts a rota on `home` and waits until it works: a cluster where the bench has services, else a standalone one.
    pub(crate) async fn start(bench: &Bench, home: &Home) -> anyhow::Result<Self> {
        match &bench.services {
            None => Self::ready(standalone::start(bench, home)?).await,
            Some(services) => Self::ready(cluster::start(bench, home, services, None).await?).await,
        }
    }

    /// Starts a cluster whose roles reach Postgres at ports of their own.
    pub(crate) async fn start_at(bench: &Bench, home: &Home, databases: Databases) -> anyhow::Result<Self> {
        let services = bench.services.as_ref().context("this is about a cluster: give --cluster")?;
        Self::ready(cluster::start(bench, home, services, Some(databases)).await?).await
    }

    async fn ready(parts: Parts) -> anyhow::Result<Self> {
        let mut server = Self { parts, door: Door::default(), client: client()? };
        let deadline = Instant::now() + START_MAX;
        while !server.is_ready().await {
            server.parts.processes.iter_mut().try_for_each(Launched::alive)?;
            ensure!(Instant::now() < deadline, "no answer within {START_MAX:?}{}", server.log_tails());
            sleep(LOOK).await;
        }
        Ok(server)
    }

    /// The process that answers.
    pub(crate) fn pid(&self) -> u32 {
        self.parts.processes[0].pid()
    }

    /// CPU time of its processes until now.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.parts.processes.iter().map(|process| (process.name(), process.pid())))
    }

    /// Waits until the server knows a DAG.
    pub(crate) async fn dag_known(&self, dag: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_MAX;
        loop {
            let answer = self.get(&format!("/api/v1/dags/{dag}")).await?;
            match answer.status() {
                StatusCode::OK => return Ok(()),
                StatusCode::NOT_FOUND if Instant::now() < deadline => sleep(LOOK).await,
                status => bail!("GET dag {dag}: {status}{}", self.log_tails()),
            }
        }
    }

    /// Asks for a run; its number.
    pub(crate) async fn trigger(&self, dag: &str) -> anyhow::Result<i64> {
        trigger(&self.client, &self.door, dag).await
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
            let (client, door, dag) = (self.client.clone(), self.door.clone(), dag.to_owned());
            callers.spawn(async move {
                for _ in 0..share {
                    trigger(&client, &door, &dag).await?;
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
                self.log_tails()
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
                self.log_tails()
            );
            sleep(look).await;
        }
    }

    /// Reads a page of the API.
    pub(crate) async fn json(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.get(path).await?;
        ensure!(answer.status().is_success(), "GET {path}: {}{}", answer.status(), self.log_tails());
        Ok(answer.json().await?)
    }

    /// Ends it as Ctrl-C would, waits until it is gone, and opens its record.
    pub(crate) async fn stop(self) -> anyhow::Result<Store> {
        for process in self.parts.processes {
            process.stop().await?;
        }
        self.parts.ledger.open().await
    }

    /// Ends it as a power cut would, and opens its record.
    pub(crate) async fn kill(self) -> anyhow::Result<Store> {
        for process in self.parts.processes {
            process.kill().await?;
        }
        self.parts.ledger.open().await
    }

    /// Whether every process says so, and somebody leads.
    async fn is_ready(&mut self) -> bool {
        let door = match &self.parts.ledger {
            Ledger::Directory(data) => standalone::door(data, self.pid()),
            Ledger::Database(_) => cluster::door(&self.parts.pages),
        };
        let Some(door) = door else { return false };
        let mut pages = vec![format!("{}/readyz", door.url)];
        // The first process of a cluster is the one behind the door.
        pages.extend(self.parts.pages.iter().skip(1).map(|page| format!("{page}/readyz")));
        if let Some(scheduler) = self.parts.pages.last() {
            pages.push(format!("{scheduler}/leader"));
        }
        self.door = door;
        for page in pages {
            let answer = self.client.get(&page).send().await;
            if !answer.is_ok_and(|answer| answer.status().is_success()) {
                return false;
            }
        }
        true
    }

    async fn get(&self, path: &str) -> anyhow::Result<reqwest::Response> {
        let request = self.client.get(format!("{}{path}", self.door.url)).bearer_auth(&self.door.token);
        request.send().await.with_context(|| format!("GET {path}{}", self.log_tails()))
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

    fn log_tails(&self) -> String {
        self.parts.processes.iter().map(Launched::log_tail).collect()
    }
}

fn client() -> anyhow::Result<reqwest::Client> {
    let builder = rota_tests::lab::api::http().timeout(Duration::from_secs(30)).tcp_nodelay(true);
    builder.build().context("cannot make an HTTP client")
}

async fn trigger(client: &reqwest::Client, door: &Door, dag: &str) -> anyhow::Result<i64> {
    let request = client.post(format!("{}/api/v1/dags/{dag}/runs", door.url)).bearer_auth(&door.token);
    let answer = request.json(&json!({})).send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status == StatusCode::CREATED, "trigger of {dag}: {status} {text}");
    let run: Value = serde_json::from_str(&text)?;
    run["id"].as_i64().context("the new run has no id")
}
