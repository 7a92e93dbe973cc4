//! The dashboard and the API over the real embedded store, driven through the router: who gets in, what is refused,
//! what is escaped, and that every page and link works.

mod cluster;
mod logs;
mod truth;

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, BodyDataStream, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use chrono::TimeDelta;
use futures_util::StreamExt;
use rota_backend::{InProcessBroker, SqliteStore, SystemClock};
use rota_core::dag::parse;
use rota_core::id::ReplicaId;
use rota_core::port::{Bell, Broker, Change, Clock, DagFilePlans, DagPut, FilesPut, TermPlans};
use rota_tests::demo::{Demo, DemoClock};
use rota_web::{Options, Ports, Web, WebStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt;

const TOKEN: &str = "a-token-that-nobody-guesses";
const OPEN: &[&str] = &["/login", "/healthz", "/readyz", "/leader", "/static/{hash}/{name}"];
/// Breaks out of text, attributes and scripts, if anything does.
const POLYGLOT: &str =
    "jaVasCript:/*\"'></title></script><script>alert(1)</script><img src=x onerror=alert(1)>";

type Headers<'a> = &'a [(&'a str, &'a str)];

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

struct Fixture {
    web: Web,
    router: Router,
    _folder: TempDir,
}

/// A request, with a host that is known.
fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("host", "127.0.0.1:7682")
}

fn bearer(method: &str, path: &str) -> axum::http::request::Builder {
    request(method, path).header("authorization", format!("Bearer {TOKEN}"))
}

fn web(store: Arc<dyn WebStore>, clock: Arc<dyn Clock>) -> Web {
    web_over(store, Arc::new(InProcessBroker::new()), clock)
}

fn web_over(store: Arc<dyn WebStore>, broker: Arc<dyn Broker>, clock: Arc<dyn Clock>) -> Web {
    let options = Options {
        listen: ([127, 0, 0, 1], 7682).into(),
        place: "test".into(),
        timezone: "Europe/Berlin".parse().expect("a zone"),
        admin_token: TOKEN.into(),
        hosts: Vec::new(),
        tls: false,
        certificate: None,
    };
    let (_, process_health) = watch::channel(rota_web::ProcessHealth { leads: true, ..Default::default() });
    Web::new(options, Ports { store, broker, clock, process_health }).expect("valid options")
}

impl Fixture {
    /// A store with these DAG files.
    async fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = SqliteStore::open(folder.path().join("rota.db"), clock.clone()).await.expect("opens");
        let store = Arc::new(store);
        let epoch = store.term_begin(&ReplicaId::trusted("sched-a")).await.expect("a term");
        let put = |(path, source): &(&str, &str)| {
            let dag = parse(path, source).unwrap_or_else(|errors| panic!("{errors}"));
            let next_slot = dag.schedule.as_ref().and_then(|schedule| schedule.next_after(clock.now()));
            let (path, source, hash) = ((*path).to_owned(), (*source).to_owned(), "ab".repeat(32));
            DagPut { dag: dag.id, path, source, hash, cursor: None, next_slot }
        };
        let files =
            FilesPut { dags: files.iter().map(put).collect(), at: clock.now(), ..FilesPut::default() };
        store.files_put(epoch, &files).await.expect("stored");
        Self::over(store, clock, folder)
    }

    /// A store full of history.
    async fn demo() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let demo = Demo::new(Path::new(&folder.path().join("demo.db"))).await;
        Self::over(demo.store, demo.clock, folder)
    }

    fn over(store: Arc<dyn WebStore>, clock: Arc<dyn Clock>, folder: TempDir) -> Self {
        let web = web(store, clock);
        Self { router: web.router(), web, _folder: folder }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 16 << 20).await.expect("a body");
        let body = String::from_utf8_lossy(&body).into_owned();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(bearer("GET", path).header("accept", "text/html").body(Body::empty()).expect("a request"))
            .await
    }

    async fn api(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.api_text(method, path, body.to_string()).await
    }

    async fn api_text(&self, method: &str, path: &str, body: String) -> Answer {
        let request = bearer(method, path).header("content-type", "application/json");
        self.send(request.body(Body::from(body)).expect("a request")).await
    }

    /// Signs in; returns the cookie and the form token.
    async fn session(&self) -> (String, String) {
        let form = request("POST", "/login").header("origin", "http://127.0.0.1:7682");
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        let answer = self.send(form.body(Body::from(format!("token={TOKEN}"))).expect("a request")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        let cookie = answer.header("set-cookie").split(';').next().expect("a cookie").to_owned();
        let home = request("GET", "/").header("cookie", &cookie).header("accept", "text/html");
        let home = self.send(home.body(Body::empty()).expect("a request")).await;
        let csrf = home.body.split("data-csrf=\"").nth(1).and_then(|rest| rest.split('"').next());
        (cookie, csrf.expect("a form token").to_owned())
    }
}

const HELLO: (&str, &str) = (
    "hello.yaml",
    "dag: hello\nschedule: every 1h\nparams: {who: {type: string, default: world, max: 20}, times: 3}\ntasks:\n  \
     say: {run: \"echo {{ params.who }}\"}\n  after: {needs: [say], noop: {}}\n",
);
const MANUAL: (&str, &str) =
    ("manual.yaml", "dag: manual\nparams: {day: {type: string}}\ntasks: {a: {noop: {}}}\n");

/// The pattern with something in the place of its names.
fn filled(pattern: &str) -> String {
    let known = [
        ("{dag}", "hello"),
        ("{run}", "1"),
        ("{task}", "say"),
        ("{worker}", "wk-a"),
        ("{hash}", "0"),
        ("{name}", "rota.css"),
    ];
    known.iter().fold(pattern.to_owned(), |path, (name, value)| path.replace(name, value))
}

#[tokio::test]
async fn every_route_but_five_refuses_strangers_whatever_the_method() {
    let fixture = Fixture::new(&[HELLO]).await;
    for (pattern, methods) in Web::addresses() {
        for method in methods.iter().copied().chain(["HEAD", "OPTIONS", "DELETE"]) {
            let request = request(method, &filled(pattern)).header("origin", "http://127.0.0.1:7682");
            let answer = fixture.send(request.body(Body::empty()).expect("a request")).await;
            let open = OPEN.contains(&pattern);
            assert_eq!(
                answer.status == StatusCode::UNAUTHORIZED,
                !open,
                "{method} {pattern}: {}",
                answer.status
            );
        }
    }
}

#[tokio::test]
async fn names_that_look_like_open_paths_open_nothing() {
    let fixture = Fixture::new(&[HELLO]).await;
    for path in [
        "/dags/healthz",
        "/dags/login",
        "/runs/1/tasks/healthz",
        "/api/v1/dags/leader",
        "/x/healthz",
        "/healthz/x",
        "/api/v1/healthz",
        "//healthz",
        "/login/../dags/hello",
        "/static/../dags/hello",
        "/dags/hello?x=/login",
        "/api/v1/events?/healthz",
    ] {
        let answer = fixture.send(request("GET", path).body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn people_are_sent_to_the_sign_in_page_and_back() {
    let fixture = Fixture::new(&[HELLO]).await;
    let ask = request("GET", "/dags/hello?x=1").header("accept", "text/html,*/*");
    let answer = fixture.send(ask.body(Body::empty()).expect("a request")).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (StatusCode::SEE_OTHER, "/login?next=/dags/hello%3Fx%3D1")
    );
    let form = request("POST", "/login")
        .header("origin", "http://127.0.0.1:7682")
        .header("content-type", "application/x-www-form-urlencoded");
    let body = format!("token={TOKEN}&next=%2Fdags%2Fhello%3Fx%3D1");
    let answer = fixture.send(form.body(Body::from(body)).expect("a request")).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/dags/hello?x=1"));
    let cookie = answer.header("set-cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/"),
        "{cookie}"
    );
    assert!(!cookie.contains(TOKEN));
}

#[tokio::test]
async fn the_login_link_works_once() {
    let fixture = Fixture::new(&[HELLO]).await;
    let link = fixture.web.login_link();
    let path = link.strip_prefix("http://127.0.0.1:7682").expect("our address").to_owned();
    let open = || request("GET", &path).body(Body::empty()).expect("a request");
    let first = fixture.send(open()).await;
    assert_eq!((first.status, first.header("location")), (StatusCode::SEE_OTHER, "/"));
    assert!(!first.header("set-cookie").is_empty());
    let second = fixture.send(open()).await;
    assert_eq!(second.status, StatusCode::OK);
    assert!(second.header("set-cookie").is_empty() && second.body.contains("was used before"));
}

#[tokio::test]
async fn guessing_the_token_is_slowed_down_and_signing_out_ends_the_session() {
    let fixture = Fixture::new(&[HELLO]).await;
    let (cookie, csrf) = fixture.session().await;
    let read = |cookie: &str| {
        request("GET", "/runs").header("cookie", cookie).body(Body::empty()).expect("a request")
    };
    assert_eq!(fixture.send(read(&cookie)).await.status, StatusCode::OK);
    let out = request("POST", "/logout").header("cookie", &cookie).header("sec-fetch-site", "same-origin");
    let out = out.header("content-type", "application/x-www-form-urlencoded");
    let answer = fixture.send(out.body(Body::from(format!("csrf={csrf}"))).expect("a request")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(fixture.send(read(&cookie)).await.status, StatusCode::UNAUTHORIZED);
    let guess = || {
        let guess = request("GET", "/api/v1/dags").header("authorization", "Bearer wrong");
        guess.body(Body::empty()).expect("a request")
    };
    for _ in 0..10 {
        assert_eq!(fixture.send(guess()).await.status, StatusCode::UNAUTHORIZED);
    }
    let locked = fixture.send(guess()).await;
    assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(!locked.header("retry-after").is_empty());
    // Whoever guesses from an address locks nobody out who has the token.
    assert_eq!(fixture.get("/api/v1/dags").await.status, StatusCode::OK);
    fixture.session().await;
    assert_eq!(fixture.send(guess()).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_form_of_another_site_changes_nothing() {
    let fixture = Fixture::new(&[HELLO]).await;
    let (cookie, csrf) = fixture.session().await;
    let form = "application/x-www-form-urlencoded";
    let good = format!("paused=true&csrf={csrf}");
    let cases: [(&str, Headers<'_>, &str, &str); 7] = [
        ("another origin", &[("origin", "https://evil.example")], form, &good),
        ("our name as a prefix", &[("origin", "http://127.0.0.1:7682.evil.example")], form, &good),
        ("null origin", &[("origin", "null")], form, &good),
        ("no origin at all", &[], form, &good),
        (
            "another site",
            &[("origin", "http://127.0.0.1:7682"), ("sec-fetch-site", "cross-site")],
            form,
            &good,
        ),
        ("no token", &[("sec-fetch-site", "same-origin")], form, "paused=true"),
        ("a wrong token", &[("sec-fetch-site", "same-origin")], form, "paused=true&csrf=0"),
    ];
    let post = |headers: Headers<'_>, kind: &str, body: &str| {
        let mut post =
            request("POST", "/dags/hello/pause").header("cookie", &cookie).header("content-type", kind);
        for (name, value) in headers {
            post = post.header(*name, *value);
        }
        post.body(Body::from(body.to_owned())).expect("a request")
    };
    for (what, headers, kind, body) in cases {
        assert_eq!(fixture.send(post(headers, kind, body)).await.status, StatusCode::FORBIDDEN, "{what}");
    }
    let plain = post(&[("sec-fetch-site", "same-origin")], "text/plain", &good);
    assert_eq!(fixture.send(plain).await.status, StatusCode::FORBIDDEN);
    assert_eq!(fixture.api("GET", "/api/v1/dags/hello", &Value::Null).await.json()["paused"], json!(false));
    let ours = fixture.send(post(&[("origin", "http://127.0.0.1:7682")], form, &good)).await;
    assert_eq!((ours.status, ours.header("location")), (StatusCode::SEE_OTHER, "/?done=paused"));
    assert_eq!(fixture.api("GET", "/api/v1/dags/hello", &Value::Null).await.json()["paused"], json!(true));
}

#[tokio::test]
async fn api_writes_need_json_and_in_a_browser_the_session_token() {
    let fixture = Fixture::new(&[HELLO]).await;
    let (cookie, csrf) = fixture.session().await;
    let body = r#"{"paused": true}"#;
    let text = bearer("PATCH", "/api/v1/dags/hello").header("content-type", "text/plain");
    let answer = fixture.send(text.body(Body::from(body)).expect("a request")).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let patch = |csrf: Option<&str>| {
        let patch = request("PATCH", "/api/v1/dags/hello")
            .header("cookie", &cookie)
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/json");
        let patch = csrf.into_iter().fold(patch, |patch, csrf| patch.header("x-csrf-token", csrf));
        patch.body(Body::from(body)).expect("a request")
    };
    assert_eq!(fixture.send(patch(None)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(fixture.send(patch(Some("0"))).await.status, StatusCode::FORBIDDEN);
    assert_eq!(fixture.send(patch(Some(&csrf))).await.status, StatusCode::OK);
}

#[tokio::test]
async fn writes_do_not_answer_to_get_and_unknown_hosts_get_nothing() {
    let fixture = Fixture::new(&[HELLO]).await;
    for path in [
        "/logout",
        "/dags/hello/pause",
        "/api/v1/runs/1/cancel",
        "/api/v1/runs/1/retry",
        "/api/v1/workers/wk-a/drain",
    ] {
        let answer = fixture.get(path).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.header("allow"), "POST", "{path}");
    }
    for host in ["evil.example", "127.0.0.1.evil.example:7682", "10.0.0.1", "", "localhost.evil.example"] {
        for path in ["/login", "/metrics", "/api/v1/dags"] {
            let ask = Request::builder().uri(path).header("host", host);
            let answer = fixture.send(ask.body(Body::empty()).expect("a request")).await;
            assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{path} of {host}");
        }
        let ask = Request::builder().uri("/healthz").header("host", host);
        let answer = fixture.send(ask.body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.status, StatusCode::OK, "a load balancer's probe of {host}");
    }
    for host in ["localhost:7682", "127.0.0.1:7682", "[::1]:7682", "LOCALHOST"] {
        let ask = Request::builder().uri("/healthz").header("host", host);
        let answer = fixture.send(ask.body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.status, StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn refusals_are_problem_documents_to_programs_and_pages_to_people() {
    let fixture = Fixture::new(&[HELLO, MANUAL]).await;
    let long = "a".repeat(300);
    for (path, status) in [
        ("/api/v1/dags/nothing", 404),
        ("/api/v1/dags/..%2f..%2fetc%2fpasswd", 404),
        ("/api/v1/dags/%00", 404),
        ("/api/v1/dags/HELLO", 404),
        ("/api/v1/runs/0", 404),
        ("/api/v1/runs/-1", 404),
        ("/api/v1/runs/1e9", 404),
        ("/api/v1/runs/..", 404),
        ("/api/v1/runs/99999999999999999999", 404),
        ("/api/v1/runs?state=odd", 400),
        ("/api/v1/runs?cursor=x", 400),
        ("/api/v1/runs?limit=x", 400),
        ("/api/v1/audit?cursor=x", 400),
        ("/api/v1/terms?limit=x", 400),
        ("/api/v1/nothing", 404),
        (&*format!("/api/v1/dags/{long}"), 404),
    ] {
        let answer = fixture.api("GET", path, &Value::Null).await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.body);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
        let problem = answer.json();
        assert_eq!(problem["status"], json!(status), "{path}");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{path}");
    }
    let page = fixture.get("/dags/nothing").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(
        page.header("content-type").starts_with("text/html") && page.body.contains("There is no such page")
    );
    let missing = fixture.api("POST", "/api/v1/dags/manual/runs", &json!({})).await;
    assert_eq!(missing.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(missing.body.contains("day"), "{}", missing.body);
    let unknown = fixture.api("POST", "/api/v1/dags/hello/runs", &json!({"parms": {}})).await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
    let large = fixture.api("POST", "/api/v1/dags/hello/runs", &json!({"x": "y".repeat(2 << 20)})).await;
    assert!(large.status.is_client_error(), "{}", large.status);
}

#[tokio::test]
async fn a_trigger_is_made_once_per_key_and_runs_are_listed_in_pages() {
    let fixture = Fixture::new(&[HELLO]).await;
    let body = json!({"params": {"who": "you"}, "idempotency_key": "k1"});
    let first = fixture.api("POST", "/api/v1/dags/hello/runs", &body).await;
    let again = fixture.api("POST", "/api/v1/dags/hello/runs", &body).await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::OK));
    assert_eq!(first.json()["id"], again.json()["id"]);
    let spelled_out = json!({"params": {"who": "you", "times": 3}, "idempotency_key": "k1"});
    let same = fixture.api("POST", "/api/v1/dags/hello/runs", &spelled_out).await;
    assert_eq!((same.status, &same.json()["id"]), (StatusCode::OK, &first.json()["id"]));
    // What was done; that something was refused is a row of its own.
    let audit = async || {
        let all = fixture.api("GET", "/api/v1/audit", &Value::Null).await.json()["items"].clone();
        let rows = all.as_array().cloned().unwrap_or_default();
        rows.into_iter().filter(|row| row["action"] != "write_refused").collect::<Vec<_>>()
    };
    let before = audit().await;
    assert!(!before.is_empty());
    for (other, name) in [(json!({"who": "them"}), "`who`"), (json!({"who": "you", "times": 4}), "`times`")] {
        let body = json!({"params": other, "idempotency_key": "k1"});
        let refused = fixture.api("POST", "/api/v1/dags/hello/runs", &body).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
        assert!(refused.body.contains("other parameters") && refused.body.contains(name), "{}", refused.body);
    }
    assert_eq!(audit().await, before, "what was refused was not done");
    let long = "k".repeat(201);
    for odd in ["", "a\nb", "caf\u{e9}", "\u{0}", long.as_str()] {
        let body = json!({"params": {"who": "you"}, "idempotency_key": odd});
        let refused = fixture.api("POST", "/api/v1/dags/hello/runs", &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{odd:?}: {}", refused.body);
    }
    let nothing = json!({"failed_only": true});
    let refused = fixture.api("POST", &format!("/api/v1/runs/{}/retry", first.json()["id"]), &nothing).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    assert!(refused.body.contains("nothing to run again"), "{}", refused.body);
    let run = first.json();
    assert_eq!(
        (&run["params"]["who"], &run["params"]["times"], &run["trigger"]),
        (&json!("you"), &json!(3), &json!("manual"))
    );
    for _ in 0..6 {
        fixture.api("POST", "/api/v1/dags/hello/runs", &json!({})).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = fixture
            .api("GET", &format!("/api/v1/dags/hello/runs?limit=3{cursor}"), &Value::Null)
            .await
            .json();
        let items = page["items"].as_array().expect("a list");
        assert!(items.len() <= 3);
        seen.extend(items.iter().map(|run| run["id"].as_i64().expect("an id")));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 7);
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "{seen:?}");
    let all = fixture.api("GET", "/api/v1/runs?limit=1000000", &Value::Null).await;
    assert_eq!(all.json()["items"].as_array().map(Vec::len), Some(7));
    let tasks = fixture.api("GET", "/api/v1/runs/1/tasks", &Value::Null).await.json();
    assert_eq!(tasks["items"][1]["task"], json!("after"));
    assert_eq!(tasks["items"][1]["state"], json!("waiting"));
}

#[tokio::test]
async fn whole_numbers_of_a_request_keep_their_digits_or_are_refused() {
    let wide = ("wide.yaml", "dag: wide\nparams: {n: {type: integer}, l: []}\ntasks: {a: {noop: {}}}\n");
    let fixture = Fixture::new(&[wide]).await;
    let send = async |n: &str| {
        let body = format!("{{\"params\": {{\"n\": {n}, \"l\": [{n}]}}}}");
        fixture.api_text("POST", "/api/v1/dags/wide/runs", body).await
    };
    for n in ["18446744073709551615", "-9223372036854775808"] {
        let made = send(n).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        assert!(made.body.contains(&format!("\"n\":{n},\"l\":[{n}]")), "{}", made.body);
    }
    let refused = send("18446744073709551616").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    assert!(refused.body.contains("more than 64 bits"), "{}", refused.body);
}

#[tokio::test]
async fn the_trigger_form_says_beside_the_field_what_is_wrong() {
    let fixture = Fixture::new(&[HELLO]).await;
    let (cookie, csrf) = fixture.session().await;
    let post = |fields: &str| {
        request("POST", "/dags/hello/trigger")
            .header("cookie", &cookie)
            .header("origin", "http://127.0.0.1:7682")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(format!("csrf={csrf}&key=form-1&{fields}")))
            .expect("a request")
    };
    let bad = fixture.send(post("p.who=me&p.times=three")).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        bad.body.contains("id=\"e-times\"") && bad.body.contains("value=\"three\""),
        "the field keeps its value"
    );
    assert!(!bad.body.contains("id=\"e-who\""));
    let good = fixture.send(post("p.who=me&p.times=4")).await;
    assert_eq!((good.status, good.header("location")), (StatusCode::SEE_OTHER, "/runs/1?done=triggered"));
    let twice = fixture.send(post("p.who=me&p.times=4")).await;
    assert_eq!(twice.header("location"), "/runs/1?done=repeated");
    let cancel = fixture.get("/runs/1/cancel").await;
    assert_eq!(cancel.status, StatusCode::OK);
    let cancelled = fixture.api("POST", "/api/v1/runs/1/cancel", &json!({})).await;
    assert_eq!(cancelled.status, StatusCode::ACCEPTED, "{}", cancelled.body);
    let audit = fixture.api("GET", "/api/v1/audit", &Value::Null).await.json();
    let actions = audit["items"].as_array().expect("rows").iter().filter_map(|row| row["action"].as_str());
    let actions: Vec<&str> = actions.filter(|action| action.starts_with("run_")).collect();
    assert_eq!(actions, ["run_cancel", "run_trigger", "run_trigger"]);
}

#[tokio::test]
async fn the_door_is_audited_and_a_flood_at_it_is_one_line() {
    let fixture = Fixture::new(&[HELLO]).await;
    for _ in 0..200 {
        let wrong = request("GET", "/api/v1/runs").header("authorization", "Bearer wrong-wrong-wrong-wrong");
        fixture.send(wrong.body(Body::empty()).expect("a request")).await;
        fixture.send(request("GET", "/login?code=old").body(Body::empty()).expect("a request")).await;
        let write = request("POST", "/api/v1/runs/1/cancel").header("origin", "http://127.0.0.1:7682");
        fixture.send(write.body(Body::empty()).expect("a request")).await;
    }
    let (cookie, csrf) = fixture.session().await;
    let form = |path: &str, csrf: &str| {
        let form = request("POST", path).header("cookie", &cookie).header("origin", "http://127.0.0.1:7682");
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        form.body(Body::from(format!("csrf={csrf}"))).expect("a request")
    };
    assert_eq!(fixture.send(form("/dags/hello/pause", "0")).await.status, StatusCode::FORBIDDEN);
    fixture.api("POST", "/api/v1/runs/77/cancel", &json!({})).await;
    assert_eq!(fixture.send(form("/logout", &csrf)).await.status, StatusCode::SEE_OTHER);
    let expected = [
        ("scheduler", "dag_version", "hello", "version 1 from hello.yaml, SHA-256 abab"),
        ("unknown", "sign_in_failed", "", "a wrong token"),
        ("unknown", "write_refused", "/api/v1/runs/1/cancel", "401 "),
        ("admin", "sign_in", "", ""),
        ("admin", "write_refused", "/dags/hello/pause", "403 the form's token"),
        ("admin", "write_refused", "/api/v1/runs/77/cancel", "404 run 77 does not exist"),
        ("admin", "sign_out", "", ""),
    ];
    let is_like = |row: &Value, (actor, action, subject, outcome): (&str, &str, &str, &str)| {
        let is = |name: &str, text: &str| row[name].as_str() == Some(text);
        is("actor", actor)
            && is("action", action)
            && is("subject", subject)
            && row["outcome"].as_str().unwrap_or_default().starts_with(outcome)
    };
    // Nobody waits for the audit, so it may come a moment later.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let audit = fixture.api("GET", "/api/v1/audit", &Value::Null).await.json();
        let rows = audit["items"].as_array().expect("rows").clone();
        let is_there = |row| rows.iter().any(|found| is_like(found, row));
        if expected.into_iter().all(is_there) {
            assert_eq!(rows.len(), expected.len(), "{rows:#?}");
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{rows:#?}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let page = fixture.get("/audit").await.body;
    for words in ["could not sign in", "was refused a change at", "stored a new version of", "signed out"] {
        assert!(page.contains(words), "{words}");
    }
}

/// Every address on a page that leads to another one.
fn links(html: &str) -> impl Iterator<Item = String> + '_ {
    html.split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter(|href| href.starts_with('/'))
        .map(|href| href.split('#').next().unwrap_or(href).replace("&amp;", "&").replace("&#38;", "&"))
}

fn assert_sound(path: &str, page: &Answer) {
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
    assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
    if !page.header("content-type").starts_with("text/html") {
        return;
    }
    assert_eq!(page.header("cache-control"), "no-store", "{path}");
    assert_eq!(page.body.matches("<h1").count(), 1, "{path}: one h1");
    for bad in [" style=\"", "<style", "onclick=", "javascript:", "<script>"] {
        assert!(!page.body.contains(bad), "{path} holds {bad}");
    }
    let ids: Vec<&str> =
        page.body.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let unique: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "{path}: an id stands twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_from_the_home_page_leads_somewhere() {
    let fixture = Fixture::demo().await;
    let mut seen = BTreeSet::from(["/".to_owned()]);
    let mut queue = VecDeque::from(["/".to_owned()]);
    while let Some(path) = queue.pop_front() {
        let page = fixture.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
        assert_sound(&path, &page);
        if seen.len() > 400 || path.starts_with("/api/") || path.starts_with("/static/") {
            continue;
        }
        for link in links(&page.body) {
            if seen.insert(link.clone()) {
                queue.push_back(link);
            }
        }
    }
    assert!(seen.len() > 100, "{}", seen.len());
    assert!(!seen.iter().any(|path| path.starts_with("/fleet") || path.starts_with("/pools")));
}

#[tokio::test]
async fn remarks_on_a_file_stand_on_the_page_of_its_dag_and_in_the_api() {
    let text = "tasks:\n  load: {run: x}\n  clean: {run: y, needs: [load], trigger_rule: all_done}\n";
    let fixture = Fixture::new(&[("quiet.yaml", text)]).await;
    let page = fixture.get("/dags/quiet").await;
    assert!(page.body.contains("a run can succeed although <code>load</code> failed"), "{}", page.body);
    let dag = fixture.api("GET", "/api/v1/dags/quiet", &Value::Null).await.json();
    assert_eq!(dag["remarks"][0]["line"], 3, "{dag}");
}

#[tokio::test]
async fn hostile_words_stay_words() {
    let yaml = serde_json::to_string(POLYGLOT).expect("a JSON text is a YAML text");
    let source = format!(
        "dag: hostile\ndescription: {yaml}\nowner: {yaml}\ntags: [{yaml}]\nschedule: every 1h\n\
         params: {{p: {{type: string, default: {yaml}, description: {yaml}, enum: [{yaml}]}}}}\n\
         env: {{X: {yaml}}}\ntasks:\n  t: {{run: {yaml}}}\n"
    );
    let fixture = Fixture::new(&[("hostile.yaml", &source)]).await;
    let run = fixture.api("POST", "/api/v1/dags/hostile/runs", &json!({})).await;
    assert_eq!(run.status, StatusCode::CREATED, "{}", run.body);
    for path in [
        "/",
        "/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&state=%22%3E%3Cscript%3E&tag=%3Cimg%20src=x%20onerror=alert(1)%3E",
        "/dags/hostile",
        "/dags/hostile/file",
        "/dags/hostile/trigger",
        "/runs",
        "/runs/1",
        "/runs/1/tasks/t?find=%3Cscript%3E",
        "/runs/1/cancel",
        "/login?next=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&code=x",
        "/dags/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/runs?dag=%3Cscript%3Ealert(1)",
        "/ledger?outcome=%3Cscript%3Ealert(1)",
    ] {
        let page = fixture.get(path).await;
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
        for bad in ["<script>alert", "<img src=x", "\"><script", "</title></script>"] {
            assert!(!page.body.contains(bad), "{path} holds {bad}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_plain_text_and_never_more_than_that() {
    let fixture = Fixture::demo().await;
    let runs =
        fixture.api("GET", "/api/v1/runs?dag=partner_feed_import&state=failed", &Value::Null).await.json();
    let run = &runs["items"][0]["id"];
    let log = fixture.get(&format!("/api/v1/runs/{run}/tasks/parse/logs")).await;
    assert_eq!(log.status, StatusCode::OK);
    assert_eq!(log.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(log.header("x-content-type-options"), "nosniff");
    assert!(log.header("content-disposition").starts_with("attachment; filename=\"run-"));
    assert!(log.body.contains("<script>alert(1)</script>"), "a log is not changed on its way");
    let followed = fixture.get(&format!("/api/v1/runs/{run}/tasks/parse/logs?follow=true")).await;
    assert_eq!(followed.body, log.body, "following an attempt that has ended ends");
    let page = fixture.get(&format!("/runs/{run}/tasks/parse")).await;
    assert!(page.body.contains("&#60;script&#62;alert(1)") && !page.body.contains("<script>alert"));
    for path in ["logs?attempt=9", "logs?index=3"] {
        let answer = fixture.get(&format!("/api/v1/runs/{run}/tasks/parse/{path}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn streams_are_counted_and_the_last_one_is_refused() {
    let fixture = Fixture::new(&[HELLO]).await;
    let mut open = Vec::new();
    let refused = loop {
        let ask = bearer("GET", "/api/v1/events").body(Body::empty()).expect("a request");
        let answer = fixture.router.clone().oneshot(ask).await.expect("infallible");
        if answer.status() != StatusCode::OK {
            break answer;
        }
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        open.push(answer);
        assert!(open.len() < 1000, "no bound on streams");
    };
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    open.pop();
    let ask = bearer("GET", "/api/v1/events").body(Body::empty()).expect("a request");
    assert_eq!(fixture.router.clone().oneshot(ask).await.expect("infallible").status(), StatusCode::OK);
}

/// An open stream of this session, and its first words.
async fn stream_of(fixture: &Fixture, path: &str, cookie: &str) -> BodyDataStream {
    let ask = request("GET", path).header("cookie", cookie).body(Body::empty()).expect("a request");
    let answer = fixture.router.clone().oneshot(ask).await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    let mut stream = answer.into_body().into_data_stream();
    stream.next().await.expect("something at once").expect("bytes");
    stream
}

async fn streams_open(fixture: &Fixture) -> String {
    let metrics = fixture.get("/metrics").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("rota_web_streams_open "));
    line.expect("the metric").to_owned()
}

#[tokio::test]
async fn streams_end_with_the_session_that_opened_them() {
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Arc::new(DemoClock::default()));
    let demo = Demo::new(&folder.path().join("demo.db")).await;
    let fixture = Fixture::over(demo.store.clone(), clock.clone(), folder);
    let running = fixture.api("GET", "/api/v1/runs?dag=warehouse_nightly&state=running", &Value::Null).await;
    let run = &running.json()["items"][0]["id"];
    let log = format!("/api/v1/runs/{run}/tasks/load_payments/logs?follow=true");
    let (cookie, csrf) = fixture.session().await;
    let (other, _) = fixture.session().await;
    let mut theirs = stream_of(&fixture, "/api/v1/events", &other).await;
    let mut ours = Vec::new();
    for path in ["/api/v1/events", &log] {
        ours.push(stream_of(&fixture, path, &cookie).await);
    }
    assert_eq!(streams_open(&fixture).await, "3");
    let out = request("POST", "/logout").header("cookie", &cookie).header("sec-fetch-site", "same-origin");
    let out = out.header("content-type", "application/x-www-form-urlencoded");
    fixture.send(out.body(Body::from(format!("csrf={csrf}"))).expect("a request")).await;
    for stream in &mut ours {
        while stream.next().await.is_some() {}
    }
    assert_eq!(streams_open(&fixture).await, "1", "another session's stream goes on");
    clock.set(Some(clock.now() + TimeDelta::hours(13)));
    while theirs.next().await.is_some() {}
    assert_eq!(streams_open(&fixture).await, "0", "a session that is too old ends its stream");
}

#[tokio::test]
async fn assets_are_cached_for_ever_under_their_hash_only() {
    let fixture = Fixture::new(&[HELLO]).await;
    let home = fixture.get("/").await;
    let sheet = links(&home.body).find(|link| link.ends_with("rota.css")).expect("a stylesheet");
    let answer = fixture.send(request("GET", &sheet).body(Body::empty()).expect("a request")).await;
    assert!(
        answer.header("cache-control").contains("immutable")
            && answer.header("content-type").starts_with("text/css")
    );
    let stale = fixture.get("/static/0/rota.css").await;
    assert_eq!(stale.header("cache-control"), "no-cache");
    assert_eq!(fixture.get("/static/0/..%2fCargo.toml").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_list_of_a_thousand_dags_is_paged_and_quick() {
    let sources: Vec<(String, String)> = (0..1000)
        .map(|n| {
            (
                format!("d{n}.yaml"),
                format!("dag: d{n:04}\nschedule: \"{} * * * *\"\ntasks: {{a: {{noop: {{}}}}}}\n", n % 60),
            )
        })
        .collect();
    let files: Vec<(&str, &str)> = sources.iter().map(|(path, source)| (&**path, &**source)).collect();
    let fixture = Fixture::new(&files).await;
    fixture.get("/").await;
    let began = std::time::Instant::now();
    let page = fixture.get("/?page=3").await;
    let took = TimeDelta::from_std(began.elapsed()).expect("short");
    assert_eq!(page.body.matches("class=\"rota-past\"").count(), 50);
    assert!(page.body.contains("101 to 150 of 1000"), "the third page");
    println!("home with 1,000 DAGs: {} ms, {} bytes", took.num_milliseconds(), page.body.len());
    assert!(took < TimeDelta::seconds(5), "{took}");
}
