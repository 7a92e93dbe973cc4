//! What all handlers share, and what one request knows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chrono::{DateTime, TimeDelta, Utc};
use rota_core::dag::Dag;
use rota_core::id::{DagId, RunId, WorkerId};
use rota_core::port::{Bell, Broker, Change, Clock, DagRow, Intents, ReplicaRow, RunRow, TermRow, Views};
use rota_core::sync::lock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::catalog::Catalog;
use crate::error::{Error, Outcome};
use crate::guard::Visitor;
use crate::journal::Journal;
use crate::lead::LeadershipState;
use crate::live::ChangeHub;
use crate::log::LogBook;
use crate::options::Options;
use crate::probe_server::ProcessHealth;
use crate::session::Sessions;
use crate::show::time::LocalClock;
use crate::streams::Streams;

/// What the dashboard may do with the store: read, and write what people want.
pub trait WebStore: Intents + Views {}

impl<T: Intents + Views> WebStore for T {}

/// What the dashboard needs from the outside.
#[derive(Clone)]
pub struct Ports {
    /// Views and intents.
    pub store: Arc<dyn WebStore>,
    /// Rings the leader, hears of changes.
    pub broker: Arc<dyn Broker>,
    /// Now.
    pub clock: Arc<dyn Clock>,
    /// Whether this process leads and what it waits for, for the probes.
    pub process_health: watch::Receiver<ProcessHealth>,
}

/// The state behind the router.
pub(crate) struct App {
    pub(crate) options: Options,
    pub(crate) ports: Ports,
    pub(crate) sessions: Sessions,
    pub(crate) journal: Journal,
    pub(crate) catalog: Catalog,
    pub(crate) hub: ChangeHub,
    pub(crate) logs: LogBook,
    pub(crate) streams: Streams,
    pub(crate) shutdown: CancellationToken,
    pub(crate) requests: AtomicU64,
    pulse: Mutex<Option<(DateTime<Utc>, HeaderStatus)>>,
}

/// What every page shows, whatever it is about.
#[derive(Debug, Clone)]
pub(crate) struct HeaderStatus {
    /// DAG files that cannot be read.
    pub(crate) broken: usize,
    pub(crate) lead: LeadershipState,
}

/// How handlers hold the state.
pub(crate) type SharedApp = Arc<App>;

/// One request of someone who is signed in. A handler that takes it cannot be reached without.
pub(crate) struct Ctx {
    pub(crate) app: SharedApp,
    pub(crate) who: Visitor,
    pub(crate) moment: LocalClock,
}

impl App {
    pub(crate) fn new(options: Options, ports: Ports) -> Self {
        Self {
            sessions: Sessions::new(&options.admin_token),
            journal: Journal::default(),
            options,
            ports,
            catalog: Catalog::default(),
            hub: ChangeHub::new(),
            logs: LogBook::default(),
            streams: Streams::new(),
            shutdown: CancellationToken::new(),
            requests: AtomicU64::new(0),
            pulse: Mutex::default(),
        }
    }

    /// Now, in the zone of the dashboard.
    pub(crate) fn moment(&self) -> LocalClock {
        LocalClock { now: self.ports.clock.now(), zone: self.options.timezone }
    }

    /// What every page shows; at most two seconds old, because every page shows it.
    pub(crate) async fn pulse(&self) -> Outcome<HeaderStatus> {
        let now = self.ports.clock.now();
        let kept = lock(&self.pulse).clone();
        if let Some((at, pulse)) = kept
            && now - at < TimeDelta::seconds(2)
        {
            return Ok(pulse);
        }
        let store = &self.ports.store;
        let (terms, replicas) = (store.view_terms(1).await?, store.view_replicas().await?);
        let lead = self.lead(terms.first(), &replicas, now);
        let pulse = HeaderStatus { broken: store.files_broken().await?.len(), lead };
        *lock(&self.pulse) = Some((now, pulse.clone()));
        Ok(pulse)
    }

    /// Whether some scheduler leads. What the one in this process knows of itself counts more than what the store has of it: it
    /// may be unable to write just that.
    pub(crate) fn lead(
        &self,
        newest: Option<&TermRow>,
        replicas: &[ReplicaRow],
        now: DateTime<Utc>,
    ) -> LeadershipState {
        let process_health = self.ports.process_health.borrow();
        match (process_health.troubles.first(), LeadershipState::of(newest, replicas, now)) {
            (Some(why), _) => LeadershipState::Stuck { why: why.clone() },
            // Its last beat is of a second ago.
            (None, LeadershipState::Stuck { .. }) if process_health.leads => LeadershipState::Held,
            (None, lead) => lead,
        }
    }

    /// What keeps the leader from doing its part just now. Unlike the pulse, which may be of a moment ago.
    pub(crate) async fn stuck(&self) -> Outcome<Option<String>> {
        let store = &self.ports.store;
        let (terms, replicas) = (store.view_terms(1).await?, store.view_replicas().await?);
        match self.lead(terms.first(), &replicas, self.ports.clock.now()) {
            LeadershipState::Stuck { why } => Ok(Some(why)),
            LeadershipState::Held | LeadershipState::Vacant { .. } | LeadershipState::Never => Ok(None),
        }
    }

    /// Something changed that every page shows: the next page reads it anew.
    pub(crate) fn pulse_forget(&self) {
        *lock(&self.pulse) = None;
    }

    /// How many DAG files cannot be read.
    pub(crate) async fn files_broken(&self) -> Outcome<usize> {
        Ok(self.pulse().await?.broken)
    }

    /// Tells the leader that a person wrote something, and dashboards that `change` happened. Both are hints: what
    /// was written stands, so a broker that is away only delays it.
    pub(crate) async fn wake(&self, change: Change) {
        self.tell(Bell::Intent, change).await;
    }

    /// The same, with another bell.
    pub(crate) async fn tell(&self, bell: Bell, change: Change) {
        let rung = self.ports.broker.ring(bell).await;
        let announced = self.ports.broker.announce(&[change]).await;
        if let Err(error) = rung.and(announced) {
            warn!(%error, "the broker is away; the leader will find the intent by its sweep");
        }
    }

    /// A run that exists.
    pub(crate) async fn run(&self, run: RunId) -> Outcome<RunRow> {
        self.ports.store.run_load(run).await?.ok_or_else(|| Error::missing("run", &run.to_string()))
    }
}

/// A DAG's name from an address. What could not be one does not exist.
pub(crate) fn dag_id(text: &str) -> Outcome<DagId> {
    text.parse().map_err(|_| Error::missing("DAG", text))
}

/// A run's number from an address.
pub(crate) fn run_id(text: &str) -> Outcome<RunId> {
    let canonical =
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| canonical).ok_or_else(|| Error::missing("run", text))
}

/// A worker's name from an address.
pub(crate) fn worker_id(text: &str) -> Outcome<WorkerId> {
    text.parse().map_err(|_| Error::missing("worker", text))
}

/// A DAG that exists, with what its current version says.
pub(crate) struct FoundDag {
    pub(crate) row: DagRow,
    /// `None` if this build cannot read it.
    pub(crate) dag: Option<Arc<Dag>>,
}

impl Ctx {
    /// A DAG that exists.
    pub(crate) async fn dag(&self, id: &DagId) -> Outcome<FoundDag> {
        let store = &*self.app.ports.store;
        let row = store.view_dag(id).await?.ok_or_else(|| Error::missing("DAG", id.as_str()))?;
        let dag = self.app.catalog.get(store, &row.dag, row.version).await?;
        Ok(FoundDag { row, dag })
    }

    /// The version a run is pinned to; `None` if this build cannot read it.
    pub(crate) async fn version(&self, run: &RunRow) -> Outcome<Option<Arc<Dag>>> {
        let store = &*self.app.ports.store;
        self.app.catalog.get(store, &run.dag, run.version).await
    }
}

impl FromRequestParts<SharedApp> for Ctx {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &SharedApp) -> Result<Self, Error> {
        let who = parts.extensions.get::<Visitor>().cloned().ok_or(Error::Unauthorized)?;
        app.requests.fetch_add(1, Ordering::Relaxed);
        Ok(Self { app: Arc::clone(app), who, moment: app.moment() })
    }
}
