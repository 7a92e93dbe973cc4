//! One term: load what is active, then fold facts into batches, commit them under the epoch, and tell others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rota_core::dag::Dag;
use rota_core::id::{DagId, Epoch, RunId, TaskKey};
use rota_core::plan::{Aftermath, Planner};
use rota_core::port::{Batch, Bell, Bells, BrokerError, DagRow, StoreError};
use rota_core::seeded;
use rota_core::state::IllegalTransition;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::directory::Scan;
use crate::options::Options;
use crate::relay::Relay;
use crate::scheduler::{Ports, Status};
use crate::versions::Versions;
use crate::watch_dir::{self, DirWatch};

/// Most doorbell hints taken at once.
const BELLS_MAX: usize = 256;
/// Most rows read in one go.
pub(crate) const PAGE: usize = 2000;
/// Between two looks at all DAG rows that doorbells ask for: a bell about a pause sounds like any other bell about an intent.
const DAG_LOOK_PAUSE: Duration = Duration::from_millis(250);
/// Batches committed before the leader listens again, however much there is to do.
const BATCHES_MAX: usize = 16;
/// How long a new leader waits for the first look at its DAG directory.
const FIRST_SCAN_MAX: Duration = Duration::from_secs(10);
/// This many troubles in a row end a term.
const TROUBLES_MAX: u32 = 6;
/// A term that went well for this long starts to count troubles anew.
const TROUBLE_FORGOTTEN: Duration = Duration::from_secs(60);

/// Why a term ended.
#[derive(Debug)]
pub(crate) enum EndOfTerm {
    /// This process stops.
    Shutdown,
    /// Another replica leads.
    Lost,
    /// The store failed for too long.
    Failed(StoreError),
}

/// What interrupts the fold.
pub(crate) enum Trouble {
    /// The store refused, conflicted or did not answer.
    Store(StoreError),
    /// The planner met a state that cannot be.
    Planner(IllegalTransition),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<IllegalTransition> for Trouble {
    fn from(error: IllegalTransition) -> Self {
        Self::Planner(error)
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Store(error) => error,
            Trouble::Planner(error) => Self::Conflict(error.to_string()),
        }
    }
}

/// A leader in its term.
pub(crate) struct Leader<'a> {
    pub(crate) options: &'a Options,
    pub(crate) ports: &'a Ports,
    pub(crate) epoch: Epoch,
    pub(crate) status: &'a watch::Sender<Status>,
    pub(crate) planner: Planner,
    pub(crate) versions: Versions,
    /// The current version of each DAG.
    pub(crate) dags: BTreeMap<DagId, (DagRow, Arc<Dag>)>,
    /// The errors of broken files, by path.
    pub(crate) broken: BTreeMap<String, serde_json::Value>,
    pub(crate) newest_run: RunId,
    pub(crate) relay: Relay,
    pub(crate) next_prune: Instant,
    pub(crate) next_dag_look: Instant,
    pub(crate) last_dag_look: Instant,
}

impl<'a> Leader<'a> {
    /// A leader that has loaded nothing yet.
    pub(crate) fn new(
        options: &'a Options,
        ports: &'a Ports,
        epoch: Epoch,
        status: &'a watch::Sender<Status>,
    ) -> Self {
        Self {
            options,
            ports,
            epoch,
            status,
            planner: Planner::default(),
            versions: Versions::default(),
            dags: BTreeMap::new(),
            broken: BTreeMap::new(),
            newest_run: RunId(0),
            relay: Relay::default(),
            next_prune: Instant::now(),
            next_dag_look: Instant::now(),
            last_dag_look: Instant::now(),
        }
    }

    /// Leads until the term ends. Trouble makes it load everything anew, in the same term; trouble that stays ends the term.
    pub(crate) async fn run(mut self, shutdown: &CancellationToken) -> EndOfTerm {
        let mut troubles = 0_u32;
        loop {
            let began = Instant::now();
            let trouble = match self.lead(shutdown).await {
                Ok(()) => return EndOfTerm::Shutdown,
                Err(Trouble::Store(StoreError::Fenced(_))) => return EndOfTerm::Lost,
                Err(trouble) => StoreError::from(trouble),
            };
            if shutdown.is_cancelled() {
                return EndOfTerm::Shutdown;
            }
            troubles = if began.elapsed() > TROUBLE_FORGOTTEN { 1 } else { troubles + 1 };
            if troubles > TROUBLES_MAX {
                return EndOfTerm::Failed(trouble);
            }
            tracing::warn!(leader.epoch = self.epoch.0, "loading all active runs anew: {trouble}");
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(50 << troubles)) => {}
                () = shutdown.cancelled() => return EndOfTerm::Shutdown,
            }
            self = Self::new(self.options, self.ports, self.epoch, self.status);
        }
    }

    async fn lead(&mut self, shutdown: &CancellationToken) -> Result<(), Trouble> {
        let mut bells = self.ports.broker.bells().await.map_err(broker_trouble)?;
        self.load().await?;
        self.status.send_modify(|status| status.epoch = Some(self.epoch));
        let mut files = match &self.options.dags_dir {
            Some(root) => Some(self.watch(root)?),
            None => None,
        };
        self.read_files_first(&mut files).await?;
        let mut next_sweep = Instant::now();
        loop {
            // What is due goes first; a sweep is never in a hurry.
            let mut is_done = self.drive().await?;
            if Instant::now() >= next_sweep {
                self.sweep().await?;
                next_sweep = Instant::now() + self.options.sweep;
                is_done = self.drive().await?;
            }
            let wake = if is_done { self.wake_at(next_sweep).await? } else { Instant::now() };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                scan = next_scan(&mut files) => {
                    let now = self.now().await?;
                    // What is due by now still belongs to the schedules as they were.
                    self.drive().await?;
                    self.files_changed(scan, now).await?;
                }
                heard = next_bells(&mut bells) => self.hear(heard.map_err(broker_trouble)?).await?,
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    fn watch(&self, root: &std::path::Path) -> Result<DirWatch, Trouble> {
        let owners = self.dags.iter().map(|(id, (row, _))| (id.clone(), row.path.clone())).collect();
        let watch = watch_dir::start(root, self.options.rescan, owners);
        let failed =
            |error| StoreError::Unavailable(format!("cannot start the DAG directory's thread: {error}"));
        Ok(watch.map_err(failed)?)
    }

    /// Takes in the DAG directory before anything is fired: it may have changed while nobody led, and a slot that came due
    /// meanwhile must not run what was deleted or mended since.
    async fn read_files_first(&mut self, files: &mut Option<DirWatch>) -> Result<(), Trouble> {
        if files.is_none() {
            return Ok(());
        }
        match tokio::time::timeout(FIRST_SCAN_MAX, next_scan(files)).await {
            Ok(scan) => {
                let now = self.now().await?;
                self.files_changed(scan, now).await
            }
            Err(_) => {
                tracing::error!(
                    "the DAG directory could not be read in time: going on with the stored versions"
                );
                Ok(())
            }
        }
    }

    /// Commits what the planner says until it has nothing more to say, or for a while. Returns whether it is done.
    pub(crate) async fn drive(&mut self) -> Result<bool, Trouble> {
        for _ in 0..BATCHES_MAX {
            let now = self.now().await?;
            let mut batch = self.planner.plan(now)?;
            if batch.is_empty() {
                return Ok(true);
            }
            if seeded::bug("cursor-apart") {
                self.cursors_apart(&mut batch).await?;
            }
            let commit = self.ports.plans.batch_commit(self.epoch, &batch);
            let committed = bounded(self.options.call_timeout, commit).await?;
            for run in &committed.runs {
                self.newest_run = self.newest_run.max(*run);
            }
            self.relay_batch(&batch).await;
            let aftermath = self.planner.committed(batch, committed, now)?;
            self.tell(aftermath).await;
        }
        Ok(false)
    }

    /// A sown fault: moves the cursors in a transaction of their own, some time before the rest.
    async fn cursors_apart(&self, batch: &mut Batch) -> Result<(), Trouble> {
        let alone = Batch { cursors: std::mem::take(&mut batch.cursors), ..Batch::default() };
        if !alone.cursors.is_empty() {
            bounded(self.options.call_timeout, self.ports.plans.batch_commit(self.epoch, &alone)).await?;
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        Ok(())
    }

    pub(crate) async fn now(&self) -> Result<DateTime<Utc>, Trouble> {
        Ok(bounded(self.options.call_timeout, self.ports.plans.now()).await?)
    }

    async fn wake_at(&self, next_sweep: Instant) -> Result<Instant, Trouble> {
        let Some(due) = self.planner.wake_at() else { return Ok(next_sweep) };
        let now = self.now().await?;
        // Timers tick in milliseconds and may fire within the one before; a due slot looked at too early is just not due.
        let wait = (due - now).to_std().unwrap_or_default();
        Ok(next_sweep.min(Instant::now() + wait))
    }

    /// Tells workers and dashboards. Hints: what gets lost here is found by a sweep.
    async fn tell(&self, aftermath: Aftermath) {
        for worker in &aftermath.nudge {
            log_hint(self.ports.broker.nudge(worker).await);
        }
        if !aftermath.changed.is_empty() {
            log_hint(self.ports.broker.announce(&aftermath.changed).await);
        }
    }

    /// Reads what the doorbell hints at.
    async fn hear(&mut self, bells: Vec<Bell>) -> Result<(), Trouble> {
        let mut keys: BTreeSet<TaskKey> = BTreeSet::new();
        let (mut intents, mut workers) = (false, false);
        for bell in bells {
            match bell {
                Bell::Finished(attempts) => keys.extend(attempts.iter().map(|attempt| attempt.task)),
                Bell::Intent => {
                    intents = true;
                    self.next_dag_look = self.next_dag_look.min(self.last_dag_look + DAG_LOOK_PAUSE);
                }
                Bell::Workers => workers = true,
                Bell::Files => {}
            }
        }
        if workers {
            self.reap().await?;
        }
        if intents {
            self.intents().await?;
        }
        self.observe(keys.into_iter().collect()).await
    }

    /// Reads these tasks' rows and tells the planner.
    pub(crate) async fn observe(&mut self, keys: Vec<TaskKey>) -> Result<(), Trouble> {
        if keys.is_empty() {
            return Ok(());
        }
        let now = self.now().await?;
        for page in keys.chunks(PAGE) {
            let rows = bounded(self.options.call_timeout, self.ports.plans.tasks_load(page)).await?;
            self.planner.observed(&rows, now)?;
        }
        Ok(())
    }
}

/// Bounds a call of the store.
pub(crate) async fn bounded<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Unavailable(format!("no answer within {} s", limit.as_secs()))),
    }
}

pub(crate) fn log_hint(sent: Result<(), BrokerError>) {
    if let Err(error) = sent {
        tracing::debug!("a hint was not sent, a sweep will find what it was about: {error}");
    }
}

fn broker_trouble(error: BrokerError) -> Trouble {
    Trouble::Store(StoreError::Unavailable(error.to_string()))
}

async fn next_bells(bells: &mut Box<dyn Bells>) -> Result<Vec<Bell>, BrokerError> {
    bells.next(BELLS_MAX).await
}

async fn next_scan(files: &mut Option<DirWatch>) -> Scan {
    if let Some(files) = files
        && let Some(scan) = files.scans.recv().await
    {
        return scan;
    }
    std::future::pending().await
}
