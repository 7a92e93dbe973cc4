//! One term: load what is active, then fold facts into batches, commit them under the epoch, and tell others.

mod failures;
mod load;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rota_core::dag::Dag;
use rota_core::id::{DagId, Epoch, RunId, TaskKey};
use rota_core::plan::{Aftermath, Planner};
use rota_core::port::{Batch, Bell, DagRow, StoreError, Term};
use rota_core::seeded;
use rota_core::state::IllegalTransition;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::broker::sender::Outbox;
use crate::broker::wakeups::{Door, Heard};
use crate::duties::republish::Relay;
use crate::files::record::OwnFiles;
use crate::options::Options;
use crate::replica::turns::Turns;
use crate::replica::{Memory, Ports, Status};
use crate::term::failures::Troubles;

/// How long a new leader waits for its ear at the broker. Without it, a sweep finds what bells would tell.
const DOOR_MAX: Duration = Duration::from_millis(250);
/// Between two looks for a store that is away together with the election.
const AWAY_PAUSE: Duration = Duration::from_millis(500);
/// Most rows read in one go.
pub(crate) const PAGE: usize = 2000;
/// Between two looks at all DAG rows that doorbells ask for: a bell about a pause sounds like any other bell about an intent.
const DAG_LOOK_PAUSE: Duration = Duration::from_millis(250);
/// Batches committed before the leader listens again, however much there is to do.
const BATCHES_MAX: usize = 16;

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

/// What a leader leads with.
pub(crate) struct Seat<'a> {
    pub(crate) options: &'a Options,
    pub(crate) ports: &'a Ports,
    pub(crate) status: &'a watch::Sender<Status>,
    pub(crate) turns: &'a Turns,
    pub(crate) term: &'a dyn Term,
    pub(crate) epoch: Epoch,
}

/// A leader in its term.
pub(crate) struct Leader<'a> {
    pub(crate) options: &'a Options,
    pub(crate) ports: &'a Ports,
    pub(crate) status: &'a watch::Sender<Status>,
    pub(crate) term: &'a dyn Term,
    pub(crate) epoch: Epoch,
    /// What outlives the term.
    pub(crate) memory: &'a mut Memory,
    pub(crate) outbox: Outbox,
    pub(crate) planner: Planner,
    /// The current version of each DAG.
    pub(crate) dags: BTreeMap<DagId, (DagRow, Arc<Dag>)>,
    /// DAGs whose current version this rota cannot read.
    pub(crate) unread: BTreeMap<DagId, DagRow>,
    /// The errors of broken files, by path.
    pub(crate) broken: BTreeMap<String, serde_json::Value>,
    /// What was said already about a directory that is behind.
    pub(crate) warned: BTreeSet<String>,
    pub(crate) newest_run: RunId,
    pub(crate) relay: Relay,
    pub(crate) next_prune: Instant,
    pub(crate) next_dag_look: Instant,
    pub(crate) last_dag_look: Instant,
    troubles: Troubles,
    is_doubtful: bool,
}

impl<'a> Leader<'a> {
    /// A leader that has loaded nothing yet.
    pub(crate) fn new(seat: Seat<'a>, memory: &'a mut Memory) -> Self {
        let Seat { options, ports, status, turns, term, epoch } = seat;
        let now = Instant::now();
        Self {
            options,
            ports,
            status,
            term,
            epoch,
            memory,
            outbox: Outbox::start(Arc::clone(&ports.broker)),
            planner: Planner::default(),
            dags: BTreeMap::new(),
            unread: BTreeMap::new(),
            broken: BTreeMap::new(),
            warned: BTreeSet::new(),
            newest_run: RunId(0),
            relay: Relay::default(),
            next_prune: now,
            next_dag_look: now,
            last_dag_look: now,
            troubles: Troubles::new(options.store_patience, turns.clone(), now),
            is_doubtful: false,
        }
    }

    /// Leads until the term ends. Trouble makes it load everything anew, in the same term. A store that stays away, or trouble
    /// of another kind that stays, ends the term.
    pub(crate) async fn run(mut self, shutdown: &CancellationToken) -> EndOfTerm {
        let mut door = Door::new(Arc::clone(&self.ports.broker));
        loop {
            let trouble = match self.lead(&mut door, shutdown).await {
                Ok(()) => return EndOfTerm::Shutdown,
                Err(Trouble::Store(StoreError::Fenced(_))) => return EndOfTerm::Lost,
                Err(trouble) => StoreError::from(trouble),
            };
            if shutdown.is_cancelled() {
                return EndOfTerm::Shutdown;
            }
            let pause = match self.troubles.pause(&trouble, Instant::now()) {
                Some(pause) => pause,
                // Without an election nobody else would begin a term.
                None if is_away(&trouble) && !self.term.is_trusted() => AWAY_PAUSE,
                None => return EndOfTerm::Failed(trouble),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => return EndOfTerm::Shutdown,
            }
            self.forget();
        }
    }

    /// Forgets what was read from rows. The planner changes its own state as it decides, so after a failed commit only the
    /// rows know.
    fn forget(&mut self) {
        self.planner = Planner::default();
        self.dags.clear();
        self.unread.clear();
        self.broken.clear();
        self.newest_run = RunId(0);
        self.relay = Relay::default();
        self.next_dag_look = Instant::now();
    }

    async fn lead(&mut self, door: &mut Door, shutdown: &CancellationToken) -> Result<(), Trouble> {
        // The door is open before any row is read, so that nothing changes in between unheard.
        door.open(DOOR_MAX).await;
        self.files_ready().await?;
        self.load().await?;
        self.status.send_modify(|status| status.epoch = Some(self.epoch));
        self.files_first().await?;
        let mut next_sweep = Instant::now();
        while !shutdown.is_cancelled() {
            self.watch_trust();
            // What is due goes first; a sweep is never in a hurry.
            let mut is_done = self.drive().await?;
            self.troubles.over(Instant::now());
            if Instant::now() >= next_sweep {
                let heard_all = self.sweep().await?;
                next_sweep = Instant::now() + self.options.sweep;
                is_done = self.drive().await?;
                if heard_all && is_done {
                    self.planner.begin_answers(self.epoch.0.unsigned_abs());
                }
            }
            self.troubles.turned();
            let wake = if is_done { self.wake_at(next_sweep).await? } else { Instant::now() };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = files_change(&mut self.memory.files), if !self.is_doubtful => self.files_changed().await?,
                heard = door.next() => match heard {
                    Heard::Bells(bells) => self.hear(bells).await?,
                    Heard::Anew => next_sweep = Instant::now(),
                },
                () = tokio::time::sleep_until(wake) => {}
            }
        }
        Ok(())
    }

    /// While the election is out of reach nobody else can have taken over unless the fence says so: the leader goes on, but
    /// leaves what cannot wait for a better day.
    fn watch_trust(&mut self) {
        let is_doubtful = !self.term.is_trusted();
        if is_doubtful == self.is_doubtful {
            return;
        }
        self.is_doubtful = is_doubtful;
        self.status.send_modify(|status| status.is_doubtful = is_doubtful);
        let (replica, epoch) = (&self.options.replica, self.epoch);
        if is_doubtful {
            tracing::warn!(
                leader.epoch = epoch.0,
                "scheduler {replica} does not reach the election: it goes on under epoch {epoch} while the store lets \
                 it; DAG files and old history wait"
            );
        } else {
            tracing::info!(leader.epoch = epoch.0, "scheduler {replica} reaches the election again");
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
            self.relay_batch(&batch);
            let Aftermath { nudge, changed } = self.planner.committed(batch, committed, now)?;
            self.outbox.nudge(nudge);
            self.outbox.announce(changed);
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

fn is_away(trouble: &StoreError) -> bool {
    matches!(trouble, StoreError::Unavailable(_))
}

async fn files_change(files: &mut Option<OwnFiles>) {
    match files {
        Some(files) => files.changed().await,
        None => std::future::pending().await,
    }
}
