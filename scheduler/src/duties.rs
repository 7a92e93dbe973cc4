//! The duties of a sweep: intents of people, dead workers, rows that changed without a doorbell, DAG files, old history.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rota_core::id::RunId;
use rota_core::port::{Change, PruneRequest};
use tokio::time::Instant;

use crate::directory::{FileState, Scan};
use crate::files::{self, Current};
use crate::leader::{Leader, PAGE, Trouble, bounded, log_hint};

/// How often old history is looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// Runs deleted in one transaction.
const PRUNE_RUNS: u32 = 50;
/// How often all DAG rows are read in case a doorbell was lost.
const DAG_LOOK_EVERY: Duration = Duration::from_secs(5);
/// Manual runs are looked for from this many run numbers below the newest known one: numbers are not always committed in
/// order.
const RUN_SLACK: i64 = 1000;

impl Leader<'_> {
    /// Everything that a lost doorbell could have been about.
    pub(crate) async fn sweep(&mut self) -> Result<(), Trouble> {
        self.reap().await?;
        self.intents().await?;
        let outstanding = self.planner.outstanding();
        self.observe(outstanding).await?;
        self.relay_sweep().await?;
        self.prune().await
    }

    /// Takes in manual runs, pause switches and intents.
    pub(crate) async fn intents(&mut self) -> Result<(), Trouble> {
        let limit = self.options.call_timeout;
        if Instant::now() >= self.next_dag_look {
            self.last_dag_look = Instant::now();
            self.next_dag_look = self.last_dag_look + DAG_LOOK_EVERY;
            self.dags_look().await?;
        }
        let now = self.now().await?;
        let mut after = RunId((self.newest_run.0 - RUN_SLACK).max(0));
        loop {
            let runs = bounded(limit, self.ports.plans.runs_queued(after, PAGE)).await?;
            let Some(last) = runs.last() else { break };
            after = last.id;
            self.runs_known(runs, now).await?;
        }
        for intent in bounded(limit, self.ports.plans.intents_pending(PAGE)).await? {
            // An intent is carried out on its own: the planner leaves it pending while anything else is to be committed.
            self.drive().await?;
            if !self.planner.has_run(intent.run) {
                let run = bounded(limit, self.ports.plans.run_load(intent.run)).await?;
                self.runs_known(run.into_iter().collect(), now).await?;
            }
            self.planner.intent(&intent, now)?;
        }
        Ok(())
    }

    /// Finds dead workers, what they lost, and what live ones offer.
    pub(crate) async fn reap(&mut self) -> Result<(), Trouble> {
        let reaped = bounded(self.options.call_timeout, self.ports.plans.workers_reap(self.epoch)).await?;
        let now = self.now().await?;
        for worker in &reaped.dead {
            tracing::error!(worker.id = worker.as_str(), "worker {worker} is lost: its lease ran out");
        }
        if !reaped.dead.is_empty() {
            log_hint(self.ports.broker.announce(&[Change::Fleet]).await);
        }
        self.planner.capacity_known(&reaped.capacity);
        self.planner.lost(&reaped.lost, now)?;
        Ok(())
    }

    /// Stores what changed in the DAG directory. `now` is from before the slots were last looked at, so that none that
    /// came due in between is passed over.
    pub(crate) async fn files_changed(&mut self, scan: Scan, now: DateTime<Utc>) -> Result<(), Trouble> {
        let current: BTreeMap<_, _> = self
            .dags
            .iter()
            .map(|(id, (row, dag))| {
                let row = self.planner.dag_row(id).unwrap_or(row);
                (id.clone(), Current { row, dag })
            })
            .collect();
        let put = files::compare(&scan, &current, &self.broken, now);
        let put_versions =
            bounded(self.options.call_timeout, self.ports.plans.files_put(self.epoch, &put)).await?;
        let paths: BTreeMap<_, _> = put.dags.iter().map(|it| (&it.dag, &it.path)).collect();
        for (dag, version) in put_versions {
            let path = paths.get(&dag).copied();
            if let Some(found) = path.and_then(|path| scan.get(path))
                && let FileState::Good(parsed) = &found.state
            {
                self.versions.put(&dag, version, parsed);
            }
        }
        self.log_files(&put);
        self.dags_look().await?;
        let broken = bounded(self.options.call_timeout, self.ports.plans.files_broken()).await?;
        self.broken = broken.into_iter().map(|row| (row.path, row.errors)).collect();
        let changes: Vec<Change> = put.dags.iter().map(|it| Change::Dag(it.dag.clone())).collect();
        log_hint(self.ports.broker.announce(&changes).await);
        self.report(&scan);
        Ok(())
    }

    fn log_files(&self, put: &rota_core::port::FilesPut) {
        if put.dags.len() > 3 {
            tracing::info!("{} DAG files are new or changed", put.dags.len());
        } else {
            for dag in &put.dags {
                tracing::info!("DAG {} is new or changed ({})", dag.dag, dag.path);
            }
        }
        for error in &put.errors {
            tracing::error!("{} cannot be used: {}", error.path, first(&error.errors));
        }
        for dag in &put.gone {
            tracing::warn!("the file of DAG {dag} is gone: nothing new starts");
        }
    }

    fn report(&self, scan: &Scan) {
        let broken = scan.iter().filter_map(|(path, found)| match &found.state {
            FileState::Good(_) => None,
            FileState::Broken(errors) => {
                Some(errors.first().map_or_else(|| path.clone(), ToString::to_string))
            }
        });
        let broken: Vec<String> = broken.collect();
        let good = scan.len() - broken.len();
        self.status.send_modify(|status| {
            status.dags = Some(good);
            status.broken = broken;
        });
    }

    async fn prune(&mut self) -> Result<(), Trouble> {
        if Instant::now() < self.next_prune {
            return Ok(());
        }
        let retention = chrono::Duration::from_std(self.options.retention).unwrap_or(chrono::Duration::MAX);
        let before = self.now().await?.checked_sub_signed(retention);
        let Some(before) = before else { return Ok(()) };
        let request = PruneRequest { before, runs_max: PRUNE_RUNS };
        let gone = bounded(self.options.call_timeout, self.ports.plans.prune(self.epoch, request)).await?;
        if gone > 0 {
            tracing::info!("{gone} runs older than the retention were deleted");
        }
        // A full page means that there is more: go on with the next sweep.
        if gone < PRUNE_RUNS {
            self.next_prune = Instant::now() + PRUNE_EVERY;
        }
        Ok(())
    }
}

fn first(errors: &serde_json::Value) -> String {
    let text = |key: &str| errors[0][key].to_string();
    format!(
        "line {}, column {}: {}",
        text("line"),
        text("col"),
        errors[0]["message"].as_str().unwrap_or_default()
    )
}
