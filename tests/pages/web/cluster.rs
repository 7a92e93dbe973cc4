//! The Cluster page, schedulers, terms and draining: what is shown, what the API answers, what a hostile name cannot do.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rota_core::id::{Epoch, QueueName, WorkerId};
use rota_core::port::{
    Beat, Nudges, Object, ReplicaBeat, ReplicaPlans, ReplicaState, TermPlans, WorkerFacts, WorkerHello,
    WorkerState,
};

use super::*;

/// The dashboard's clock when it looks again later.
struct Later(TimeDelta);

impl Clock for Later {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + self.0
    }
}

/// A store with nothing in it.
async fn store(folder: &TempDir) -> Arc<SqliteStore> {
    let store = SqliteStore::open(folder.path().join("rota.db"), Arc::new(SystemClock)).await;
    Arc::new(store.expect("opens"))
}

fn beat(id: &str, state: ReplicaState, epoch: Option<Epoch>) -> ReplicaBeat {
    ReplicaBeat {
        id: ReplicaId::trusted(id),
        host: "node-1".into(),
        pid: 7,
        version: "0.1.0".into(),
        zones: rota_core::schedule::zone_data().version().into(),
        dags_dir: None,
        state,
        epoch,
        turned_ago: None,
        trouble: None,
    }
}

fn hello(id: &str) -> WorkerHello {
    WorkerHello {
        id: WorkerId::trusted(id),
        host: "node-1".into(),
        pid: 8,
        version: "0.1.0".into(),
        queues: vec![QueueName::trusted("default"), QueueName::trusted(QueueName::NOOP)],
        labels: Object::new(),
        slots: 4,
        lease: Duration::from_secs(30),
    }
}

/// What stands on a page for people: without tags, blanks as one.
pub(super) fn words(page: &Answer) -> String {
    let texts = page.body.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text));
    let text = texts.collect::<Vec<_>>().join(" ");
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('\u{a0}', " ")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_page_tells_who_leads_who_led_and_who_serves_what() {
    let fixture = Fixture::demo().await;
    let page = fixture.get("/cluster").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    assert_sound("/cluster", &page);
    let words = words(&page);
    for said in [
        "One worker is lost and queue arm64 has no worker",
        "sched-b leads epoch 4 since",
        "2 more stand by; one of them takes over when it ends.",
        "sched-c handed over",
        "sched-a was lost, last seen",
        "0.9 to 1.9 s",
        "1 slot missed",
        "It finishes 3 tasks and takes nothing more.",
        "Its lease ran out; what it ran was lost.",
        "gpu=a100",
        "No live worker serves it: its tasks wait until one does.",
    ] {
        assert!(words.contains(said), "the page does not say {said:?}: {words}");
    }
    assert!(page.body.contains("data-topics=\"fleet\""));
    assert!(page.body.contains("href=\"/workers/wk-ham-01/drain\""));
    assert!(!page.body.contains("href=\"/workers/wk-ham-02/drain\""), "one that drains cannot be drained");
}

#[tokio::test]
async fn one_process_is_a_cluster_of_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder).await;
    let epoch = store.term_begin(&ReplicaId::trusted("standalone")).await.expect("a term");
    store.replica_beat(&beat("standalone", ReplicaState::Leader, Some(epoch))).await.expect("noted");
    store.worker_register(&hello("standalone")).await.expect("registered");
    let fixture = Fixture::over(store, Arc::new(SystemClock), folder);
    let page = fixture.get("/cluster").await;
    assert_sound("/cluster", &page);
    let words = words(&page);
    for said in
        ["standalone leads, all is well", "No other scheduler stands by", "1 of 1 live", "the first term"]
    {
        assert!(words.contains(said), "the page does not say {said:?}: {words}");
    }
}

#[tokio::test]
async fn a_worker_that_cannot_start_tasks_is_degraded_and_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder).await;
    let epoch = store.term_begin(&ReplicaId::trusted("standalone")).await.expect("a term");
    store.replica_beat(&beat("standalone", ReplicaState::Leader, Some(epoch))).await.expect("noted");
    let hello = hello("standalone");
    let incarnation = store.worker_register(&hello).await.expect("registered");
    let why = "cannot start bash: <b>Too many open files</b>".to_owned();
    let (worker, state, lease) = (hello.id, WorkerState::Live, hello.lease);
    let beat = Beat { worker, incarnation, running: 0, state, trouble: Some(why.clone()), lease };
    store.worker_beat(&beat).await.expect("noted");
    let fixture = Fixture::over(store, Arc::new(SystemClock), folder);
    let page = fixture.get("/cluster").await;
    assert_sound("/cluster", &page);
    let words = words(&page);
    for said in [
        "One worker cannot start tasks",
        "degraded",
        "It claims nothing until it can start tasks again: cannot start bash:",
        "Its workers cannot start tasks now: they take none until they can.",
    ] {
        assert!(words.contains(said), "the page does not say {said:?}: {words}");
    }
    let workers = fixture.get("/api/v1/workers").await.json();
    assert_eq!(
        (&workers["items"][0]["trouble"], &workers["items"][0]["state"]),
        (&why.into(), &"live".into())
    );
}

#[tokio::test]
async fn an_empty_store_says_what_is_missing_and_how_to_start_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let fixture = Fixture::over(store(&folder).await, Arc::new(SystemClock), folder);
    let page = fixture.get("/cluster").await;
    assert_sound("/cluster", &page);
    let words = words(&page);
    for said in [
        "No scheduler has led yet, so nothing fires",
        "No worker has been seen within a day",
        "rota start worker",
    ] {
        assert!(words.contains(said), "the page does not say {said:?}: {words}");
    }
    for list in ["schedulers", "terms", "workers"] {
        let answer = fixture.api("GET", &format!("/api/v1/{list}"), &Value::Null).await.json();
        assert_eq!(answer, json!({"items": [], "next_cursor": null}), "{list}");
    }
}

#[tokio::test]
async fn every_page_says_once_that_nobody_leads() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder).await;
    let epoch = store.term_begin(&ReplicaId::trusted("sched-a")).await.expect("a term");
    store.replica_beat(&beat("sched-a", ReplicaState::Leader, Some(epoch))).await.expect("noted");
    let pages = ["/", "/cluster", "/runs", "/ledger", "/files", "/audit"];
    let later = |seconds| Arc::new(Later(TimeDelta::seconds(seconds)));
    let soon = Fixture::over(store.clone(), later(5), tempfile::tempdir().expect("a folder"));
    let late = Fixture::over(store, later(60), folder);
    for path in pages {
        let said = |page: &Answer| words(page).matches("No scheduler leads since").count();
        assert_eq!(said(&soon.get(path).await), 0, "{path}: it was seen five seconds ago");
        let page = late.get(path).await;
        assert_eq!(said(&page), 1, "{path}: it was not seen for a minute");
        assert_sound(path, &page);
    }
    let schedulers = late.api("GET", "/api/v1/schedulers", &Value::Null).await.json();
    assert_eq!(schedulers["items"][0]["state"], json!("silent"));
    let terms = late.api("GET", "/api/v1/terms", &Value::Null).await.json();
    assert_eq!(terms["items"][0]["end"], json!("silent"));
}

#[tokio::test]
async fn schedulers_and_terms_are_told_to_programs() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder).await;
    let first = store.term_begin(&ReplicaId::trusted("sched-a")).await.expect("a term");
    store.term_end(first).await.expect("given away");
    let second = store.term_begin(&ReplicaId::trusted("sched-b")).await.expect("a term");
    store.replica_beat(&beat("sched-a", ReplicaState::Standby, None)).await.expect("noted");
    store.replica_beat(&beat("sched-b", ReplicaState::Leader, Some(second))).await.expect("noted");
    let fixture = Fixture::over(store.clone(), Arc::new(SystemClock), folder);
    let schedulers = fixture.api("GET", "/api/v1/schedulers", &Value::Null).await.json();
    let of = |place: usize, key: &str| schedulers["items"][place][key].clone();
    assert_eq!((of(0, "id"), of(0, "leader"), of(0, "epoch")), (json!("sched-a"), json!(false), Value::Null));
    assert_eq!((of(1, "id"), of(1, "leader"), of(1, "epoch")), (json!("sched-b"), json!(true), json!(2)));
    assert!(of(0, "since").is_null() && of(1, "since").is_string());
    let terms = fixture.api("GET", "/api/v1/terms?limit=1", &Value::Null).await.json();
    assert_eq!(terms["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(terms["items"][0]["end"], json!("leads"));
    assert!(terms["items"][0]["vacant_ms"].is_i64(), "the gap before it is known: {terms}");
    let terms = fixture.api("GET", "/api/v1/terms", &Value::Null).await.json();
    assert_eq!(terms["items"][1]["end"], json!("handed_over"));
    assert!(terms["items"][1]["vacant_ms"].is_null());
    store.term_end(second).await.expect("given away");
    let schedulers = fixture.api("GET", "/api/v1/schedulers", &Value::Null).await.json();
    assert_eq!(schedulers["items"][1]["leader"], json!(false), "what it gave away is not its own");
}

#[tokio::test]
async fn a_drain_is_recorded_and_the_worker_is_woken() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder).await;
    let life = store.worker_register(&hello("wk-a")).await.expect("registered");
    let broker = Arc::new(InProcessBroker::new());
    let (mut bells, mut changes) =
        (broker.bells().await.expect("bells"), broker.changes().await.expect("changes"));
    let mut nudges: Box<dyn Nudges> = broker.nudges(&WorkerId::trusted("wk-a")).await.expect("nudges");
    let web = web_over(store, broker, Arc::new(SystemClock));
    let fixture = Fixture { router: web.router(), web, _folder: folder };

    let drained = fixture.api("POST", "/api/v1/workers/wk-a/drain", &json!({})).await;
    assert_eq!(drained.status, StatusCode::OK, "{}", drained.body);
    let worker = drained.json();
    assert_eq!((&worker["id"], &worker["incarnation"]), (&json!("wk-a"), &json!(life.0)));
    nudges.next().await.expect("nudged");
    assert_eq!(bells.next(9).await.expect("rung"), [Bell::Workers]);
    assert_eq!(changes.next().await.expect("announced"), Some(vec![Change::Fleet]));

    for unknown in ["wk-b", "WK", "..", "%00"] {
        let answer = fixture.api("POST", &format!("/api/v1/workers/{unknown}/drain"), &json!({})).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{unknown}: {}", answer.body);
    }
    assert_eq!(fixture.get("/workers/wk-b/drain").await.status, StatusCode::NOT_FOUND);
    let audit = fixture.get("/audit").await;
    assert!(words(&audit).contains("drained worker wk-a"), "{}", words(&audit));
    assert!(audit.body.contains("href=\"/cluster#workers\""));
}

#[tokio::test]
async fn the_drain_form_is_ours_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder).await;
    store.worker_register(&hello("wk-a")).await.expect("registered");
    let fixture = Fixture::over(store, Arc::new(SystemClock), folder);
    let (cookie, csrf) = fixture.session().await;
    let post = |origin: &str, csrf: &str| {
        request("POST", "/workers/wk-a/drain")
            .header("cookie", &cookie)
            .header("origin", origin)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(format!("csrf={csrf}")))
            .expect("a request")
    };
    let asks = fixture.get("/workers/wk-a/drain").await;
    assert!(words(&asks).contains("no live worker is left"), "{}", words(&asks));
    assert_eq!(fixture.send(post("https://evil.example", &csrf)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(fixture.send(post("http://127.0.0.1:7682", "0")).await.status, StatusCode::FORBIDDEN);
    let audit = fixture.api("GET", "/api/v1/audit", &Value::Null).await.json();
    let actions = audit["items"].as_array().expect("rows").iter().map(|row| row["action"].clone());
    assert!(!actions.into_iter().any(|action| action == json!("worker_drain")), "nothing was done");
    let done = fixture.send(post("http://127.0.0.1:7682", &csrf)).await;
    assert_eq!(
        (done.status, done.header("location")),
        (StatusCode::SEE_OTHER, "/cluster?done=drained#workers")
    );
    let audit = fixture.api("GET", "/api/v1/audit", &Value::Null).await.json();
    let actions: Vec<_> = audit["items"].as_array().expect("rows").iter().map(|row| &row["action"]).collect();
    assert!(actions.contains(&&json!("worker_drain")), "{actions:?}");
}

#[tokio::test]
async fn hostile_hosts_and_labels_stay_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder).await;
    let epoch = store.term_begin(&ReplicaId::trusted(POLYGLOT)).await.expect("a term");
    let bad = || POLYGLOT.to_owned();
    let replica = ReplicaBeat {
        host: bad(),
        version: bad(),
        zones: bad(),
        dags_dir: Some(bad()),
        ..beat(POLYGLOT, ReplicaState::Leader, Some(epoch))
    };
    store.replica_beat(&replica).await.expect("noted");
    store.term_begin(&ReplicaId::trusted("sched-b")).await.expect("a term");
    let labels = json!({POLYGLOT: POLYGLOT}).as_object().cloned().expect("an object");
    let queues = vec![QueueName::trusted(POLYGLOT)];
    for id in [POLYGLOT, "wk-a"] {
        let worker = WorkerHello {
            host: bad(),
            version: bad(),
            labels: labels.clone(),
            queues: queues.clone(),
            ..hello(id)
        };
        store.worker_register(&worker).await.expect("registered");
    }
    let fixture = Fixture::over(store, Arc::new(SystemClock), folder);
    for path in ["/", "/cluster", "/cluster?done=%22%3E%3Cscript%3Ealert(1)", "/workers/wk-a/drain"] {
        let page = fixture.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        for bad in ["<script>alert", "<img src=x", "\"><script", "</title></script>"] {
            assert!(!page.body.contains(bad), "{path} holds {bad}");
        }
    }
}
