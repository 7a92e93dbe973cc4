//! One scheduler replica: stands by, leads while it may, stands by again. It watches its DAG directory all the while.

mod heartbeat;
mod leader;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use rota_core::id::Epoch;
use rota_core::port::{LeadershipError, Plans, StoreError, StoreResult, Term};
use rota_kit::timed::Timed;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::files::ReplicaCache;
use crate::files::record::WatchedDirectory;
use crate::options::Options;
use crate::ports::Ports;
use crate::replica::heartbeat::Heartbeat;
use crate::replica::leader::Leader;
use crate::status::Status;
use crate::term::context::TermContext;
use crate::term::failures::EndOfTerm;
use crate::turns::Turns;

/// How often a standby reads what it would need to lead.
const WARM_EVERY: Duration = Duration::from_secs(5);
/// Between two tries of anything that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two looks whether the store answers, and between two tries to begin a term.
const STORE_PAUSE: Duration = Duration::from_millis(250);
/// How long a leader that is told to stop may finish what it is at. Its lease goes right after.
const FINISH_MAX: Duration = Duration::from_millis(150);
/// How long the note that a term was given away may take. The next leader does not wait for it.
const NOTE_MAX: Duration = Duration::from_millis(300);

/// How long giving the lead away may take.
const RESIGN_MAX: Duration = Duration::from_secs(2);

/// See the module's text.
pub struct Scheduler {
    options: Options,
    ports: Ports,
    store: Timed<dyn Plans>,
    status: watch::Sender<Status>,
    turns: Turns,
}

impl Scheduler {
    /// A scheduler that has not started.
    pub fn new(options: Options, ports: Ports) -> Self {
        let store = Timed::new(Arc::clone(&ports.plans), options.call_timeout);
        let (status, turns) = (watch::Sender::new(Status::default()), Turns::default());
        Self { options, ports, store, status, turns }
    }

    /// Tells whether it does its part.
    pub fn turns(&self) -> Turns {
        self.turns.clone()
    }

    /// Follows what it is doing.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Runs until `shutdown`, then gives the lead away. Failures of store or broker never end the loop.
    pub async fn run(self, shutdown: CancellationToken) {
        let heartbeat = Heartbeat::start(&self.options, &self.store, self.status(), &self.turns);
        let mut cache = ReplicaCache::default();
        while !shutdown.is_cancelled() {
            self.watch_directory(&mut cache);
            let term = tokio::select! {
                term = self.campaign() => term,
                never = self.stand_by(&mut cache) => match never {},
                () = shutdown.cancelled() => break,
            };
            let (epoch, ended) = self.serve(&*term, &mut cache, &shutdown).await;
            self.status.send_replace(Status::default());
            self.part(term, epoch, &ended).await;
            // A term that never began, or that failed, is not taken up again in a hurry.
            if epoch.is_none() || matches!(ended, EndOfTerm::Failed(_)) {
                tokio::select! {
                    () = tokio::time::sleep(STORE_PAUSE) => {}
                    () = shutdown.cancelled() => {}
                }
            }
        }
        heartbeat.end().await;
    }

    fn watch_directory(&self, cache: &mut ReplicaCache) {
        let Options { dags_dir, rescan, replica, .. } = &self.options;
        if let (Some(root), None) = (dags_dir, &cache.directory) {
            let directory = WatchedDirectory::watch(root, *rescan, replica.clone());
            let directory = directory.inspect_err(|error| {
                tracing::error!("cannot start the DAG directory's thread: {error}");
            });
            cache.directory = directory.ok();
        }
    }

    /// Waits until it may try to lead. One that does not reach the store does not stand in the way of others.
    async fn campaign(&self) -> Box<dyn Term> {
        self.store_answers().await;
        let mut is_said = false;
        loop {
            match self.vote().await {
                Ok(term) => return term,
                Err(error) => {
                    if !std::mem::replace(&mut is_said, true) {
                        tracing::warn!("scheduler {} cannot campaign yet: {error}", self.options.replica);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// One try to lead. While it lasts, somebody else leads.
    async fn vote(&self) -> Result<Box<dyn Term>, LeadershipError> {
        let mut campaign = self.ports.leadership.campaign();
        match tokio::time::timeout(PAUSE, &mut campaign).await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.turns.stands_by();
                campaign.await
            }
        }
    }

    async fn store_answers(&self) {
        let mut is_said = false;
        while let Err(error) = self.store.ask(|plans| plans.intents_pending(1)).await {
            if !std::mem::replace(&mut is_said, true) {
                tracing::warn!("scheduler {} waits for the store: {error}", self.options.replica);
            }
            tokio::time::sleep(STORE_PAUSE).await;
        }
    }

    /// Gets ready to lead at once: looks at its DAG directory and at what the store has. What fails is done again.
    async fn stand_by(&self, cache: &mut ReplicaCache) -> Infallible {
        loop {
            let pause = match self.warm(cache).await {
                Ok(()) => WARM_EVERY,
                Err(error) => {
                    tracing::debug!("cannot get ready to lead, trying again: {error}");
                    PAUSE
                }
            };
            if pause == WARM_EVERY {
                // Only a look that went well makes it worth to wait for a change.
                let _ = tokio::time::timeout(pause, cache.directory_changed()).await;
            } else {
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn warm(&self, cache: &mut ReplicaCache) -> StoreResult<()> {
        let scan = match &mut cache.directory {
            Some(directory) => directory.record_scan(&self.store).await?.map(|(scan, _)| scan),
            None => None,
        };
        cache.versions.warm(&self.store, scan.as_deref()).await
    }

    /// Leads, from the first try to begin the term until its end.
    async fn serve(
        &self,
        term: &dyn Term,
        cache: &mut ReplicaCache,
        shutdown: &CancellationToken,
    ) -> (Option<Epoch>, EndOfTerm) {
        let mut epoch = None;
        self.turns.leads();
        let lead = async {
            match self.begin(term).await {
                Ok(begun) => {
                    epoch = Some(begun);
                    Box::pin(Leader::new(self.context(term, begun), cache).run(shutdown)).await
                }
                Err(ended) => ended,
            }
        };
        let ended = tokio::select! {
            ended = lead => ended,
            () = term.ended() => EndOfTerm::Lost,
            () = finished(shutdown) => EndOfTerm::Shutdown,
        };
        match &ended {
            // Whatever is wrong is not over with the term: the next one is this replica's again, unless another can lead.
            EndOfTerm::Failed(error) => self.turns.failed(error),
            EndOfTerm::Lost | EndOfTerm::Shutdown => self.turns.stands_by(),
        }
        (epoch, ended)
    }

    fn context<'a>(&'a self, term: &'a dyn Term, epoch: Epoch) -> TermContext<'a> {
        let Self { options, ports, store, status, turns } = self;
        TermContext { options, store, broker: &ports.broker, status, turns, term, epoch }
    }

    /// Takes an epoch, unless the election may have gone on meanwhile: a replica that was paused after it had won must not
    /// push aside who won since.
    async fn begin(&self, term: &dyn Term) -> Result<Epoch, EndOfTerm> {
        let replica = &self.options.replica;
        let since = Instant::now();
        loop {
            if !term.is_trusted() {
                return Err(EndOfTerm::Lost);
            }
            match self.store.ask(|plans| plans.term_begin(replica)).await {
                Ok(epoch) => {
                    tracing::info!(leader.epoch = epoch.0, "scheduler {replica} leads, epoch {epoch}");
                    return Ok(epoch);
                }
                Err(StoreError::Unavailable(_)) if since.elapsed() < self.options.store_patience => {
                    tokio::time::sleep(STORE_PAUSE).await;
                }
                Err(error) => return Err(EndOfTerm::Failed(error)),
            }
        }
    }

    /// Gives the lead away, before anything else that there is to do at the end of a term.
    async fn part(&self, term: Box<dyn Term>, epoch: Option<Epoch>, ended: &EndOfTerm) {
        let replica = &self.options.replica;
        match ended {
            EndOfTerm::Shutdown => tracing::info!("scheduler {replica} gives the lead away"),
            EndOfTerm::Lost if epoch.is_none() => {
                tracing::debug!("scheduler {replica} won, and could not be sure of it any more");
            }
            EndOfTerm::Lost => tracing::warn!("scheduler {replica} lost the lead"),
            EndOfTerm::Failed(error) => {
                tracing::error!("scheduler {replica} cannot lead, another may: {error}");
            }
        }
        let note = async {
            if let (Some(epoch), EndOfTerm::Shutdown) = (epoch, ended) {
                // For people; the next leader ends this term whether it is noted or not.
                let _ = self.store.ask_within(NOTE_MAX, |plans| plans.term_end(epoch)).await;
            }
        };
        // An election that is out of reach finds out by itself that nobody holds the lead any more.
        let resign = tokio::time::timeout(RESIGN_MAX, term.resign());
        let (_given, ()) = tokio::join!(resign, note);
    }
}

/// Completes when a leader that was told to stop has had its time.
async fn finished(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(FINISH_MAX).await;
}
