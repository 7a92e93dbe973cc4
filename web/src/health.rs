//! The probes of a process that has no dashboard: `/healthz`, `/readyz`, `/leader`, `/metrics`. They tell states and
//! numbers, nothing that a person wrote, and so need no login.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What a process says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vitals {
    /// What it waits for, a line each (`waits for postgres: connection refused`). Nothing: it is ready.
    pub waits: Vec<String>,
    /// What it does without for now, a line each (`degraded: rabbitmq: ...`). It is ready all the same.
    pub degraded: Vec<String>,
    /// Whether it leads.
    pub leads: bool,
    /// Gauges: name, what it is, value.
    pub gauges: Vec<(&'static str, &'static str, i64)>,
}

impl Vitals {
    /// The answer to `/readyz`.
    pub(crate) fn readiness(&self) -> (StatusCode, String) {
        let lines = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        if self.waits.is_empty() {
            (StatusCode::OK, format!("ready\n{}", lines(&self.degraded)))
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, lines(&self.waits) + &lines(&self.degraded))
        }
    }
}

/// The probes' server.
pub struct Health {
    vitals: watch::Receiver<Vitals>,
}

impl Health {
    /// Tells what `vitals` says at the time of the request.
    pub fn new(vitals: watch::Receiver<Vitals>) -> Self {
        Self { vitals }
    }

    /// Serves until `shutdown`.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let router = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/leader", get(leader))
            .route("/metrics", get(metrics))
            .with_state(self.vitals);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service).with_graceful_shutdown(async move { shutdown.cancelled().await }).await
    }
}

type Told = State<watch::Receiver<Vitals>>;

async fn readyz(State(vitals): Told) -> Response {
    vitals.borrow().readiness().into_response()
}

async fn leader(State(vitals): Told) -> Response {
    if vitals.borrow().leads {
        "leader\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not the leader\n").into_response()
    }
}

async fn metrics(State(vitals): Told) -> Response {
    let vitals = vitals.borrow().clone();
    let own = [
        ("rota_leader", "1 on the process that leads", i64::from(vitals.leads)),
        ("rota_ready", "1 if it waits for nothing", i64::from(vitals.waits.is_empty())),
    ];
    let mut text = String::new();
    for (name, help, value) in own.iter().chain(&vitals.gauges) {
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}")
            .expect("a string takes all that is written to it");
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_named_and_what_is_done_without_is_no_wait() {
        let mut vitals = Vitals { waits: vec!["waits for postgres: refused".into()], ..Vitals::default() };
        let (status, text) = vitals.readiness();
        assert_eq!(
            (status, text.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "waits for postgres: refused\n")
        );
        vitals = Vitals { degraded: vec!["degraded: rabbitmq: away".into()], ..Vitals::default() };
        let (status, text) = vitals.readiness();
        assert_eq!((status, text.as_str()), (StatusCode::OK, "ready\ndegraded: rabbitmq: away\n"));
    }
}
