//! The worker over the real embedded store and broker. The leader's part is played by the tests.

mod cluster;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rota_backend::{InProcessBroker, SqliteStore, SystemClock};
use rota_core::dag::{self, Dag};
use rota_core::id::{
    AttemptKey, DagId, DagVersion, Epoch, Incarnation, QueueName, ReplicaId, RunId, TaskKey, TaskNo, WorkerId,
};
use rota_core::port::{
    Batch, BatchPlans, Beat, BeatReply, Bell, Bells, Broker, BrokerError, ClaimRequest, Claimed,
    DagFilePlans, DagSources, Dispatch, FilesPut, Finish, GivingBack, LogChunk, LogFacts, LogViews, NewRun,
    Object, QueuedTask, StoreError, StoreResult, TaskFacts, TaskPlans, TaskRow, TermPlans, WorkerFacts,
    WorkerHello, WorkerPlans, WorkerState, WorkerViews,
};
use rota_core::port::{Change, Changes, Consumer, DagPut, Nudges};
use rota_core::state::{RunState, TaskState};
use rota_worker::{Tenure, WardenCommand, Worker, WorkerError, WorkerHandle, WorkerOptions, WorkerPorts};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
#[ignore = "the warden of the other tests"]
fn warden_process() {
    rota_worker::warden_main();
}

/// Looks until there is something to see.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A store that can be away.
struct Door {
    store: Arc<SqliteStore>,
    is_shut: AtomicBool,
}

impl Door {
    fn open(&self) -> StoreResult<&SqliteStore> {
        if self.is_shut.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the door is shut".to_owned()));
        }
        Ok(&self.store)
    }

    fn shut(&self, is_shut: bool) {
        self.is_shut.store(is_shut, Ordering::SeqCst);
    }
}

#[async_trait]
impl WorkerFacts for Door {
    async fn worker_register(&self, hello: &WorkerHello) -> StoreResult<Incarnation> {
        self.open()?.worker_register(hello).await
    }
    async fn worker_beat(&self, beat: &Beat) -> StoreResult<BeatReply> {
        self.open()?.worker_beat(beat).await
    }
}

#[async_trait]
impl TaskFacts for Door {
    async fn tasks_queued(&self, queues: &[QueueName], limit: usize) -> StoreResult<Vec<AttemptKey>> {
        self.open()?.tasks_queued(queues, limit).await
    }
    async fn tasks_claim(&self, request: &ClaimRequest) -> StoreResult<Vec<Claimed>> {
        self.open()?.tasks_claim(request).await
    }
    async fn tasks_finish(&self, finishes: &[Finish]) -> StoreResult<Vec<AttemptKey>> {
        self.open()?.tasks_finish(finishes).await
    }
    async fn tasks_give_back(&self, giving: &GivingBack) -> StoreResult<Vec<AttemptKey>> {
        self.open()?.tasks_give_back(giving).await
    }
    async fn outputs_load(&self, run: RunId, tasks: &[TaskNo]) -> StoreResult<Vec<(TaskNo, u32, Object)>> {
        self.open()?.outputs_load(run, tasks).await
    }
}

#[async_trait]
impl DagSources for Door {
    async fn version_source(&self, dag: &DagId, version: DagVersion) -> StoreResult<String> {
        self.open()?.version_source(dag, version).await
    }
}

#[async_trait]
impl LogFacts for Door {
    async fn log_append(&self, chunks: &[LogChunk]) -> StoreResult<()> {
        self.open()?.log_append(chunks).await
    }
}

/// A broker that is down.
struct Down;

fn down<T>() -> Result<T, BrokerError> {
    Err(BrokerError("down".to_owned()))
}

#[async_trait]
impl Broker for Down {
    async fn publish(&self, _: &[Dispatch]) -> Result<Vec<AttemptKey>, BrokerError> {
        down()
    }
    async fn consume(&self, _: &[QueueName]) -> Result<Box<dyn Consumer>, BrokerError> {
        down()
    }
    async fn ring(&self, _: Bell) -> Result<(), BrokerError> {
        down()
    }
    async fn bells(&self) -> Result<Box<dyn Bells>, BrokerError> {
        down()
    }
    async fn nudge(&self, _: &WorkerId) -> Result<(), BrokerError> {
        down()
    }
    async fn nudges(&self, _: &WorkerId) -> Result<Box<dyn Nudges>, BrokerError> {
        down()
    }
    async fn announce(&self, _: &[Change]) -> Result<(), BrokerError> {
        down()
    }
    async fn changes(&self) -> Result<Box<dyn Changes>, BrokerError> {
        down()
    }
}

/// A directory, a store, a broker, a leader's epoch and one DAG.
struct House {
    dir: tempfile::TempDir,
    store: Arc<SqliteStore>,
    door: Arc<Door>,
    broker: Arc<InProcessBroker>,
    epoch: Epoch,
    dag: Dag,
    run: RunId,
}

/// A worker that runs.
struct Running {
    handle: WorkerHandle,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), WorkerError>>,
}

impl House {
    /// A house whose DAG has this file, with one run of it.
    async fn new(source: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(dir.path().join("dags/team")).expect("a DAG directory");
        let store = SqliteStore::open(dir.path().join("rota.db"), Arc::new(SystemClock)).await;
        let store = Arc::new(store.expect("a store"));
        let epoch = store.term_begin(&ReplicaId::trusted("test")).await.expect("an epoch");
        let path = "team/d.yaml".to_owned();
        let dag = dag::parse(&path, source).expect("a valid file");
        let at = store.now().await.expect("a time");
        let put = DagPut {
            dag: dag.id.clone(),
            path,
            source: source.to_owned(),
            hash: "1".to_owned(),
            cursor: None,
            next_slot: None,
        };
        let files = FilesPut { dags: vec![put], at, ..FilesPut::default() };
        let version = store.files_put(epoch, &files).await.expect("a stored file")[0].1;
        let run = NewRun {
            dag: dag.id.clone(),
            version,
            slot: at,
            interval_start: None,
            state: RunState::Running,
            params: dag
                .params
                .iter()
                .filter_map(|(name, param)| Some((name.clone(), param.default.clone()?)))
                .collect(),
            at,
        };
        let batch = Batch { runs: vec![run], ..Batch::default() };
        let run = store.batch_commit(epoch, &batch).await.expect("a run").runs[0];
        let door = Arc::new(Door { store: store.clone(), is_shut: AtomicBool::new(false) });
        Self { dir, store, door, broker: Arc::new(InProcessBroker::new()), epoch, dag, run }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("dags/team").join(name)
    }

    fn options(&self) -> WorkerOptions {
        let state_dir = self.dir.path().join("worker");
        let mut options = WorkerOptions::new(WorkerId::trusted("w"), state_dir);
        options.dags_dir = Some(self.dir.path().join("dags"));
        options.slots = 4;
        options.warden = Some(WardenCommand {
            program: std::env::current_exe().expect("this program"),
            args: ["--exact", "worker::warden_process", "--ignored", "--nocapture"].map(Into::into).to_vec(),
        });
        options
    }

    fn start(&self, options: WorkerOptions) -> Running {
        self.start_with(options, self.broker.clone())
    }

    fn start_with(&self, options: WorkerOptions, broker: Arc<dyn Broker>) -> Running {
        let ports = WorkerPorts { facts: self.door.clone(), broker, clock: Arc::new(SystemClock) };
        let worker = Worker::new(options, ports).expect("valid options");
        let (handle, shutdown) = (worker.handle(), CancellationToken::new());
        let task = tokio::spawn(worker.run(shutdown.clone()));
        Running { handle, shutdown, task }
    }

    /// Queues the first attempt of a task and publishes it.
    async fn queue(&self, task: &str) -> AttemptKey {
        let key = self.queue_unpublished(&[task]).await[0];
        let task = self.dag.task(key.task.task);
        let dispatch = Dispatch { key, queue: task.queue.clone(), priority: task.priority };
        assert!(self.broker.publish(&[dispatch]).await.expect("a broker").is_empty());
        key
    }

    async fn queue_unpublished(&self, tasks: &[&str]) -> Vec<AttemptKey> {
        let at = self.store.now().await.expect("a time");
        let queued = tasks.iter().map(|name| {
            let no = self.dag.task_no(name).expect("a task of the file");
            let task = self.dag.task(no);
            QueuedTask {
                key: TaskKey::single(self.run, no).attempt(1),
                name: task.name.clone(),
                queue: task.queue.clone(),
                priority: task.priority,
                at,
            }
        });
        let batch = Batch { queues: queued.collect(), ..Batch::default() };
        self.store.batch_commit(self.epoch, &batch).await.expect("queued tasks");
        batch.queues.iter().map(|task| task.key).collect()
    }

    async fn row(&self, key: AttemptKey) -> TaskRow {
        self.store.tasks_load(&[key.task]).await.expect("a store").remove(0)
    }

    async fn in_state(&self, key: AttemptKey, state: TaskState) -> TaskRow {
        let name = self.dag.task(key.task.task).name.clone();
        until(&format!("{name} is {state}"), async || {
            Some(self.row(key).await).filter(|row| row.state == state)
        })
        .await
    }

    async fn cancel(&self, key: AttemptKey) {
        let batch = Batch { cancels: vec![(key.task, "cancelled by a test".to_owned())], ..Batch::default() };
        self.store.batch_commit(self.epoch, &batch).await.expect("a cancel");
    }

    /// The stored log, and that its chunks are as they should be.
    async fn log(&self, key: AttemptKey) -> String {
        let chunks = self.store.view_log(key, 0, 10_000).await.expect("a log");
        for (seq, chunk) in chunks.iter().enumerate() {
            assert_eq!(chunk.seq as usize, seq);
            assert!(chunk.text.len() <= 64 * 1024 && chunk.text.ends_with('\n'));
        }
        chunks.into_iter().map(|chunk| chunk.text).collect()
    }

    /// The lines of a log without their stamps.
    async fn lines(&self, key: AttemptKey) -> Vec<String> {
        let log = self.log(key).await;
        log.lines().map(|line| line.split_once("Z ").expect("a stamp").1.to_owned()).collect()
    }

    /// Waits for the process ids that a task writes to a file of its folder.
    async fn pid(&self, name: &str) -> i32 {
        let read = async || std::fs::read_to_string(self.file(name)).ok()?.trim().parse().ok();
        until("a process id", read).await
    }
}

impl Running {
    async fn registered(&mut self) -> Incarnation {
        let status = self.handle.reached(|status| status.incarnation.is_some());
        let status = tokio::time::timeout(PATIENCE, status).await.expect("a registration in time");
        status.and_then(|status| status.incarnation).expect("an incarnation")
    }

    async fn stop(self) {
        self.shutdown.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task).await.expect("an end in time");
        ended.expect("no panic").expect("a good end");
    }
}

fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

const PAIR: &str = "
dag: pair
params:
  who: {type: string, default: it's $(id)}
env: {GREETING: hello}
tasks:
  first:
    run: |
      echo $GREETING {{ params.who }}
      echo problem >&2
      pwd
      echo \"rows={{ 6 * 7 }}\" >> $ROTA_OUTPUT
    outputs: [rows]
  second:
    needs: [first]
    run: [echo, \"{{ tasks.first.outputs.rows }}\", \"$HOME\"]
  broken:
    run: exit 3
  silent:
    run: \"true\"
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_goes_from_its_message_to_its_result() {
    let house = House::new(PAIR).await;
    let mut bells = house.broker.bells().await.unwrap();
    let worker = house.start(house.options());
    let first = house.queue("first").await;
    let row = house.in_state(first, TaskState::Success).await;
    assert_eq!((row.exit_code, json!(row.outputs)), (Some(0), json!({"rows": "42"})));
    assert_eq!(row.worker, Some(WorkerId::trusted("w")));
    let folder = house.file("").canonicalize().unwrap();
    let mut lines = house.lines(first).await;
    lines.sort();
    let expected =
        ["err problem".to_owned(), format!("out {}", folder.display()), "out hello it's $(id)".to_owned()];
    assert_eq!(lines, expected);
    let second = house.queue("second").await;
    house.in_state(second, TaskState::Success).await;
    assert_eq!(house.lines(second).await, ["out 42 $HOME"]);
    let mut rung = Vec::new();
    while rung.len() < 2 {
        for bell in tokio::time::timeout(PATIENCE, bells.next(8)).await.unwrap().unwrap() {
            if let Bell::Finished(keys) = bell {
                rung.extend(keys);
            }
        }
    }
    assert_eq!(rung, [first, second]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_told_in_row_and_log_and_silence_is_not_stored() {
    let house = House::new(PAIR).await;
    let worker = house.start(house.options());
    let (broken, silent) = (house.queue("broken").await, house.queue("silent").await);
    let row = house.in_state(broken, TaskState::Failed).await;
    assert_eq!((row.exit_code, row.error.as_deref()), (Some(3), Some("exit code 3")));
    assert_eq!(house.lines(broken).await, ["sys exit code 3"]);
    house.in_state(silent, TaskState::Success).await;
    assert_eq!(house.log(silent).await, "");
    // The task that it reads from has not run: its template has no value.
    let second = house.queue("second").await;
    let row = house.in_state(second, TaskState::Failed).await;
    let error = row.error.unwrap();
    assert!(error.contains("tasks.first"), "{error}");
    assert_eq!(house.lines(second).await, [format!("sys {error}")]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noops_take_no_slot() {
    let mut source = "dag: many\ntasks:\n  long: {run: sleep 600}\n".to_owned();
    let names: Vec<String> = (0..2000).map(|no| format!("n{no}")).collect();
    for name in &names {
        source.push_str(&format!("  {name}: {{noop: true}}\n"));
    }
    let house = House::new(&source).await;
    let mut options = house.options();
    (options.slots, options.drain_grace) = (1, Duration::ZERO);
    let worker = house.start(options);
    let long = house.queue("long").await;
    house.in_state(long, TaskState::Running).await;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let keys = house.queue_unpublished(&names).await;
    let noop = QueueName::trusted(QueueName::NOOP);
    let dispatches: Vec<_> =
        keys.iter().map(|&key| Dispatch { key, queue: noop.clone(), priority: 0 }).collect();
    house.broker.publish(&dispatches).await.unwrap();
    let tasks: Vec<TaskKey> = keys.iter().map(|key| key.task).collect();
    until("all have succeeded", async || {
        let rows = house.store.tasks_load(&tasks).await.unwrap();
        rows.iter().all(|row| row.state == TaskState::Success).then_some(())
    })
    .await;
    assert_eq!(house.row(long).await.state, TaskState::Running);
    worker.stop().await;
}

const LONG: &str = "
dag: long
defaults: {grace: 2s}
tasks:
  long: {run: 'echo $$ > pid; trap \"\" TERM; sleep 600; sleep 600'}
  polite: {run: 'trap \"echo bye; exit 0\" TERM; echo $$ > pid; sleep 600 & wait'}
  short: {run: 'echo $$ > pid; sleep 0.5'}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_arrives_by_nudge() {
    let house = House::new(LONG).await;
    let worker = house.start(house.options());
    let key = house.queue("polite").await;
    let pid = house.pid("pid").await;
    house.cancel(key).await;
    let start = Instant::now();
    house.broker.nudge(&WorkerId::trusted("w")).await.unwrap();
    house.in_state(key, TaskState::Cancelled).await;
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "by the nudge, not by a heartbeat: {:?}",
        start.elapsed()
    );
    assert!(!is_alive(pid));
    assert_eq!(house.lines(key).await, ["out bye", "sys cancelled"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_arrives_by_heartbeat_and_ends_in_kill() {
    let house = House::new(LONG).await;
    let mut options = house.options();
    options.tenure = Tenure::Lease(Duration::from_secs(3));
    let worker = house.start_with(options, Arc::new(Down));
    let key = house.queue("long").await;
    let pid = house.pid("pid").await;
    house.cancel(key).await;
    let row = house.in_state(key, TaskState::Cancelled).await;
    assert_eq!(row.signal, Some(9));
    assert!(!is_alive(pid));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_is_capped_with_head_and_tail() {
    let house = House::new(
        "
dag: flood
tasks:
  flood: {run: 'echo first; yes | head -c 50000000 || true; echo last >&2'}
  binary: {run: 'head -c 3000000 /dev/urandom'}
  endless: {run: 'yes | tr -d \"\\\\n\" | head -c 1000000 || true'}
",
    )
    .await;
    let worker = house.start(house.options());
    let keys = [house.queue("flood").await, house.queue("binary").await, house.queue("endless").await];
    for key in keys {
        house.in_state(key, TaskState::Success).await;
    }
    let log = house.log(keys[0]).await;
    assert!(log.len() > 15 << 20 && log.len() < 17 << 20, "{} bytes", log.len());
    let lines = house.lines(keys[0]).await;
    assert_eq!(lines.first().unwrap(), "out first");
    let last = lines.iter().rposition(|line| line == "err last").unwrap();
    assert!(lines.len() - last < 100_000, "two pipes are read, in turn, so it need not be the very last");
    assert_eq!(lines.iter().filter(|line| line.starts_with("sys more than 12 MiB of output")).count(), 1);
    let left_out = lines.iter().find(|line| line.ends_with("lines were left out here")).unwrap();
    let left_out: usize = left_out.split(' ').nth(4).unwrap().parse().unwrap();
    assert_eq!(lines.len() - 2 + left_out, 25_000_002, "every line is stored or counted");
    let endless: String =
        house.lines(keys[2]).await.iter().map(|line| line.trim_start_matches("out ")).collect();
    assert_eq!(endless.len(), 1_000_000);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_worker_lets_short_tasks_finish() {
    let house = House::new(LONG).await;
    let worker = house.start(house.options());
    let key = house.queue("short").await;
    house.pid("pid").await;
    worker.stop().await;
    assert_eq!(house.row(key).await.state, TaskState::Success);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stopping_worker_ends_is_lost_at_once() {
    let house = House::new(LONG).await;
    let mut options = house.options();
    options.drain_grace = Duration::from_millis(100);
    let worker = house.start(options);
    let key = house.queue("polite").await;
    let pid = house.pid("pid").await;
    worker.stop().await;
    assert!(!is_alive(pid));
    assert_eq!(house.row(key).await.state, TaskState::Running);
    let reaped = house.store.workers_reap(house.epoch).await.unwrap();
    assert_eq!(reaped.lost, [key], "the leader need not wait for the lease");
    let states: Vec<_> =
        house.store.view_workers().await.unwrap().iter().map(|worker| worker.state).collect();
    assert_eq!(states, [WorkerState::Gone]);
    assert_eq!(house.lines(key).await, ["out bye", "sys lost: the worker was shut down"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_is_delivered_when_the_store_is_back() {
    let house = House::new(LONG).await;
    let worker = house.start(house.options());
    let key = house.queue("short").await;
    let pid = house.pid("pid").await;
    house.door.shut(true);
    let spool = house.dir.path().join("worker/results.jsonl");
    until("the result is on disk", async || spool.exists().then_some(())).await;
    assert!(!is_alive(pid));
    house.door.shut(false);
    house.in_state(key, TaskState::Success).await;
    until("the disk is clean", async || (!spool.exists()).then_some(())).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_survives_the_worker_while_the_store_is_away() {
    let house = House::new(LONG).await;
    let worker = house.start(house.options());
    let key = house.queue("short").await;
    house.pid("pid").await;
    house.door.shut(true);
    let spool = house.dir.path().join("worker/results.jsonl");
    until("the result is on disk", async || spool.exists().then_some(())).await;
    worker.stop().await;
    assert_eq!(house.row(key).await.state, TaskState::Running);
    house.door.shut(false);
    let worker = house.start(house.options());
    house.in_state(key, TaskState::Success).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unanswered_heartbeats_end_tasks_before_others_may_start_them() {
    let house = House::new(LONG).await;
    let mut options = house.options();
    options.tenure = Tenure::Lease(Duration::from_secs(3));
    let mut worker = house.start(options);
    let first = worker.registered().await;
    let key = house.queue("long").await;
    let pid = house.pid("pid").await;
    house.door.shut(true);
    let start = Instant::now();
    until("the process is gone", async || (!is_alive(pid)).then_some(())).await;
    let took = start.elapsed();
    assert!(took < Duration::from_millis(2900), "before the lease ends: {took:?}");
    assert!(took > Duration::from_millis(1400), "not while heartbeats may yet be answered: {took:?}");
    house.door.shut(false);
    let again = worker.handle.reached(|status| status.incarnation.is_some_and(|now| now != first));
    tokio::time::timeout(PATIENCE, again).await.unwrap().unwrap();
    assert_eq!(house.row(key).await.state, TaskState::Running, "nobody calls it failed");
    assert_eq!(house.store.workers_reap(house.epoch).await.unwrap().lost, [key]);
    let next = house.queue("short").await;
    house.in_state(next, TaskState::Success).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fenced_worker_ends_its_tasks_and_starts_over() {
    let house = House::new(LONG).await;
    let mut options = house.options();
    options.tenure = Tenure::Lease(Duration::from_secs(3));
    let mut worker = house.start(options);
    let first = worker.registered().await;
    house.queue("long").await;
    let pid = house.pid("pid").await;
    let hello = WorkerHello {
        id: WorkerId::trusted("w"),
        host: "elsewhere".to_owned(),
        pid: 1,
        version: "test".to_owned(),
        queues: vec![QueueName::trusted(QueueName::DEFAULT)],
        labels: Object::new(),
        slots: 1,
        lease: Duration::from_secs(600),
    };
    house.store.worker_register(&hello).await.unwrap();
    until("the process is gone", async || (!is_alive(pid)).then_some(())).await;
    let again = worker.handle.reached(|status| status.incarnation.is_some_and(|now| now != first));
    tokio::time::timeout(PATIENCE, again).await.unwrap().unwrap();
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_messages_and_lost_brokers_cost_only_time() {
    let house = House::new(PAIR).await;
    let mut options = house.options();
    options.poll = Duration::from_millis(200);
    let worker = house.start(options.clone());
    let unpublished = house.queue_unpublished(&["silent"]).await[0];
    house.in_state(unpublished, TaskState::Success).await;
    worker.stop().await;
    options.poll = Duration::from_secs(600);
    let worker = house.start_with(options, Arc::new(Down));
    let first = house.queue("first").await;
    house.in_state(first, TaskState::Success).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_processes_run_than_there_are_slots() {
    let names: Vec<String> = (0..12).map(|no| format!("t{no}")).collect();
    let mut source = "dag: slots\ntasks:\n".to_owned();
    for name in &names {
        source.push_str(&format!("  {name}: {{run: 'mkdir now/$ROTA_TASK_ID; ls now | wc -l; sleep 0.1; rmdir now/$ROTA_TASK_ID'}}\n"));
    }
    let house = House::new(&source).await;
    std::fs::create_dir(house.file("now")).unwrap();
    let mut options = house.options();
    options.slots = 3;
    let worker = house.start(options);
    let mut most = BTreeMap::new();
    let mut keys = Vec::new();
    for name in &names {
        keys.push(house.queue(name).await);
    }
    for key in keys {
        house.in_state(key, TaskState::Success).await;
        let count: u32 = house.lines(key).await[0].trim_start_matches("out ").parse().unwrap();
        *most.entry(count).or_insert(0) += 1;
    }
    assert!(most.keys().all(|count| *count <= 3), "{most:?}");
    assert!(most.contains_key(&3), "slots are used: {most:?}");
    worker.stop().await;
}
