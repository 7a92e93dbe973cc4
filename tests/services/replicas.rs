//! Several scheduler replicas over one store: who leads, what happens when a port of theirs is away, and whose DAG files
//! count. The election is one inside this process, with a trust window that the test opens and shuts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rota_backend::{InProcessBroker, SoloLeadership, SqliteStore, SystemClock};
use rota_core::id::{DagId, DagVersion, Epoch, QueueName, ReplicaId, RunId};
use rota_core::port::{
    Actor, Broker, DagRow, DagViews, Leadership, LeadershipError, Object, ReplicaFilePlans, ReplicaState,
    ReplicaViews, RunIntents, RunReads, SlotFilter, SlotViews, TaskReads, Term, TermViews, TriggerRequest,
};
use rota_core::state::{RunState, TaskState};
use rota_scheduler::{Options, Ports, Scheduler, Status, Turns};
use rota_tests::conformance::until;
use rota_tests::faulty::{Fault, FaultyBroker, FaultyPlans, Switch};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// An election with one seat.
#[derive(Clone)]
struct Election {
    seat: SoloLeadership,
    is_reached: Arc<AtomicBool>,
}

#[async_trait]
impl Leadership for Election {
    async fn campaign(&self) -> Result<Box<dyn Term>, LeadershipError> {
        let term = self.seat.campaign().await?;
        Ok(Box::new(ShakyTerm { term, is_reached: Arc::clone(&self.is_reached) }))
    }

    async fn participants(&self) -> Result<Vec<ReplicaId>, LeadershipError> {
        self.seat.participants().await
    }
}

struct ShakyTerm {
    term: Box<dyn Term>,
    is_reached: Arc<AtomicBool>,
}

#[async_trait]
impl Term for ShakyTerm {
    fn is_trusted(&self) -> bool {
        self.is_reached.load(Ordering::SeqCst)
    }

    async fn ended(&self) {
        self.term.ended().await;
    }

    async fn resign(self: Box<Self>) {
        self.term.resign().await;
    }
}

/// What all replicas share.
struct House {
    dir: tempfile::TempDir,
    store: Arc<SqliteStore>,
    broker: Arc<InProcessBroker>,
    election: Election,
}

/// A replica that runs.
struct Replica {
    task: JoinHandle<()>,
    stop: CancellationToken,
    status: watch::Receiver<Status>,
    turns: Turns,
    store: Switch,
    broker: Switch,
}

impl House {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = SqliteStore::open(dir.path().join("rota.db"), Arc::new(SystemClock)).await;
        let election = Election {
            seat: SoloLeadership::new(ReplicaId::trusted("any")),
            is_reached: Arc::new(AtomicBool::new(true)),
        };
        Self {
            dir,
            store: Arc::new(store.expect("a store")),
            broker: Arc::new(InProcessBroker::new()),
            election,
        }
    }

    fn dags(&self, replica: &str) -> PathBuf {
        let dir = self.dir.path().join(replica);
        std::fs::create_dir_all(&dir).expect("a DAG directory");
        dir
    }

    fn start(&self, name: &str) -> Replica {
        let mut options = Options::new(ReplicaId::trusted(name));
        options.dags_dir = Some(self.dags(name));
        options.sweep = Duration::from_millis(100);
        options.store_patience = Duration::from_secs(2);
        let (store, broker) = (Switch::default(), Switch::default());
        let ports = Ports {
            plans: Arc::new(FaultyPlans::new(self.store.clone(), store.clone())),
            broker: Arc::new(FaultyBroker::new(self.broker.clone(), broker.clone())),
            leadership: Arc::new(self.election.clone()),
        };
        let scheduler = Scheduler::new(options, ports);
        let (stop, status, turns) = (CancellationToken::new(), scheduler.status(), scheduler.turns());
        let task = tokio::spawn(scheduler.run(stop.clone()));
        Replica { task, stop, status, turns, store, broker }
    }

    async fn dag(&self) -> Option<DagRow> {
        self.store.view_dag(&DagId::trusted("d")).await.expect("a view")
    }

    async fn version(&self, version: i64) -> DagRow {
        until(&format!("version {version}"), async || {
            self.dag().await.filter(|row| row.version == DagVersion(version) && row.present)
        })
        .await
    }

    async fn trigger(&self) -> RunId {
        let row = until("the DAG", async || self.dag().await.filter(|row| row.present)).await;
        let request = TriggerRequest {
            dag: row.dag,
            version: row.version,
            params: Object::new(),
            idempotency_key: None,
        };
        let actor = Actor { name: "ana".to_owned(), origin: String::new() };
        self.store.run_trigger(&request, &actor).await.expect("a run").run.id
    }

    async fn queued(&self, run: RunId) {
        until("a queued task", async || {
            let rows = self.store.tasks_of_runs(&[run]).await.expect("a view");
            rows.first().filter(|row| row.state == TaskState::Queued).map(drop)
        })
        .await;
    }

    async fn epoch(&self) -> Epoch {
        self.store.view_leader().await.expect("a view").epoch
    }

    async fn fired(&self) -> usize {
        let filter = SlotFilter { limit: 1000, ..SlotFilter::default() };
        self.store.view_slots(&filter).await.expect("a view").len()
    }
}

impl Replica {
    async fn leads(&mut self) -> Epoch {
        let leads = self.status.wait_for(|status| status.epoch.is_some() && status.dags.is_some());
        let leads = tokio::time::timeout(rota_tests::conformance::DEADLINE, leads).await;
        leads.expect("a leader soon").expect("it runs").epoch.expect("waited for")
    }

    async fn is_behind(&mut self, count: usize) -> Vec<String> {
        let behind = self.status.wait_for(|status| status.dags.is_some() && status.behind.len() == count);
        let behind = tokio::time::timeout(rota_tests::conformance::DEADLINE, behind).await;
        behind.expect("a look soon").expect("it runs").behind.clone()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("it ends in good order");
    }
}

fn text(version: u32) -> String {
    format!("dag: d\ntasks:\n  t: {{run: \"true\"}}\n# {version}\n")
}

fn write(dir: &Path, text: &str) {
    std::fs::write(dir.join("d.yaml"), text).expect("a DAG file");
}

/// Waits until a replica has told the store what it sees.
async fn seen(house: &House, replica: &str, text: &str) {
    use std::collections::BTreeSet;
    let dir = tempfile::tempdir().expect("a directory");
    write(dir.path(), text);
    let scan = rota_scheduler::DagDirectory::new(dir.path().to_owned()).scan().expect("a scan");
    let wanted: BTreeSet<_> = scan.values().map(|found| Some(found.hash.clone())).collect();
    until(&format!("the record of {replica}"), async || {
        let record = house.store.files_record(&ReplicaId::trusted(replica)).await.expect("a record");
        record.iter().any(|row| wanted.contains(&row.hash)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_directory_takes_nothing_back_and_no_edit_is_missed() {
    let house = House::new().await;
    let (a, b) = (house.dags("a"), house.dags("b"));
    write(&a, &text(0));
    write(&b, &text(0));
    let mut one = house.start("a");
    one.leads().await;
    let mut two = house.start("b");
    seen(&house, "b", &text(0)).await;
    write(&a, &text(1));
    house.version(2).await;

    // Fail-over to a directory that was not updated.
    one.stop().await;
    two.leads().await;
    let behind = two.is_behind(1).await;
    assert!(
        behind[0].contains("d.yaml is behind the store: of DAG d the store has version 2 from"),
        "{behind:?}"
    );
    assert_eq!(house.dag().await.expect("the DAG").version, DagVersion(2));
    write(&b, &text(1));
    two.is_behind(0).await;
    assert_eq!(house.dag().await.expect("the DAG").version, DagVersion(2));

    // An edit beside a standby waits until that leads.
    let mut one = house.start("a");
    seen(&house, "a", &text(1)).await;
    write(&a, &text(2));
    seen(&house, "a", &text(2)).await;
    assert_eq!(house.dag().await.expect("the DAG").version, DagVersion(2));
    two.stop().await;
    one.leads().await;
    house.version(3).await;

    // Edits while nobody is alive: a revert, a deletion, and back again.
    one.stop().await;
    write(&a, &text(1));
    let one = house.start("a");
    house.version(4).await;
    one.stop().await;
    std::fs::remove_file(a.join("d.yaml")).expect("a removal");
    let one = house.start("a");
    until("absence", async || house.dag().await.filter(|row| !row.present)).await;
    one.stop().await;
    let mut two = house.start("b");
    two.leads().await;
    let behind = two.is_behind(1).await;
    assert!(behind[0].contains("its file was deleted at"), "{behind:?}");
    assert!(!house.dag().await.expect("the DAG").present, "an old directory brings nothing back");
    two.stop().await;
    write(&a, &text(1));
    let _one = house.start("a");
    house.version(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_costs_hints_and_no_term() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let house = House::new().await;
        write(&house.dags("a"), &text(0).replace("tasks:", "schedule: {cron: \"* * * * * *\"}\ntasks:"));
        let mut one = house.start("a");
        let epoch = one.leads().await;
        one.broker.set(fault);
        let run = house.trigger().await;
        house.queued(run).await;
        let before = house.fired().await;
        until("slots", async || (house.fired().await > before + 1).then_some(())).await;
        assert_eq!(house.epoch().await, epoch, "{fault:?}: the term goes on");

        // Back again: what was not published is, without being asked for.
        one.broker.set(Fault::None);
        let mut consumer = house.broker.consume(&[QueueName::trusted("default")]).await.expect("a consumer");
        until("the task", async || {
            let delivered = tokio::time::timeout(Duration::from_secs(1), consumer.next(100)).await;
            let delivered = delivered.ok()?.expect("deliveries");
            delivered.iter().any(|it| it.key.task.run == run).then_some(())
        })
        .await;
        assert_eq!(house.epoch().await, epoch, "{fault:?}: the term goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_a_broker_starts_and_leads() {
    let house = House::new().await;
    write(&house.dags("a"), &text(0));
    for fault in [Fault::Fails, Fault::Hangs] {
        let mut one = house.start("a");
        one.broker.set(fault);
        one.leads().await;
        let run = house.trigger().await;
        house.queued(run).await;
        one.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_outage_of_the_store_is_survived_in_the_same_term() {
    let house = House::new().await;
    write(&house.dags("a"), &text(0));
    let mut one = house.start("a");
    let epoch = one.leads().await;
    for _ in 0..3 {
        one.store.set(Fault::Fails);
        let run = house.trigger().await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        one.store.set(Fault::None);
        house.queued(run).await;
    }
    assert_eq!(house.epoch().await, epoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_cut_off_from_the_store_makes_way_for_one_that_is_not() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let house = House::new().await;
        write(&house.dags("a"), &text(0));
        write(&house.dags("b"), &text(0));
        let mut one = house.start("a");
        let epoch = one.leads().await;
        let mut two = house.start("b");
        seen(&house, "b", &text(0)).await;
        one.store.set(fault);
        assert!(two.leads().await > epoch);
        let run = house.trigger().await;
        house.queued(run).await;
        // Cut off, it does not stand in the way of others; back, it is one of them.
        one.store.set(Fault::None);
        two.stop().await;
        one.leads().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_store_and_election_keeps_its_term_as_nobody_else_could_begin_one() {
    let house = House::new().await;
    write(&house.dags("a"), &text(0));
    let mut one = house.start("a");
    let epoch = one.leads().await;
    house.election.is_reached.store(false, Ordering::SeqCst);
    one.store.set(Fault::Fails);
    let run = house.trigger().await;
    // Longer than its patience.
    tokio::time::sleep(Duration::from_secs(3)).await;
    one.store.set(Fault::None);
    house.queued(run).await;
    assert_eq!(house.epoch().await, epoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_not_trusted_any_more_takes_no_epoch() {
    let house = House::new().await;
    house.election.is_reached.store(false, Ordering::SeqCst);
    let mut one = house.start("a");
    until("its beat", async || house.store.view_replicas().await.expect("a view").pop()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(house.epoch().await, Epoch(0));
    house.election.is_reached.store(true, Ordering::SeqCst);
    assert_eq!(one.leads().await, Epoch(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doubtful_leader_goes_on_and_leaves_dag_files_for_later() {
    let house = House::new().await;
    write(&house.dags("a"), &text(0));
    let mut one = house.start("a");
    let epoch = one.leads().await;
    house.election.is_reached.store(false, Ordering::SeqCst);
    one.status.wait_for(|status| status.is_doubtful).await.expect("it runs");
    write(&house.dags("a"), &text(1));
    let run = house.trigger().await;
    house.queued(run).await;
    assert_eq!(house.dag().await.expect("the DAG").version, DagVersion(1));
    house.election.is_reached.store(true, Ordering::SeqCst);
    house.version(2).await;
    assert!(!one.status.borrow().is_doubtful);
    assert_eq!(house.epoch().await, epoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_say_what_they_do_and_a_term_given_away_is_noted() {
    let house = House::new().await;
    write(&house.dags("a"), &text(0));
    let mut one = house.start("a");
    let epoch = one.leads().await;
    let mut two = house.start("b");
    let states = async || {
        let rows = house.store.view_replicas().await.expect("a view");
        rows.into_iter().map(|row| row.state).collect::<Vec<_>>()
    };
    let wait = async |wanted: [ReplicaState; 2]| {
        until(&format!("{wanted:?}"), async || (states().await == wanted).then_some(())).await;
    };
    wait([ReplicaState::Leader, ReplicaState::Standby]).await;
    one.stop().await;
    assert_eq!(two.leads().await, Epoch(epoch.0 + 1));
    wait([ReplicaState::Gone, ReplicaState::Leader]).await;
    let terms = house.store.view_terms(10).await.expect("a view");
    assert_eq!(terms.iter().map(|term| term.epoch.0).collect::<Vec<_>>(), [epoch.0 + 1, epoch.0]);
    assert!(terms[0].ended_at.is_none() && terms[1].ended_at.is_some(), "{terms:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_under_the_next_replica() {
    let house = House::new().await;
    write(&house.dags("a"), &text(0));
    write(&house.dags("b"), &text(0));
    let mut one = house.start("a");
    one.leads().await;
    let _two = house.start("b");
    let run = house.trigger().await;
    house.queued(run).await;
    one.task.abort();
    let actor = Actor { name: "ana".to_owned(), origin: String::new() };
    let cancel = rota_core::port::IntentKind::Cancel;
    house.store.intent_add(run, &cancel, &actor).await.expect("an intent");
    until("the end", async || {
        let row = house.store.run_load(run).await.expect("a view").expect("a run");
        (row.state == RunState::Cancelled).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_does_not_turn_says_so_and_why_until_it_does() {
    let house = House::new().await;
    let replica = house.start("a");
    until("a leader", async || replica.status.borrow().epoch).await;
    for (fault, why) in [(Fault::Fails, "the test says so"), (Fault::Hangs, "no answer within")] {
        replica.store.set(fault);
        // Over the end of the term as well: the next one is in the same trouble.
        let said = until("trouble", async || replica.turns.trouble()).await;
        assert!(said.contains("has not completed a turn") && said.contains(why), "{fault:?}: {said}");
        replica.store.set(Fault::None);
        until("a turn", async || replica.turns.trouble().is_none().then_some(())).await;
        assert!(replica.turns.turned_ago().is_some());
    }
    let row = async || house.store.view_replicas().await.expect("a view").pop();
    let is_well = async || row().await.filter(|row| row.trouble.is_none() && row.turned_at.is_some());
    until("a beat without trouble", is_well).await;
    let standby = house.start("b");
    let beats = async || house.store.view_replicas().await.expect("a view").len() == 2;
    until("the standby's beat", async || beats().await.then_some(())).await;
    assert_eq!(
        (standby.turns.trouble(), standby.turns.turned_ago()),
        (None, None),
        "nobody expects it to turn"
    );
}
