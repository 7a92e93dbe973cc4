//! What the dashboard says of how much there is: counted by the store, never taken from a list that is cut.

use chrono::{DateTime, Timelike, Utc};
use rota_core::id::{DagId, DagVersion, Epoch, QueueName, RunId, TaskKey, TaskName, TaskNo};
use rota_core::port::{
    Batch, BatchPlans, NewRun, Object, QueuedTask, ReplicaBeat, ReplicaPlans, ReplicaState, RunTransition,
    SlotOutcome, SlotRow,
};
use rota_core::state::RunState;

use super::cluster::words;
use super::*;

/// A store that a leader holds, and its hand.
struct Leader {
    store: Arc<SqliteStore>,
    epoch: Epoch,
    now: DateTime<Utc>,
    folder: TempDir,
}

impl Leader {
    /// With these DAGs, each with this file.
    async fn with(dags: &[String], file: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = SqliteStore::open(folder.path().join("rota.db"), clock.clone()).await.expect("opens");
        let store = Arc::new(store);
        let epoch = store.term_begin(&ReplicaId::trusted("sched-a")).await.expect("a term");
        let beat = ReplicaBeat {
            id: ReplicaId::trusted("sched-a"),
            host: "node-1".into(),
            pid: 7,
            version: "0.1.0".into(),
            zones: String::new(),
            dags_dir: None,
            state: ReplicaState::Leader,
            epoch: Some(epoch),
            turned_ago: None,
            trouble: None,
        };
        store.replica_beat(&beat).await.expect("a beat");
        let put = |dag: &String| DagPut {
            dag: DagId::trusted(dag),
            path: format!("{dag}.yaml"),
            source: format!("dag: {dag}\n{file}"),
            hash: "ab".repeat(32),
            cursor: None,
            next_slot: None,
        };
        let files = FilesPut { dags: dags.iter().map(put).collect(), at: clock.now(), ..FilesPut::default() };
        store.files_put(epoch, &files).await.expect("stored");
        Self { store, epoch, now: clock.now(), folder }
    }

    async fn commit(&self, batch: Batch) -> Vec<RunId> {
        self.store.batch_commit(self.epoch, &batch).await.expect("committed").runs
    }

    async fn runs(&self, of: impl IntoIterator<Item = &str>, state: RunState) -> Vec<RunId> {
        let run = |(place, dag): (usize, &str)| {
            let slot = self.now - TimeDelta::seconds(3_600 - i64::try_from(place).expect("few"));
            let dag = DagId::trusted(dag);
            NewRun {
                dag,
                version: DagVersion(1),
                slot,
                interval_start: None,
                state,
                params: Object::new(),
                at: slot,
            }
        };
        self.commit(Batch { runs: of.into_iter().enumerate().map(run).collect(), ..Batch::default() }).await
    }

    fn shown(self) -> Fixture {
        Fixture::over(self.store, Arc::new(SystemClock), self.folder)
    }
}

fn names(number: usize) -> Vec<String> {
    (0..number).map(|number| format!("dag-{number:02}")).collect()
}

fn minute(at: DateTime<Utc>) -> DateTime<Utc> {
    at.with_second(0).and_then(|at| at.with_nanosecond(0)).expect("a minute")
}

#[tokio::test]
async fn home_counts_every_dag_that_failed_however_often_one_of_them_did() {
    let dags = names(18);
    let leader = Leader::with(&dags, "tasks: {a: {noop: {}}}\n").await;
    let often = dags.iter().map(String::as_str).chain(std::iter::repeat_n("dag-07", 400));
    let runs = leader.runs(often, RunState::Running).await;
    let ends = |run: RunId| RunTransition {
        run,
        from: RunState::Running,
        to: RunState::Failed,
        at: leader.now,
        reason: Some("task a failed: exit code 1".to_owned()),
    };
    let run_transitions = runs.into_iter().map(ends).collect();
    leader.commit(Batch { run_transitions, ..Batch::default() }).await;
    let home = words(&leader.shown().get("/").await);
    for said in ["18 DAGs failed and need a look", "So did 400 more of its runs.", "and 13 more DAGs"] {
        assert!(home.contains(said), "{said}: {home}");
    }
}

#[tokio::test]
async fn a_range_that_began_long_ago_is_missed_on_home_ledger_and_metrics_alike() {
    let dags = names(2);
    let leader = Leader::with(&dags, "schedule: \"* * * * *\"\ntasks: {a: {noop: {}}}\n").await;
    let to = minute(leader.now) - TimeDelta::hours(1);
    let range = |dag: &String| SlotRow {
        dag: DagId::trusted(dag),
        slot: to - TimeDelta::minutes(53_224),
        to,
        count: 53_225,
        outcome: SlotOutcome::Missed,
        reason: Some("nobody led".to_owned()),
        run: None,
        decided_at: to + TimeDelta::minutes(1),
    };
    leader.commit(Batch { slots: dags.iter().map(range).collect(), ..Batch::default() }).await;
    let fixture = leader.shown();
    // A minute may pass between the pages.
    let said = |page: &str, before: &str, after: &str| {
        [1_380u64, 1_381, 1_379].iter().any(|minutes| {
            let digits = (minutes * 2).to_string();
            let grouped = format!("{},{}", &digits[..1], &digits[1..]);
            [digits, grouped].iter().any(|number| page.contains(&format!("{before}{number}{after}")))
        })
    };
    let page = fixture.get("/").await;
    let home = words(&page);
    assert!(said(&home, "", " missed slots need a look"), "{home}");
    assert!(home.contains("dag-00 and 1 more DAG"), "{home}");
    assert!(home.contains("106,450 slots from "), "{home}");
    assert_eq!(page.body.matches("<li class=\"item is-missed\">").count(), 1, "one outage is one line");
    assert!(page.body.contains("rail-missed"), "the rail shows it from its beginning to its end");
    let ledger = words(&fixture.get("/ledger").await);
    assert!(said(&ledger, "", " slots missed in the last day"), "{ledger}");
    assert!(ledger.contains("53,225 slots, nobody led"), "{ledger}");
    let metrics = fixture.get("/metrics").await.body;
    assert!(said(&metrics, "rota_slots_missed_day ", "\n"), "{metrics}");
    let of_dag = words(&fixture.get("/dags/dag-00").await);
    assert!(of_dag.contains("53,225 slots, nobody led"), "{of_dag}");
}

#[tokio::test]
async fn ledger_pages_that_end_among_slots_of_one_instant_show_each_entry_once() {
    let mut dags = names(250);
    dags.sort_unstable();
    let leader = Leader::with(&dags, "tasks: {a: {noop: {}}}\n").await;
    let slot = minute(leader.now) - TimeDelta::minutes(5);
    let entry = |dag: &String| SlotRow {
        dag: DagId::trusted(dag),
        slot,
        to: slot,
        count: 1,
        outcome: SlotOutcome::Missed,
        reason: Some("too late".to_owned()),
        run: None,
        decided_at: leader.now,
    };
    leader.commit(Batch { slots: dags.iter().map(entry).collect(), ..Batch::default() }).await;
    let fixture = leader.shown();
    let mut path = "/ledger".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = fixture.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
        let links = page.body.split("<td class=\"name\"><a href=\"/dags/").skip(1);
        seen.extend(links.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        let older = page.body.split("href=\"").filter_map(|rest| rest.split_once('"'));
        let mut older = older.filter(|(href, text)| href.contains("before=") && text.starts_with(">Older"));
        let Some((href, _)) = older.next() else { break };
        path = href.replace("&#38;", "&").replace("&amp;", "&");
    }
    assert_eq!(seen, dags);
}

#[tokio::test]
async fn running_now_says_why_what_does_not_move_does_not() {
    let file =
        "max_active_runs: 2\ntasks: {a: {run: \"true\", queue: gpu}, b: {run: \"true\", queue: gpu}}\n";
    let leader = Leader::with(&names(1), file).await;
    let active = leader.runs(["dag-00", "dag-00"], RunState::Running).await;
    let queue = |no| QueuedTask {
        key: TaskKey::single(active[0], TaskNo(no)).attempt(1),
        name: TaskName::trusted(["a", "b"][no as usize]),
        queue: QueueName::trusted("gpu"),
        priority: 0,
        at: leader.now - TimeDelta::minutes(1),
    };
    leader.commit(Batch { queues: vec![queue(0), queue(1)], ..Batch::default() }).await;
    let slot = leader.now;
    let run = NewRun {
        dag: DagId::trusted("dag-00"),
        version: DagVersion(1),
        slot,
        interval_start: None,
        state: RunState::Queued,
        params: Object::new(),
        at: slot,
    };
    leader.commit(Batch { runs: vec![run], ..Batch::default() }).await;
    let home = words(&leader.shown().get("/").await);
    for said in [
        "Task a : waits because no live worker serves queue gpu; one more task does not move.",
        "Waits because max_active_runs 2 is reached by runs",
    ] {
        assert!(home.contains(said), "{said}: {home}");
    }
}

#[tokio::test]
async fn a_run_has_one_name_on_every_page_and_its_zone_is_said() {
    let file = "schedule: {cron: \"30 9 * * *\", timezone: Asia/Tokyo}\ntasks: {a: {noop: {}}}\n";
    let leader = Leader::with(&names(1), file).await;
    let run = leader.runs(["dag-00"], RunState::Running).await[0];
    let fixture = leader.shown();
    let page = fixture.get(&format!("/runs/{run}")).await.body;
    let title = page.split("<h1>").nth(1).and_then(|rest| rest.split_once("</h1>")).expect("a title").0;
    let name = title.strip_prefix("Run of ").expect("the name of a slot's run");
    assert!(name.ends_with(" Berlin"), "{name}");
    for path in [
        "/".to_owned(),
        "/runs".to_owned(),
        "/dags/dag-00".to_owned(),
        format!("/runs/{run}/cancel"),
        format!("/runs/{run}/retry"),
        format!("/runs/{run}/tasks/a"),
    ] {
        let page = fixture.get(&path).await.body;
        assert!(page.contains(name), "{path} does not call the run {name}: {page}");
    }
}

#[tokio::test]
async fn a_refusal_keeps_the_navigation_for_those_who_are_signed_in_and_shows_strangers_none() {
    let fixture = Fixture::new(&[HELLO]).await;
    let (cookie, _) = fixture.session().await;
    let ask = |method: &'static str, path: &str, who: Option<&str>| {
        let request = request(method, path).header("accept", "text/html");
        let request = request.header("origin", "http://127.0.0.1:7682");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = if let Some(cookie) = who { request.header("cookie", cookie) } else { request };
        request.body(Body::from("csrf=wrong&paused=true")).expect("a request")
    };
    for (method, path, status) in [
        ("GET", "/nothing", 404),
        ("GET", "/runs/99", 404),
        ("GET", "/dags/none", 404),
        ("GET", "/ledger?before=yesterday", 400),
        ("DELETE", "/runs", 403),
        ("POST", "/dags/hello/pause", 403),
    ] {
        let page = fixture.send(ask(method, path, Some(&cookie))).await;
        assert_eq!(page.status.as_u16(), status, "{method} {path}");
        for part in ["href=\"/ledger\"", "href=\"/cluster\"", "action=\"/logout\""] {
            assert!(page.body.contains(part), "{method} {path} lost {part}: {}", page.body);
        }
    }
    let stranger = fixture.send(ask("POST", "/dags/hello/pause", None)).await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
    let elsewhere = Request::builder().uri("/").header("host", "evil.example").header("cookie", &cookie);
    let elsewhere = elsewhere.header("accept", "text/html").body(Body::empty()).expect("a request");
    let misdirected = fixture.send(elsewhere).await;
    assert_eq!(misdirected.status, StatusCode::MISDIRECTED_REQUEST);
    for page in [stranger, misdirected] {
        assert!(page.body.contains("<h1>"), "a page: {}", page.body);
        for part in ["<nav", "href=\"/runs\"", "href=\"/ledger\"", "action=\"/logout\""] {
            assert!(!page.body.contains(part), "a stranger sees {part}: {}", page.body);
        }
    }
}
