//! A store full of plausible history, written through the ports as leader and worker would: for looking at the
//! dashboard, and for tests of it in a browser.

mod dags;
mod fleet;
mod longest;
mod play;

use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use rota_backend::{SqliteStore, SystemClock};
use rota_core::dag::parse;
use rota_core::id::{DagId, Epoch, ReplicaId};
use rota_core::port::{Actor, Clock, DagFilePlans, DagIntents, DagPut, FileErrorPut, FilesPut, TermPlans};

use dags::{BROKEN, DAGS, DemoDag};
use fleet::{Hand, Outage};

/// The system's clock, or an instant of the past while history is written.
#[derive(Debug, Default)]
pub struct DemoClock(Mutex<Option<DateTime<Utc>>>);

impl DemoClock {
    /// Stops at this instant, or goes with the system's clock again.
    pub fn set(&self, at: Option<DateTime<Utc>>) {
        *self.0.lock().unwrap() = at;
    }
}

impl Clock for DemoClock {
    fn now(&self) -> DateTime<Utc> {
        self.0.lock().unwrap().unwrap_or_else(|| SystemClock.now())
    }
}

/// The demonstration: its store and who writes to it.
pub struct Demo {
    /// The store.
    pub store: Arc<SqliteStore>,
    /// Its clock.
    pub clock: Arc<DemoClock>,
    epoch: Epoch,
    /// The first one plays the history.
    hands: Vec<Hand>,
    outage: Outage,
    /// Grows with each claim.
    nonce: u128,
}

impl Demo {
    /// Opens a store at `path` and writes a day of history into it, up to now.
    pub async fn new(path: &std::path::Path) -> Self {
        Self::of(path, DAGS, BROKEN).await
    }

    /// The same of DAGs and tasks that have the longest names there can be.
    pub async fn with_longest_names(path: &std::path::Path) -> Self {
        Self::of(path, &longest::dags(), longest::broken()).await
    }

    async fn of(path: &std::path::Path, dags: &[DemoDag], broken: (&str, &str)) -> Self {
        let clock = Arc::new(DemoClock::default());
        let now = SystemClock.now();
        clock.set(Some(now - TimeDelta::days(40)));
        let store = Arc::new(SqliteStore::open(path, clock.clone()).await.unwrap());
        let epoch = store.term_begin(&ReplicaId::trusted("sched-a")).await.unwrap();
        let outage = Outage::before(now);
        let mut demo = Self { store, clock, epoch, hands: Vec::new(), outage, nonce: 0 };
        demo.first_hand().await;
        demo.terms(now).await;
        demo.hands(now).await;
        demo.files(now, dags, broken).await;
        for dag in dags {
            demo.history(dag, now).await;
        }
        demo.clock.set(None);
        demo.beat().await;
        demo
    }

    async fn files(&self, now: DateTime<Utc>, dags: &[DemoDag], broken: (&str, &str)) {
        let put = |path: &str, source: &str| {
            let dag = parse(path, source).unwrap_or_else(|errors| panic!("{errors}"));
            let next = dag.schedule.as_ref().and_then(|schedule| schedule.next_after(now));
            let hash = format!("{:064x}", source.len() * 7919);
            let (path, source) = (path.to_owned(), source.to_owned());
            DagPut { dag: dag.id, path, source, hash, cursor: Some(now), next_slot: next }
        };
        let puts = dags.iter().map(|dag| put(dag.path, dag.source)).collect();
        let files = FilesPut { dags: puts, at: now - TimeDelta::days(12), ..FilesPut::default() };
        self.store.files_put(self.epoch, &files).await.unwrap();
        let errors = parse(broken.0, broken.1).expect_err("the file is broken");
        let error = FileErrorPut {
            path: broken.0.to_owned(),
            errors: serde_json::to_value(errors).unwrap(),
            source: broken.1.to_owned(),
        };
        let files = FilesPut { errors: vec![error], at: now - TimeDelta::hours(1), ..FilesPut::default() };
        self.store.files_put(self.epoch, &files).await.unwrap();
        for dag in dags.iter().filter(|dag| dag.paused) {
            let id: DagId = parse(dag.path, dag.source).unwrap().id;
            let actor = Actor { name: "ana".into(), origin: "10.1.4.7".into() };
            self.clock.set(Some(now - TimeDelta::hours(17)));
            self.store.dag_pause(&id, true, &actor).await.unwrap();
        }
    }
}
