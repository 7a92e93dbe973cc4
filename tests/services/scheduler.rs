//! The leader's loop over the real embedded store: DAG files become versions, slots become runs, facts become plans, and a
//! leader that dies is followed by one that goes on.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rota_backend::{InProcessBroker, SoloLeadership, SqliteStore, SystemClock};
use rota_core::id::{AttemptKey, ClaimToken, DagId, Incarnation, QueueName, ReplicaId, RunId, WorkerId};
use rota_core::port::{
    Actor, BatchPlans, Bell, Broker, ClaimRequest, Claimed, DagFileReads, DagViews, Finish, IntentKind,
    Object, RetrySelection, RunFilter, RunIntents, RunReads, RunRow, RunViews, SlotFilter, SlotOutcome,
    SlotViews, TaskFacts, TaskReads, TaskViews, TriggerRequest, WorkerFacts, WorkerHello,
};
use rota_core::state::{RunState, TaskState};
use rota_scheduler::{Options, Ports, Scheduler};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

struct House {
    dir: tempfile::TempDir,
    store: Arc<SqliteStore>,
    broker: Arc<InProcessBroker>,
    leader: Option<(JoinHandle<()>, CancellationToken)>,
    incarnation: Incarnation,
}

fn worker_id() -> WorkerId {
    WorkerId::trusted("w")
}

impl House {
    async fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(dir.path().join("dags")).expect("a DAG directory");
        for (name, text) in files {
            std::fs::write(dir.path().join("dags").join(name), text).expect("a DAG file");
        }
        let store =
            SqliteStore::open(dir.path().join("rota.db"), Arc::new(SystemClock)).await.expect("a store");
        let mut house = Self {
            dir,
            store: Arc::new(store),
            broker: Arc::new(InProcessBroker::new()),
            leader: None,
            incarnation: Incarnation(0),
        };
        house.register().await;
        house
    }

    async fn register(&mut self) {
        let hello = WorkerHello {
            id: worker_id(),
            host: "here".to_owned(),
            pid: 1,
            version: "test".to_owned(),
            queues: vec![QueueName::trusted(QueueName::DEFAULT), QueueName::trusted(QueueName::NOOP)],
            labels: Object::new(),
            slots: 4,
            lease: Duration::from_secs(600),
        };
        self.incarnation = self.store.worker_register(&hello).await.expect("a registration");
        self.broker.ring(Bell::Workers).await.expect("a bell");
    }

    fn dags(&self) -> std::path::PathBuf {
        self.dir.path().join("dags")
    }

    fn lead(&mut self) {
        let replica = ReplicaId::trusted("r");
        let mut options = Options::new(replica.clone());
        options.dags_dir = Some(self.dags());
        options.sweep = Duration::from_millis(100);
        let ports = Ports {
            plans: self.store.clone(),
            broker: self.broker.clone(),
            leadership: Arc::new(SoloLeadership::new(replica)),
        };
        let stop = CancellationToken::new();
        let leader = tokio::spawn(Scheduler::new(options, ports).run(stop.clone()));
        self.leader = Some((leader, stop));
    }

    /// The leader is gone from one moment to the next.
    fn crash_leader(&mut self) {
        if let Some((leader, _)) = self.leader.take() {
            leader.abort();
        }
    }

    async fn until<T, F: Future<Output = Option<T>>>(&self, what: &str, look: impl Fn() -> F) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(Instant::now() < deadline, "no {what} within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn trigger(&self, dag: &str) -> RunId {
        let dag: DagId = dag.parse().expect("a DAG id");
        let row = self
            .until("DAG", async || self.store.view_dag(&dag).await.expect("a view").filter(|row| row.present))
            .await;
        let request =
            TriggerRequest { dag, version: row.version, params: Object::new(), idempotency_key: None };
        let run = self.store.run_trigger(&request, &actor()).await.expect("a run").run;
        self.broker.ring(Bell::Intent).await.expect("a bell");
        run.id
    }

    async fn run_in(&self, run: RunId, state: RunState) -> RunRow {
        let what = format!("run {run} in state {state}");
        self.until(&what, async || {
            self.store.run_load(run).await.expect("a view").filter(|run| run.state == state)
        })
        .await
    }

    /// Claims the queued attempt of that task, once there is one.
    async fn claim(&self, run: RunId, task: &str) -> Claimed {
        let what = format!("queued attempt of {task} in run {run}");
        let key: AttemptKey = self
            .until(&what, async || {
                let rows = self.store.tasks_of_runs(&[run]).await.expect("a view");
                let row = rows.iter().find(|row| row.name.as_str() == task && row.state == TaskState::Queued);
                row.map(|row| row.attempt_key())
            })
            .await;
        let request = ClaimRequest {
            worker: worker_id(),
            incarnation: self.incarnation,
            nonce: rand_nonce(),
            keys: vec![key],
        };
        let mut claimed = self.store.tasks_claim(&request).await.expect("a claim");
        claimed.pop().expect("nobody else claims")
    }

    async fn finish(&self, claimed: &Claimed, state: TaskState) {
        self.finish_quietly(claimed.key, claimed.token, state).await;
        self.broker.ring(Bell::Finished(vec![claimed.key])).await.expect("a bell");
    }

    /// The doorbell gets lost.
    async fn finish_quietly(&self, key: AttemptKey, token: ClaimToken, state: TaskState) {
        let finish = Finish {
            key,
            token,
            state,
            spawned_at: None,
            ended_at: self.store.now().await.expect("a time"),
            exit_code: Some(if state == TaskState::Success { 0 } else { 1 }),
            signal: None,
            error: (state != TaskState::Success).then(|| "exit code 1".to_owned()),
            outputs: None,
        };
        let late = self.store.tasks_finish(&[finish]).await.expect("a finish");
        assert!(late.is_empty());
    }
}

fn rand_nonce() -> u128 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    u128::from(NEXT.fetch_add(1, Ordering::Relaxed))
}

fn actor() -> Actor {
    Actor { name: "ana".to_owned(), origin: String::new() }
}

const CHAIN: &str = "dag: chain\ntasks:\n  a: {run: \"true\"}\n  b: {run: \"true\", needs: [a], retries: 1, retry_delay: 1ms}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_run_walks_its_tasks_in_order_and_ends() {
    let mut house = House::new(&[("chain.yaml", CHAIN)]).await;
    house.lead();
    let run = house.trigger("chain").await;
    let a = house.claim(run, "a").await;
    let rows = house.store.tasks_of_runs(&[run]).await.expect("a view");
    assert_eq!(rows.len(), 1, "b has no row before a has ended");
    house.finish(&a, TaskState::Success).await;
    let b = house.claim(run, "b").await;
    house.finish(&b, TaskState::Success).await;
    house.run_in(run, RunState::Success).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_retried_and_the_last_one_fails_the_run_with_its_reason() {
    let mut house = House::new(&[("chain.yaml", CHAIN)]).await;
    house.lead();
    let run = house.trigger("chain").await;
    let a = house.claim(run, "a").await;
    house.finish(&a, TaskState::Success).await;
    for attempt in 1..=2 {
        let b = house.claim(run, "b").await;
        assert_eq!(b.key.attempt, attempt);
        house.finish(&b, TaskState::Failed).await;
    }
    let run = house.run_in(run, RunState::Failed).await;
    assert_eq!(run.reason.as_deref(), Some("task b failed: exit code 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_doorbell_costs_a_sweep_and_no_more() {
    let mut house = House::new(&[("chain.yaml", CHAIN)]).await;
    house.lead();
    let run = house.trigger("chain").await;
    let a = house.claim(run, "a").await;
    house.finish_quietly(a.key, a.token, TaskState::Success).await;
    let b = house.claim(run, "b").await;
    house.finish_quietly(b.key, b.token, TaskState::Success).await;
    house.run_in(run, RunState::Success).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_leader_goes_on_where_the_last_one_died() {
    let mut house = House::new(&[("chain.yaml", CHAIN)]).await;
    house.lead();
    let run = house.trigger("chain").await;
    let a = house.claim(run, "a").await;
    house.crash_leader();
    house.finish(&a, TaskState::Success).await;
    house.lead();
    let b = house.claim(run, "b").await;
    house.crash_leader();
    house.finish(&b, TaskState::Failed).await;
    house.lead();
    let b = house.claim(run, "b").await;
    assert_eq!(b.key.attempt, 2);
    house.finish(&b, TaskState::Success).await;
    house.run_in(run, RunState::Success).await;
    let attempts = house.store.view_attempts(b.key.task).await.expect("a view");
    assert_eq!(
        attempts.iter().map(|row| row.state).collect::<Vec<_>>(),
        [TaskState::Failed, TaskState::Success]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_of_a_worker_that_came_back_as_another_are_lost_and_started_again() {
    let mut house = House::new(&[("chain.yaml", CHAIN)]).await;
    house.lead();
    let run = house.trigger("chain").await;
    let lost = house.claim(run, "a").await;
    house.register().await;
    let again = house.claim(run, "a").await;
    assert_eq!((lost.key.attempt, again.key.attempt), (1, 2));
    house.finish(&again, TaskState::Success).await;
    let b = house.claim(run, "b").await;
    house.finish(&b, TaskState::Success).await;
    house.run_in(run, RunState::Success).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_ends_when_its_last_process_has() {
    let mut house = House::new(&[("chain.yaml", CHAIN)]).await;
    house.lead();
    let run = house.trigger("chain").await;
    let a = house.claim(run, "a").await;
    house.store.intent_add(run, &IntentKind::Cancel, &actor()).await.expect("an intent");
    house.broker.ring(Bell::Intent).await.expect("a bell");
    house
        .until("cancel request", async || {
            let rows = house.store.tasks_of_runs(&[run]).await.expect("a view");
            rows.iter().any(|row| row.cancel_requested).then_some(())
        })
        .await;
    assert_eq!(house.store.run_load(run).await.expect("a view").expect("a run").state, RunState::Running);
    house.finish(&a, TaskState::Cancelled).await;
    let row = house.run_in(run, RunState::Cancelled).await;
    assert_eq!(row.reason.as_deref(), Some("cancelled by ana"));
    house
        .store
        .intent_add(run, &IntentKind::Retry(RetrySelection::Failed), &actor())
        .await
        .expect("an intent");
    house.broker.ring(Bell::Intent).await.expect("a bell");
    let a = house.claim(run, "a").await;
    assert_eq!(a.key.attempt, 2);
    house.finish(&a, TaskState::Success).await;
    let b = house.claim(run, "b").await;
    house.finish(&b, TaskState::Success).await;
    house.run_in(run, RunState::Success).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_fire_once_each_across_leader_crashes() {
    let tick = "dag: tick\nschedule: {cron: \"* * * * * *\"}\ntasks:\n  only: {noop: true}\n";
    let mut house = House::new(&[("tick.yaml", tick)]).await;
    let dag: DagId = "tick".parse().expect("a DAG id");
    for _ in 0..5 {
        house.lead();
        let before = fired(&house, &dag).await.len();
        house.until("slots", async || (fired(&house, &dag).await.len() > before).then_some(())).await;
        house.crash_leader();
    }
    let slots = fired(&house, &dag).await;
    let runs = house
        .store
        .view_runs(&RunFilter { dag: Some(dag.clone()), limit: 100, ..RunFilter::default() })
        .await;
    let mut run_slots: Vec<_> = runs.expect("a view").iter().filter_map(|run| run.slot).collect();
    run_slots.sort();
    assert_eq!(slots, run_slots, "each fired slot has exactly one run");
    for pair in slots.windows(2) {
        assert_eq!((pair[1] - pair[0]).num_milliseconds(), 1000, "no second was lost or doubled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_passed_before_a_schedule_was_edited_are_in_the_ledger() {
    let tick = "dag: tick\nschedule: {cron: \"* * * * * *\"}\ntasks:\n  only: {noop: true}\n";
    let mut house = House::new(&[("tick.yaml", tick)]).await;
    let dag: DagId = "tick".parse().expect("a DAG id");
    house.lead();
    house.until("slot", async || fired(&house, &dag).await.pop()).await;
    house.crash_leader();
    let last = fired(&house, &dag).await.pop().expect("a slot");
    // Nobody leads, slots pass, and their schedule is replaced by another.
    house
        .until("slots that pass", async || {
            let now = house.store.now().await.expect("a clock");
            (now > last + chrono::TimeDelta::milliseconds(2100)).then_some(())
        })
        .await;
    write(&house.dags().join("tick.yaml"), &tick.replace("* * * * * *", "0 0 1 1 *"));
    house.lead();
    let outcome = Some(SlotOutcome::Missed);
    let filter = SlotFilter { dag: Some(dag), outcome, limit: 9, ..SlotFilter::default() };
    let missed =
        house.until("entry", async || house.store.view_slots(&filter).await.expect("a view").pop()).await;
    assert_eq!(missed.slot, last + chrono::TimeDelta::seconds(1), "no second is left out");
    assert_eq!((missed.to - missed.slot).num_seconds() + 1, missed.count as i64);
    assert!(missed.count >= 2 && missed.run.is_none(), "{missed:?}");
    assert!(missed.reason.expect("a reason").contains("the schedule was changed"));
}

async fn fired(house: &House, dag: &DagId) -> Vec<chrono::DateTime<chrono::Utc>> {
    let filter = SlotFilter { dag: Some(dag.clone()), limit: 1000, ..SlotFilter::default() };
    let rows = house.store.view_slots(&filter).await.expect("a view");
    let mut slots: Vec<_> =
        rows.iter().filter(|row| row.outcome == SlotOutcome::Fired).map(|row| row.slot).collect();
    slots.sort();
    slots
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_edit_keeps_the_last_good_version_and_a_mended_one_becomes_the_next() {
    let mut house =
        House::new(&[("chain.yaml", CHAIN), ("other.yaml", "tasks: {only: {noop: true}}\n")]).await;
    house.lead();
    let dag: DagId = "chain".parse().expect("a DAG id");
    let version =
        house.until("DAG", async || house.store.view_dag(&dag).await.expect("a view")).await.version;
    write(&house.dags().join("chain.yaml"), "dag: chain\ntasks:\n  a: {rum: \"true\"}\n");
    let broken =
        house.until("broken file", async || house.store.files_broken().await.expect("a view").pop()).await;
    assert_eq!((broken.path.as_str(), broken.dag.as_ref()), ("chain.yaml", Some(&dag)));
    let row = house.store.view_dag(&dag).await.expect("a view").expect("the DAG");
    assert!(row.present && row.version == version, "{row:?}");
    write(&house.dags().join("chain.yaml"), &CHAIN.replace("1ms", "2ms"));
    house
        .until("next version", async || {
            let row = house.store.view_dag(&dag).await.expect("a view").expect("the DAG");
            (row.version > version && house.store.files_broken().await.expect("a view").is_empty())
                .then_some(())
        })
        .await;
    std::fs::remove_file(house.dags().join("other.yaml")).expect("a removal");
    let other: DagId = "other".parse().expect("a DAG id");
    house
        .until("absence", async || {
            house.store.view_dag(&other).await.expect("a view").filter(|row| !row.present).map(|_| ())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_by_a_schedule_ends_when_its_file_is_deleted_and_what_people_asked_for_does_not() {
    let years = "dag: years\nschedule: {cron: '* * * * *', start: 2020-01-01, catchup: all}\noverlap: queue\n\
                 max_active_runs: 1\ntasks: {only: {run: 'true'}}\n";
    let mut house = House::new(&[("years.yaml", years)]).await;
    house.lead();
    let queued = async |house: &House| {
        let filter = RunFilter { states: vec![RunState::Queued], limit: 2000, ..RunFilter::default() };
        house.store.view_runs(&filter).await.expect("a view")
    };
    house.until("many queued runs", async || (queued(&house).await.len() > 600).then_some(())).await;
    let asked = house.trigger("years").await;
    std::fs::remove_file(house.dags().join("years.yaml")).expect("a removal");
    let left = house.until("the end of the queue", async || {
        let left = queued(&house).await;
        (left.len() <= 1).then_some(left)
    });
    assert_eq!(left.await.iter().map(|run| run.id).collect::<Vec<_>>(), [asked]);
    let filter = RunFilter { states: vec![RunState::Cancelled], limit: 1, ..RunFilter::default() };
    let ended = house.store.view_runs(&filter).await.expect("a view").pop().expect("an ended run");
    assert_eq!(ended.reason.as_deref(), Some("its DAG's file was deleted before it started"));
    let filter = RunFilter { states: vec![RunState::Running], limit: 10, ..RunFilter::default() };
    assert_eq!(house.store.view_runs(&filter).await.expect("a view").len(), 1, "what runs goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_files_that_claim_one_dag_are_told_apart_by_an_error() {
    let mut house = House::new(&[("a.yaml", CHAIN), ("b.yaml", CHAIN)]).await;
    house.lead();
    let broken =
        house.until("broken file", async || house.store.files_broken().await.expect("a view").pop()).await;
    assert_eq!(broken.path, "b.yaml");
    assert!(broken.errors.to_string().contains("a.yaml defines it too"), "{}", broken.errors);
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a writable DAG file");
}
