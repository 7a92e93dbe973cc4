//! A small world to make claims in: a leader in its term, one DAG with one version, runs, tasks and workers on demand.

#![expect(missing_docs, reason = "a world for claims: its names say all")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rota_core::id::{
    AttemptKey, DagId, DagVersion, Epoch, Incarnation, QueueName, ReplicaId, RunId, TaskKey, TaskName,
    TaskNo, WorkerId,
};
use rota_core::port::{
    Actor, Batch, ClaimRequest, Claimed, Committed, DagPut, FilesPut, Finish, NewRun, Object, PlannedRetry,
    QueuedTask, RunTransition, SettledTask, Store, StoreError, StoreResult, TaskRow, TriggerRequest,
    WorkerHello,
};
use rota_core::state::{RunState, TaskState};

/// Long enough for any claim.
pub const LONG: Duration = Duration::from_secs(600);

pub struct World {
    pub store: Arc<dyn Store>,
    pub epoch: Epoch,
    /// When the world began, by the store's clock.
    pub at: DateTime<Utc>,
    slots: AtomicI64,
    nonces: AtomicU32,
}

/// One life of a worker.
#[derive(Debug, Clone)]
pub struct Hands {
    pub worker: WorkerId,
    pub incarnation: Incarnation,
}

impl World {
    /// Begins a term and stores the DAG `d`, version 1.
    pub async fn begin(store: Arc<dyn Store>) -> Self {
        let epoch = store.term_begin(&ReplicaId::trusted("r1")).await.unwrap();
        let at = store.now().await.unwrap();
        let world = Self { store, epoch, at, slots: AtomicI64::new(0), nonces: AtomicU32::new(0) };
        world.put(dag_put("d", "one")).await;
        world
    }

    pub async fn put(&self, put: DagPut) -> DagVersion {
        let files = FilesPut { dags: vec![put], at: self.at, ..FilesPut::default() };
        self.store.files_put(self.epoch, &files).await.unwrap()[0].1
    }

    pub async fn commit(&self, batch: Batch) -> StoreResult<Committed> {
        self.store.batch_commit(self.epoch, &batch).await
    }

    /// A new run of `d` that is not among the others' slots.
    pub fn new_run(&self) -> NewRun {
        self.new_run_of("d")
    }

    pub fn new_run_of(&self, dag: &str) -> NewRun {
        let minute = self.slots.fetch_add(1, Ordering::Relaxed);
        NewRun { dag: DagId::trusted(dag), ..Self::bare_run(self.at + TimeDelta::minutes(minute)) }
    }

    /// A run of `d` for that slot.
    pub fn bare_run(slot: DateTime<Utc>) -> NewRun {
        NewRun {
            dag: DagId::trusted("d"),
            version: DagVersion(1),
            slot,
            interval_start: Some(slot - TimeDelta::minutes(1)),
            state: RunState::Running,
            params: Object::new(),
            at: slot + TimeDelta::milliseconds(3),
        }
    }

    pub async fn run(&self) -> RunId {
        let runs = vec![self.new_run()];
        self.commit(Batch { runs, ..Batch::default() }).await.unwrap().runs[0]
    }

    pub fn request(&self) -> TriggerRequest {
        TriggerRequest {
            dag: DagId::trusted("d"),
            version: DagVersion(1),
            params: Object::new(),
            idempotency_key: None,
        }
    }

    /// A new run with so many queued tasks.
    pub async fn queued(&self, tasks: u32) -> Vec<AttemptKey> {
        let run = self.run().await;
        let keys: Vec<AttemptKey> =
            (0..tasks).map(|no| TaskKey::single(run, TaskNo(no)).attempt(1)).collect();
        let queues = keys.iter().map(|key| self.queue_of(*key)).collect();
        self.commit(Batch { queues, ..Batch::default() }).await.unwrap();
        keys
    }

    pub fn queue_of(&self, key: AttemptKey) -> QueuedTask {
        QueuedTask {
            key,
            name: TaskName::trusted(format!("t{}", key.task.task)),
            queue: QueueName::trusted(QueueName::DEFAULT),
            priority: 0,
            at: self.at,
        }
    }

    pub fn settle_of(&self, key: TaskKey, state: TaskState) -> SettledTask {
        SettledTask {
            key,
            name: TaskName::trusted(format!("t{}", key.task)),
            state,
            reason: "because".to_owned(),
            at: self.at,
        }
    }

    pub fn retry_of(&self, key: AttemptKey) -> PlannedRetry {
        PlannedRetry { key, retry_at: self.at + TimeDelta::seconds(5), failures: 1, losses: 0, error: None }
    }

    /// A worker with a long lease.
    pub async fn worker(&self, name: &str) -> Hands {
        let incarnation = self.store.worker_register(&hello(name, LONG)).await.unwrap();
        Hands { worker: WorkerId::trusted(name), incarnation }
    }

    pub fn request_of(&self, hands: &Hands, keys: &[AttemptKey]) -> ClaimRequest {
        ClaimRequest {
            worker: hands.worker.clone(),
            incarnation: hands.incarnation,
            nonce: u128::from(self.nonces.fetch_add(1, Ordering::Relaxed)) << 64 | 7,
            keys: keys.to_vec(),
        }
    }

    pub async fn claim(&self, hands: &Hands, keys: &[AttemptKey]) -> Vec<Claimed> {
        self.store.tasks_claim(&self.request_of(hands, keys)).await.unwrap()
    }

    /// One task that runs on a worker of its own.
    pub async fn running(&self, worker: &str) -> (Hands, Claimed) {
        let keys = self.queued(1).await;
        let hands = self.worker(worker).await;
        let claimed = self.claim(&hands, &keys).await.remove(0);
        (hands, claimed)
    }

    /// How a claimed attempt ended.
    pub fn finish_of(&self, claimed: &Claimed, state: TaskState) -> Finish {
        let failed = state != TaskState::Success;
        Finish {
            key: claimed.key,
            token: claimed.token,
            state,
            spawned_at: Some(self.at + TimeDelta::milliseconds(1)),
            ended_at: self.at + TimeDelta::milliseconds(2),
            exit_code: Some(i32::from(failed)),
            signal: None,
            error: failed.then(|| "exit code 1".to_owned()),
            outputs: None,
        }
    }

    pub async fn finish(&self, claimed: &Claimed, state: TaskState) {
        let late = self.store.tasks_finish(&[self.finish_of(claimed, state)]).await.unwrap();
        assert_eq!(late, vec![]);
    }

    pub async fn task(&self, key: TaskKey) -> TaskRow {
        self.store.tasks_load(&[key]).await.unwrap().remove(0)
    }

    pub async fn move_run(&self, run: RunId, from: RunState, to: RunState) -> StoreResult<Committed> {
        self.move_run_at(run, (from, to), self.at).await
    }

    pub async fn move_run_at(
        &self,
        run: RunId,
        step: (RunState, RunState),
        at: DateTime<Utc>,
    ) -> StoreResult<Committed> {
        let reason = step.1.is_terminal().then(|| format!("it was {}", step.1));
        let run_transitions = vec![RunTransition { run, from: step.0, to: step.1, at, reason }];
        self.commit(Batch { run_transitions, ..Batch::default() }).await
    }
}

pub fn hello(name: &str, lease: Duration) -> WorkerHello {
    WorkerHello {
        id: WorkerId::trusted(name),
        host: "host".to_owned(),
        pid: 42,
        version: "0.1.0".to_owned(),
        queues: vec![QueueName::trusted(QueueName::DEFAULT), QueueName::trusted("noop")],
        labels: Object::from_iter([("zone".to_owned(), "a".into())]),
        slots: 4,
        lease,
    }
}

pub fn dag_put(dag: &str, source: &str) -> DagPut {
    DagPut {
        dag: DagId::trusted(dag),
        path: format!("{dag}.yaml"),
        source: source.to_owned(),
        hash: format!("hash of {source}"),
        cursor: None,
        next_slot: None,
    }
}

pub fn admin() -> Actor {
    Actor { name: "admin".to_owned(), origin: "127.0.0.1".to_owned() }
}

#[track_caller]
pub fn assert_conflict<T: std::fmt::Debug>(result: StoreResult<T>) {
    assert!(matches!(result, Err(StoreError::Conflict(_))), "expected a conflict, got {result:?}");
}

#[track_caller]
pub fn assert_refused<T: std::fmt::Debug>(result: StoreResult<T>) {
    assert!(matches!(result, Err(StoreError::Refused(_))), "expected a refusal, got {result:?}");
}

#[track_caller]
pub fn assert_not_found<T: std::fmt::Debug>(result: StoreResult<T>) {
    assert!(matches!(result, Err(StoreError::NotFound(_))), "expected nothing to be found, got {result:?}");
}

#[track_caller]
pub fn assert_fenced<T: std::fmt::Debug>(result: StoreResult<T>) {
    assert!(matches!(result, Err(StoreError::Fenced(_))), "expected the fence, got {result:?}");
}
