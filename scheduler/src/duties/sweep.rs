//! The duties of a sweep: intents of people, dead workers, rows that changed without a doorbell, old history.

use std::time::Duration;

use rota_core::id::RunId;
use rota_core::port::{Change, PruneRequest};
use tokio::time::Instant;

use crate::term::{Leader, PAGE, Trouble, bounded};

/// How often old history is looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// Runs deleted in one transaction.
const PRUNE_RUNS: u32 = 50;
/// How often all DAG rows are read in case a doorbell was lost: a pause that nobody heard of holds as soon as any other
/// intent would be found.
const DAG_LOOK_EVERY: Duration = Duration::from_secs(1);
/// Manual runs are looked for from this many run numbers below the newest known one: numbers are not always committed in
/// order.
const RUN_SLACK: i64 = 1000;

impl Leader<'_> {
    /// Everything that a lost doorbell could have been about.
    pub(crate) async fn sweep(&mut self) -> Result<bool, Trouble> {
        self.reap().await?;
        let heard_all = self.intents().await?;
        let outstanding = self.planner.outstanding();
        self.observe(outstanding).await?;
        self.relay_sweep().await?;
        self.prune().await?;
        Ok(heard_all)
    }

    /// Takes in manual runs, pause switches and intents. Returns whether all intents that there are were carried out.
    pub(crate) async fn intents(&mut self) -> Result<bool, Trouble> {
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
        let pending = bounded(limit, self.ports.plans.intents_pending(PAGE)).await?;
        let mut are_all = pending.len() < PAGE;
        for intent in pending {
            // An intent is carried out on its own: the planner leaves it pending while anything else is to be committed.
            are_all &= self.drive().await?;
            if !self.planner.has_run(intent.run) {
                let run = bounded(limit, self.ports.plans.run_load(intent.run)).await?;
                self.runs_known(run.into_iter().collect(), now).await?;
            }
            self.planner.intent(&intent, now)?;
        }
        Ok(are_all)
    }

    /// Finds dead workers, what they lost, and what live ones offer.
    pub(crate) async fn reap(&mut self) -> Result<(), Trouble> {
        let reaped = bounded(self.options.call_timeout, self.ports.plans.workers_reap(self.epoch)).await?;
        let now = self.now().await?;
        for worker in &reaped.dead {
            tracing::error!(worker.id = worker.as_str(), "worker {worker} is lost: its lease ran out");
        }
        if !reaped.dead.is_empty() {
            self.outbox.announce([Change::Fleet]);
        }
        self.planner.capacity_known(&reaped.capacity);
        self.planner.lost(&reaped.lost, now)?;
        Ok(())
    }

    /// Nothing is deleted for good by a leader that may not be one any more, fence or no fence.
    async fn prune(&mut self) -> Result<(), Trouble> {
        if Instant::now() < self.next_prune || !self.term.is_trusted() {
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
