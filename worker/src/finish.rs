//! Reports how attempts ended: one task, one store call for all that has gathered while the last call was under way.

use std::sync::Arc;

use rota_core::id::{AttemptKey, DagId};
use rota_core::port::{Change, Facts, Finish, StoreError};
use rota_core::state::TaskState;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Duration, Instant, sleep};

use crate::patience::{Backoff, answered};
use crate::ringer::{News, Ringer};
use crate::spool::Spool;

/// Results in one store call.
const TOGETHER_MAX: usize = 1024;
/// How long results gather when the last ones were reported less than this ago and other processes run, whose ends may come
/// soon. A result that is alone is reported at once: what follows it in a chain waits for nothing else.
const GATHER: Duration = Duration::from_millis(1);
/// Results that need not wait for others.
const ENOUGH: usize = 64;
/// Messages that wait. Whoever ends an attempt waits when it is full; without a store nothing new is claimed, so it
/// never holds more than what ran when the store went away.
const WAITING_MAX: usize = 1024;

/// An attempt that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How.
    pub(crate) finish: Finish,
    /// Its run's DAG.
    pub(crate) dag: DagId,
}

/// The attempts' end. Cheap to clone.
pub(crate) type FinisherHandle = mpsc::Sender<Vec<Ended>>;

/// The one task that reports.
pub(crate) struct Finisher {
    facts: Arc<dyn Facts>,
    ringer: Ringer,
    spool: Spool,
    slots: Arc<Semaphore>,
    slots_all: usize,
    ended: mpsc::Receiver<Vec<Ended>>,
}

impl Finisher {
    /// `slots`: those of the worker, all of them free.
    pub(crate) fn new(
        facts: Arc<dyn Facts>,
        ringer: Ringer,
        spool: Spool,
        slots: Arc<Semaphore>,
    ) -> (Self, FinisherHandle) {
        let (sender, ended) = mpsc::channel(WAITING_MAX);
        let slots_all = slots.available_permits();
        (Self { facts, ringer, spool, slots, slots_all, ended }, sender)
    }

    /// Whether processes run besides one that has just ended and may still hold its slot.
    fn others_run(&self) -> bool {
        self.slots.available_permits() + 1 < self.slots_all
    }

    /// Delivers what earlier lives could not. Before this worker registers again: after that they are late.
    pub(crate) async fn deliver_spooled(&mut self) -> std::io::Result<()> {
        let finishes = self.spool.load()?;
        if !finishes.is_empty() {
            tracing::info!("delivering {} result(s) of an earlier life", finishes.len());
            let mut backoff = Backoff::default();
            while let Err(away) = self.offer(&finishes).await {
                backoff.pause("results", &away).await;
            }
            let finished = finishes.iter().map(|finish| finish.key).collect();
            self.ringer.tell(News { finished, ..News::default() });
        }
        self.spool.clear();
        Ok(())
    }

    /// Reports until all handles are gone and everything is reported.
    pub(crate) async fn run(mut self) {
        let mut committed = Instant::now();
        while let Some(first) = self.ended.recv().await {
            let (mut finishes, mut dags) = (Vec::new(), Vec::new());
            let mut take = |ended: Vec<Ended>| {
                for Ended { finish, dag } in ended {
                    finishes.push(finish);
                    dags.push(dag);
                }
                finishes.len()
            };
            let mut count = take(first);
            if count < ENOUGH && committed.elapsed() < GATHER && self.others_run() {
                // Results come thick and fast: taking several at once costs hardly more than taking one.
                sleep(GATHER).await;
            }
            while count < TOGETHER_MAX
                && let Ok(more) = self.ended.try_recv()
            {
                count = take(more);
            }
            self.commit(&mut finishes, &mut dags).await;
            committed = Instant::now();
            let finished: Vec<_> = finishes.iter().map(|finish| finish.key).collect();
            let runs = finished.iter().map(|key| key.task.run);
            let mut changes: Vec<_> = runs.zip(dags).map(|(run, dag)| Change::Run { run, dag }).collect();
            changes.dedup();
            self.ringer.tell(News { finished, changes, is_fleet: false });
        }
    }

    /// Does not return before the store has taken, or for good refused, all of them. While it is away, everything
    /// that ends is kept on disk as well.
    async fn commit(&mut self, finishes: &mut Vec<Finish>, dags: &mut Vec<DagId>) {
        let mut backoff = Backoff::default();
        let mut spooled = 0;
        while let Err(away) = self.offer(finishes).await {
            while let Ok(more) = self.ended.try_recv() {
                for Ended { finish, dag } in more {
                    finishes.push(finish);
                    dags.push(dag);
                }
            }
            match self.spool.append(finishes[spooled..].iter()) {
                Ok(()) => spooled = finishes.len(),
                Err(error) => {
                    tracing::error!(
                        "cannot keep results on disk, in {}: {error}",
                        self.spool.path().display()
                    );
                }
            }
            backoff.pause("results", &away).await;
        }
        self.spool.clear();
    }

    /// Offers them once.
    ///
    /// # Errors
    /// In words, if the store is away; what it refuses is only logged.
    async fn offer(&self, finishes: &[Finish]) -> Result<(), String> {
        for part in finishes.chunks(TOGETHER_MAX) {
            match answered(self.facts.tasks_finish(part)).await {
                Ok(late) => note_late(&late),
                Err(error) if error.is_outage() => return Err(error.to_string()),
                Err(_) => self.offer_each(part).await?,
            }
        }
        Ok(())
    }

    /// Finds out which one is refused.
    async fn offer_each(&self, finishes: &[Finish]) -> Result<(), String> {
        for finish in finishes {
            match answered(self.facts.tasks_finish(std::slice::from_ref(finish))).await {
                Ok(late) => note_late(&late),
                Err(error) if error.is_outage() => return Err(error.to_string()),
                Err(error @ StoreError::Data(_)) => {
                    tracing::error!("attempt {}: {error}", finish.key);
                    self.offer_bare(finish).await?;
                }
                Err(error) => {
                    tracing::error!("attempt {}: the store refuses its result: {error}", finish.key)
                }
            }
        }
        Ok(())
    }

    /// Offers the end of an attempt without what it said, which the store does not take: nobody else would end it.
    async fn offer_bare(&self, finish: &Finish) -> Result<(), String> {
        let why = "the store does not take the attempt's result or outputs; the worker's log says why";
        let state = if finish.state == TaskState::Success { TaskState::Failed } else { finish.state };
        let bare = Finish { state, error: Some(why.to_owned()), outputs: None, ..finish.clone() };
        match answered(self.facts.tasks_finish(&[bare])).await {
            Ok(late) => note_late(&late),
            Err(error) if error.is_outage() => return Err(error.to_string()),
            Err(error) => tracing::error!("attempt {}: the store refuses its end: {error}", finish.key),
        }
        Ok(())
    }
}

fn note_late(late: &[AttemptKey]) {
    for key in late {
        tracing::warn!("attempt {key} ended after it was given up as lost: its result does not count");
    }
}
