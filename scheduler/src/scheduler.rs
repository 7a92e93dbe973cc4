//! One scheduler replica: campaigns, leads while it may, campaigns again.

use std::sync::Arc;
use std::time::Duration;

use rota_core::id::Epoch;
use rota_core::port::{Broker, Leadership, Plans, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::leader::{EndOfTerm, Leader};
use crate::options::Options;

/// What a scheduler needs of the outside.
#[derive(Clone)]
pub struct Ports {
    /// The store, as the leader sees it.
    pub plans: Arc<dyn Plans>,
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// The election.
    pub leadership: Arc<dyn Leadership>,
}

/// What a scheduler replica is doing, for health pages and start-up messages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    /// The epoch it leads under; `None` while it stands by.
    pub epoch: Option<Epoch>,
    /// DAGs whose file is good, once the directory was read in this term.
    pub dags: Option<usize>,
    /// Broken files: path and first error, in words.
    pub broken: Vec<String>,
}

/// See the module's text.
pub struct Scheduler {
    options: Options,
    ports: Ports,
    status: watch::Sender<Status>,
}

impl Scheduler {
    /// A scheduler that has not started.
    pub fn new(options: Options, ports: Ports) -> Self {
        Self { options, ports, status: watch::Sender::new(Status::default()) }
    }

    /// Follows what it is doing.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Runs until `shutdown`, then gives the lead away. Failures of store or broker end a term, never the loop.
    pub async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let term = tokio::select! {
                term = self.ports.leadership.campaign() => term,
                () = shutdown.cancelled() => return,
            };
            let term = match term {
                Ok(term) => term,
                Err(error) => {
                    tracing::warn!("cannot campaign, trying again in 1 s: {error}");
                    pause(&shutdown).await;
                    continue;
                }
            };
            let ended = tokio::select! {
                ended = self.lead(&shutdown) => ended,
                () = term.ended() => EndOfTerm::Lost,
            };
            self.status.send_replace(Status::default());
            match ended {
                EndOfTerm::Shutdown => {
                    tracing::info!("scheduler {} gives the lead away", self.options.replica)
                }
                EndOfTerm::Lost => tracing::warn!("scheduler {} lost the lead", self.options.replica),
                EndOfTerm::Failed(error) => {
                    tracing::error!(
                        "scheduler {} cannot lead: {error}; trying again in 1 s",
                        self.options.replica
                    );
                    pause(&shutdown).await;
                }
            }
            term.resign().await;
        }
    }

    async fn lead(&self, shutdown: &CancellationToken) -> EndOfTerm {
        let begun = tokio::time::timeout(
            self.options.call_timeout,
            self.ports.plans.term_begin(&self.options.replica),
        );
        let epoch = match begun.await {
            Ok(Ok(epoch)) => epoch,
            Ok(Err(error)) => return EndOfTerm::Failed(error),
            Err(_) => {
                return EndOfTerm::Failed(StoreError::Unavailable("no answer to the start of a term".into()));
            }
        };
        tracing::info!(leader.epoch = epoch.0, "scheduler {} leads, epoch {epoch}", self.options.replica);
        Leader::new(&self.options, &self.ports, epoch, &self.status).run(shutdown).await
    }
}

async fn pause(shutdown: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(1)) => {}
        () = shutdown.cancelled() => {}
    }
}
