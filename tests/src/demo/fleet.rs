//! The schedulers and workers of the demonstration: three replicas that took turns, a leader that was lost when no other
//! was there, and workers of which one drains and one is gone for good.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rota_core::dag::parse;
use rota_core::id::{Epoch, Incarnation, QueueName, ReplicaId, WorkerId};
use rota_core::port::{
    Beat, BeatReply, ReplicaBeat, ReplicaPlans, ReplicaState, TermPlans, WorkerFacts, WorkerHello,
    WorkerPlans, WorkerState,
};
use serde_json::{Value, json};

use super::Demo;
use super::dags::DAGS;

/// How long after the slot that the demonstration misses somebody led again.
pub(super) const OUTAGE: TimeDelta = TimeDelta::seconds(751);

/// A worker of the demonstration.
pub(super) struct Hand {
    pub(super) id: WorkerId,
    pub(super) incarnation: Incarnation,
    running: u32,
    state: WorkerState,
}

/// When nobody led.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outage {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Outage {
    /// Around the newest slot that is missed.
    pub(super) fn before(now: DateTime<Utc>) -> Self {
        let dag = DAGS.iter().find(|dag| !dag.missed.is_empty()).expect("one DAG misses a slot");
        let schedule = parse(dag.path, dag.source).unwrap().schedule.expect("and has a schedule");
        let slot = schedule.previous_before(now).expect("and a past");
        Self { from: slot - TimeDelta::seconds(2), to: (slot + OUTAGE).min(now) }
    }

    /// When a slot could be fired: at its time, or when somebody led again.
    pub(super) fn over(&self, slot: DateTime<Utc>) -> DateTime<Utc> {
        if self.from < slot && slot < self.to { self.to } else { slot }
    }
}

impl Demo {
    /// Who led when.
    pub(super) async fn terms(&mut self, now: DateTime<Utc>) {
        let outage = self.outage;
        let since = now - outage.to;
        let upgrade = outage.to + since / 2;
        let lost = now - TimeDelta::minutes(26).min(since / 8);
        for id in ["sched-a", "sched-b", "sched-c"] {
            self.clock.set(Some(outage.from - TimeDelta::hours(20)));
            self.replica(id, ReplicaState::Standby, None).await;
        }
        self.clock.set(Some(outage.from));
        self.replica("sched-a", ReplicaState::Leader, Some(self.epoch)).await;
        self.begin("sched-c", outage.to).await;
        self.clock.set(Some(upgrade - TimeDelta::milliseconds(180)));
        self.store.term_end(self.epoch).await.unwrap();
        self.begin("sched-a", upgrade).await;
        self.clock.set(Some(lost - TimeDelta::milliseconds(1_900)));
        self.replica("sched-a", ReplicaState::Leader, Some(self.epoch)).await;
        self.begin("sched-b", lost).await;
    }

    async fn begin(&mut self, id: &str, at: DateTime<Utc>) {
        self.clock.set(Some(at));
        self.epoch = self.store.term_begin(&ReplicaId::trusted(id)).await.unwrap();
    }

    async fn replica(&self, id: &str, state: ReplicaState, epoch: Option<Epoch>) {
        let beat = ReplicaBeat {
            id: ReplicaId::trusted(id),
            host: format!("{id}.rota.svc"),
            pid: 7,
            version: env!("CARGO_PKG_VERSION").into(),
            zones: rota_core::schedule::zone_data().version().into(),
            dags_dir: Some("/srv/rota/dags".into()),
            state,
            epoch,
            turned_ago: None,
            trouble: None,
        };
        self.store.replica_beat(&beat).await.unwrap();
    }

    /// Workers besides the one that the history is played by.
    pub(super) async fn hands(&mut self, now: DateTime<Utc>) {
        self.clock.set(Some(now - TimeDelta::hours(3)));
        let mut lost = hello("wk-fra-01", &["default"], &json!({"zone": "fra"}));
        lost.lease = Duration::from_secs(30);
        let incarnation = self.store.worker_register(&lost).await.unwrap();
        let mut hand = Hand { id: lost.id, incarnation, running: 3, state: WorkerState::Live };
        self.hand_beats(&mut hand, lost.lease).await;
        self.clock.set(Some(now - TimeDelta::hours(2)));
        self.store.workers_reap(self.epoch).await.unwrap();
        for (id, queues, labels, running, state) in [
            ("wk-gpu-01", ["gpu", "default"], json!({"zone": "fra", "gpu": "a100"}), 1, WorkerState::Live),
            ("wk-ham-02", ["default", "etl"], json!({"zone": "ham"}), 3, WorkerState::Draining),
        ] {
            let mut hello = hello(id, &queues, &labels);
            hello.slots = 4 + running * 2;
            let incarnation = self.store.worker_register(&hello).await.unwrap();
            self.hands.push(Hand { id: hello.id, incarnation, running, state });
        }
    }

    /// A heartbeat of everybody who lives.
    pub async fn beat(&self) {
        for (id, state, epoch) in [
            ("sched-a", ReplicaState::Standby, None),
            ("sched-b", ReplicaState::Leader, Some(self.epoch)),
            ("sched-c", ReplicaState::Standby, None),
        ] {
            self.replica(id, state, epoch).await;
        }
        for hand in &self.hands {
            let mut hand = Hand { id: hand.id.clone(), ..*hand };
            self.hand_beats(&mut hand, Duration::from_secs(3600)).await;
        }
    }

    async fn hand_beats(&self, hand: &mut Hand, lease: Duration) {
        for _ in 0..2 {
            let (worker, incarnation, running, state) =
                (hand.id.clone(), hand.incarnation, hand.running, hand.state);
            let beat = Beat { worker, incarnation, running, state, trouble: None, lease };
            match self.store.worker_beat(&beat).await.unwrap() {
                // As a worker does: it says at once that it has heard.
                BeatReply::Live { drain: true, .. } if hand.state == WorkerState::Live => {
                    hand.state = WorkerState::Draining;
                }
                BeatReply::Live { .. } | BeatReply::Fenced => return,
            }
        }
    }

    /// The worker that the history is played by.
    pub(super) async fn first_hand(&mut self) {
        let mut hello = hello("wk-ham-01", &["default", "etl"], &json!({"zone": "ham", "disk": "ssd"}));
        hello.lease = Duration::from_secs(90 * 86_400);
        let incarnation = self.store.worker_register(&hello).await.unwrap();
        self.hands.push(Hand { id: hello.id, incarnation, running: 2, state: WorkerState::Live });
    }
}

fn hello(id: &str, queues: &[&str], labels: &Value) -> WorkerHello {
    let queues = queues.iter().chain([&QueueName::NOOP]);
    WorkerHello {
        id: WorkerId::trusted(id),
        host: format!("{id}.rota.svc"),
        pid: 4711,
        version: env!("CARGO_PKG_VERSION").into(),
        queues: queues.map(QueueName::trusted).collect(),
        labels: labels.as_object().cloned().expect("labels are an object"),
        slots: 8,
        lease: Duration::from_secs(3600),
    }
}
