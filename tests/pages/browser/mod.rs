//! The dashboard in a real browser: it is live, it fits a phone, nothing on it runs that is not ours.

mod log;
mod widths;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rota_backend::InProcessBroker;
use rota_core::id::DagId;
use rota_core::id::DagVersion;
use rota_core::port::{Actor, Bell, Broker, Change, RunIntents, TriggerRequest};
use rota_tests::browser::Browser;
use rota_tests::demo::Demo;
use rota_web::{Options, Ports, Web};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

struct Served {
    demo: Arc<Demo>,
    broker: Arc<InProcessBroker>,
    address: String,
    link: String,
    shutdown: CancellationToken,
    _folder: TempDir,
}

async fn served() -> Served {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::new(&folder.path().join("demo.db")).await;
    serve(folder, demo).await
}

async fn serve(folder: TempDir, demo: Demo) -> Served {
    let demo = Arc::new(demo);
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
    let options = Options {
        listen: listener.local_addr().expect("an address"),
        place: "demo".into(),
        timezone: "Europe/Berlin".parse().expect("a zone"),
        admin_token: "demonstration-token".into(),
        hosts: Vec::new(),
        tls: false,
        certificate: None,
    };
    let broker = Arc::new(InProcessBroker::new());
    let (_, process_health) = watch::channel(rota_web::ProcessHealth { leads: true, ..Default::default() });
    let ports = Ports {
        store: demo.store.clone(),
        broker: broker.clone(),
        clock: demo.clock.clone(),
        process_health,
    };
    let web = Web::new(options, ports).expect("valid options");
    let (address, link) = (web.address(), web.login_link());
    let shutdown = CancellationToken::new();
    tokio::spawn(web.run(listener, shutdown.clone()));
    tokio::spawn(beats(demo.clone(), shutdown.clone()));
    Served { demo, broker, address, link, shutdown, _folder: folder }
}

/// Schedulers and workers live on, and hear of drains, as long as the dashboard does.
async fn beats(demo: Arc<Demo>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        demo.beat().await;
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(Duration::from_secs(2)) => {}
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Served {
    /// How many streams the dashboard says are open.
    async fn streams(&self) -> u32 {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = client.get(format!("{}/metrics", self.address)).bearer_auth("demonstration-token");
        let text = request.send().await.expect("an answer").text().await.expect("metrics");
        let value = text.lines().find_map(|line| line.strip_prefix("rota_web_streams_open "));
        value.expect("the metric").parse().expect("a number")
    }

    async fn until_streams_are(&self, wanted: u32) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let open = self.streams().await;
            if open == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{open} streams are open, expected {wanted}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn trigger(&self, dag: &str) {
        let dag = DagId::trusted(dag);
        let params = json!({"dataset": "all", "epochs": 3}).as_object().cloned().expect("an object");
        let request =
            TriggerRequest { dag: dag.clone(), version: DagVersion(1), params, idempotency_key: None };
        let actor = Actor { name: "mei".into(), origin: String::new() };
        let run = self.demo.store.run_trigger(&request, &actor).await.expect("a run").run.id;
        self.broker.ring(Bell::Intent).await.expect("rung");
        self.broker.announce(&[Change::Run { run, dag }]).await.expect("announced");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_home_page_is_live_and_says_when_it_is_not() {
    let served = served().await;
    let browser = Browser::start().await;
    browser.open(&served.link).await;
    browser.eval("window.unchanged = true").await;
    browser
        .until(
            "the clock goes",
            "return /^\\d\\d:\\d\\d:\\d\\d$/.test(document.querySelector('.clock time').textContent)",
        )
        .await;
    let shows = "return document.querySelector('.when-now').textContent.includes('ml_churn_train')";
    assert_eq!(browser.eval(shows).await, json!(false));
    served.trigger("ml_churn_train").await;
    browser.until("the new run appears", shows).await;
    assert_eq!(browser.eval("return window.unchanged").await, json!(true), "the page was not loaded again");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    served.shutdown.cancel();
    browser
        .until(
            "the page says that it is not live",
            "return document.querySelector('.clock').textContent.includes('not live')",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_says_how_many_are_newer_and_does_not_move() {
    let served = served().await;
    let browser = Browser::start().await;
    browser.open(&served.link).await;
    browser.open(&format!("{}/runs", served.address)).await;
    let first = browser.eval("return document.querySelector('tbody tr').dataset.live").await;
    served.trigger("ml_churn_train").await;
    browser
        .until(
            "a note of what is newer",
            "return document.querySelector('[data-newer]')?.textContent === 'Show 1 newer'",
        )
        .await;
    assert_eq!(browser.eval("return document.querySelector('tbody tr').dataset.live").await, first);
    browser.click("[data-newer]").await;
    browser
        .until(
            "the newer row",
            "return document.querySelector('tbody').textContent.includes('ml_churn_train')",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_triggers_a_run_and_the_switch_holds_a_schedule() {
    let served = served().await;
    let browser = Browser::start().await;
    browser.open(&served.link).await;
    browser.open(&format!("{}/dags/fx_rates/trigger", served.address)).await;
    browser.click("form.form .is-primary").await;
    browser.until("the run's page", "return location.pathname.startsWith('/runs/')").await;
    browser
        .until(
            "the answer to the action",
            "return document.querySelector('.toast')?.textContent.includes('triggered')",
        )
        .await;
    browser.open(&format!("{}/dags/fx_rates", served.address)).await;
    browser.click(".switch").await;
    browser
        .until(
            "the schedule is held",
            "return document.querySelector('.switch').getAttribute('aria-checked') === 'false'",
        )
        .await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_drained_and_the_cluster_page_tells_it_by_itself() {
    let served = served().await;
    let browser = Browser::start().await;
    browser.open(&served.link).await;
    browser.open(&format!("{}/cluster", served.address)).await;
    let leads = browser.eval("return document.querySelector('.lanes .pill').closest('tr').textContent").await;
    assert!(leads.as_str().is_some_and(|row| row.starts_with("sched-b")), "{leads}");
    browser.click("a[href='/workers/wk-ham-01/drain']").await;
    browser
        .until("the question", "return document.querySelector('h1').textContent === 'Drain this worker?'")
        .await;
    browser.click("form.actions .is-primary").await;
    browser
        .until(
            "the answer to the action",
            "return document.querySelector('.toast')?.textContent.includes('takes nothing more')",
        )
        .await;
    browser.eval("window.unchanged = true").await;
    browser
        .until(
            "the worker drains",
            "return document.querySelector('[data-live^=\"worker-wk-ham-01-\"]').textContent.includes('draining')",
        )
        .await;
    assert_eq!(browser.eval("return window.unchanged").await, json!(true), "the page was not loaded again");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_a_phone_and_a_screen_without_complaints() {
    let served = served().await;
    let browser = Browser::start().await;
    browser.open(&served.link).await;
    for (width, height) in [(1280, 900), (390, 844)] {
        browser.emulate(width, height).await;
        for path in [
            "/",
            "/dags/warehouse_nightly",
            "/dags/warehouse_nightly/file",
            "/dags/warehouse_nightly/trigger",
            "/runs",
            "/runs/30",
            "/runs/30/retry",
            "/runs/30/cancel",
            "/runs/30/tasks/load_payments",
            "/ledger",
            "/cluster",
            "/workers/wk-ham-01/drain",
            "/files",
            "/audit",
            "/nothing",
        ] {
            browser.open(&format!("{}{path}", served.address)).await;
            let wide = browser
                .eval("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
                .await;
            assert_eq!(wide, json!(0), "{path} is wider than {width} pixels");
            let nameless = browser
                .eval(
                    "return [...document.querySelectorAll('a, button, input:not([type=hidden]), select, textarea')]
                       .filter((e) => e.getClientRects().length && !(e.textContent.trim() || e.ariaLabel || e.title
                         || e.labels?.length || e.getAttribute('aria-labelledby')))
                       .map((e) => e.outerHTML.slice(0, 120))",
                )
                .await;
            assert_eq!(nameless, json!([]), "{path}: controls without a name");
            assert!(!browser.has_dialog().await, "{path} opened a dialog");
            let complaints: Vec<String> =
                browser.complaints().await.into_iter().filter(|text| !text.contains("/nothing")).collect();
            assert_eq!(complaints, Vec::<String>::new(), "{path}");
        }
    }
}

/// A browser has six connections to a host, so a seventh page that had to wait for one would hang for as long as the others
/// are open. Each step here is a load that must come within the time limit of everything else.
async fn browse(served: &Served, browser: &Browser) {
    let paths = ["/", "/runs", "/runs/30", "/runs/30/tasks/load_payments", "/ledger", "/cluster"];
    for path in paths.iter().chain(&paths) {
        in_time(path, browser.open(&format!("{}{path}", served.address))).await;
    }
    for _ in 0..8 {
        in_time("back", browser.back()).await;
    }
    for path in paths.iter().chain(&paths).take(10) {
        in_time(path, browser.open_tab(&format!("{}{path}", served.address))).await;
    }
}

/// Far more than a load takes on a busy machine, and far less than one that waits for a connection.
async fn in_time(what: &str, load: impl Future<Output = ()>) {
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, load).await.unwrap_or_else(|_| panic!("{what}: not within {patience:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_of_a_browser_share_one_stream_that_ends_with_the_session() {
    let served = served().await;
    let browser = Browser::start().await;
    browser.open(&served.link).await;
    served.until_streams_are(1).await;
    browse(&served, &browser).await;
    served.until_streams_are(1).await;
    browser.open(&served.address).await;
    let shows = "return document.querySelector('.when-now').textContent.includes('ml_churn_train')";
    served.trigger("ml_churn_train").await;
    browser.until("the last of ten tabs is live", shows).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.click(".bar-out button").await;
    browser.until("the login page", "return location.pathname === '/login'").await;
    served.until_streams_are(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_shared_workers_one_page_leads_and_the_next_one_takes_over() {
    let served = served().await;
    let browser = Browser::start().await;
    browser.before_each_page("delete window.SharedWorker").await;
    browser.open(&served.link).await;
    assert_eq!(browser.eval("return typeof SharedWorker").await, json!("undefined"));
    served.until_streams_are(1).await;
    browser.open(&format!("{}/runs", served.address)).await;
    browser.back().await;
    served.until_streams_are(1).await;
    let shows = "return document.querySelector('.when-now').textContent.includes('ml_churn_train')";
    served.trigger("ml_churn_train").await;
    browser.until("the page is live", shows).await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_page_holds_no_stream_and_reads_itself_when_it_is_shown() {
    let served = served().await;
    let browser = Browser::start().await;
    browser.open(&served.link).await;
    served.until_streams_are(1).await;
    let hidden = |is: bool| {
        format!(
            "Object.defineProperty(document, 'hidden', {{ value: {is}, configurable: true }});
             document.dispatchEvent(new Event('visibilitychange', {{ bubbles: true }}))"
        )
    };
    browser.eval(&hidden(true)).await;
    served.until_streams_are(0).await;
    served.trigger("ml_churn_train").await;
    browser.eval(&hidden(false)).await;
    served.until_streams_are(1).await;
    let shows = "return document.querySelector('.when-now').textContent.includes('ml_churn_train')";
    browser.until("what happened meanwhile", shows).await;
}
