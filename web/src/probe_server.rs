//! The probes' server of a process that has no dashboard (those of the dashboard are in `probes`): `/healthz`, `/readyz`, `/leader`, `/metrics`. They tell states and
//! numbers, nothing that a person wrote, and so need no login.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::exposition::Exposition;
use crate::serve::Server;

/// How long answers under way may take when the process ends: a client that sends half a request must not hold it.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// What a process says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProcessHealth {
    /// What it waits for, a line each (`waits for postgres: connection refused`). Nothing: it is ready.
    pub waits: Vec<String>,
    /// What keeps its scheduler from doing its part, though nothing is waited for. It is not ready, and no leader that counts.
    pub troubles: Vec<String>,
    /// What it does without for now, a line each (`degraded: rabbitmq: ...`). It is ready all the same.
    pub degraded: Vec<String>,
    /// Whether it leads.
    pub leads: bool,
    /// The services that it uses, and whether each answers.
    pub links: Vec<(&'static str, bool)>,
    /// Gauges: name, what it is, value.
    pub gauges: Vec<(&'static str, &'static str, i64)>,
}

impl ProcessHealth {
    /// The answer to `/readyz`.
    pub(crate) fn readiness(&self) -> (StatusCode, String) {
        let lines = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        // What is waited for is why its scheduler is in trouble: it is said once.
        let troubles = self.troubles.iter().filter(|_| self.waits.is_empty());
        let troubles: String = troubles.map(|trouble| format!("trouble: {trouble}\n")).collect();
        if self.is_ready() {
            (StatusCode::OK, format!("ready\n{}", lines(&self.degraded)))
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, lines(&self.waits) + &troubles + &lines(&self.degraded))
        }
    }

    fn is_ready(&self) -> bool {
        self.waits.is_empty() && self.troubles.is_empty()
    }

    /// The answer to `/leader`.
    pub(crate) fn leadership(&self) -> (StatusCode, String) {
        match self.troubles.first() {
            _ if !self.leads => (StatusCode::SERVICE_UNAVAILABLE, "not the leader\n".to_owned()),
            Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("leader in trouble: {why}\n")),
            None => (StatusCode::OK, "leader\n".to_owned()),
        }
    }

    /// Writes all of it for Prometheus.
    pub(crate) fn expose(&self, out: &mut Exposition) {
        out.gauge("rota_leader", "1 on the process that leads", u8::from(self.leads));
        out.gauge("rota_ready", "1 if it waits for nothing and does its part", u8::from(self.is_ready()));
        for (name, help, value) in &self.gauges {
            out.gauge(name, help, value);
        }
        let links = self.links.iter().map(|(service, is_up)| (service, u8::from(*is_up)));
        out.gauges("rota_service_up", "1 if the service answers", "service", links);
    }
}

/// The probes' server.
pub struct ProbeServer {
    process_health: watch::Receiver<ProcessHealth>,
}

impl ProbeServer {
    /// Tells what `process_health` says at the time of the request.
    pub fn new(process_health: watch::Receiver<ProcessHealth>) -> Self {
        Self { process_health }
    }

    /// Serves until `shutdown`, and a moment longer for answers under way.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let router = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/leader", get(leader))
            .route("/metrics", get(metrics))
            .with_state(self.process_health);
        end_within(CLOSE_MAX, Server::plain(router).run(listener, shutdown.clone()), &shutdown).await
    }
}

/// Waits for a server's end, but not for longer than `patience` once it was told to stop.
pub(crate) async fn end_within(
    patience: Duration,
    served: impl Future<Output = io::Result<()>>,
    shutdown: &CancellationToken,
) -> io::Result<()> {
    let given_up = async {
        shutdown.cancelled().await;
        tokio::time::sleep(patience).await;
    };
    tokio::select! {
        ended = served => ended,
        () = given_up => Ok(()),
    }
}

type Told = State<watch::Receiver<ProcessHealth>>;

async fn readyz(State(process_health): Told) -> Response {
    process_health.borrow().readiness().into_response()
}

async fn leader(State(process_health): Told) -> Response {
    process_health.borrow().leadership().into_response()
}

async fn metrics(State(process_health): Told) -> Response {
    let mut out = Exposition::default();
    process_health.borrow().expose(&mut out);
    out.into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_named_and_what_is_done_without_is_no_wait() {
        let mut process_health =
            ProcessHealth { waits: vec!["waits for postgres: refused".into()], ..ProcessHealth::default() };
        let (status, text) = process_health.readiness();
        assert_eq!(
            (status, text.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "waits for postgres: refused\n")
        );
        process_health =
            ProcessHealth { degraded: vec!["degraded: rabbitmq: away".into()], ..ProcessHealth::default() };
        let (status, text) = process_health.readiness();
        assert_eq!((status, text.as_str()), (StatusCode::OK, "ready\ndegraded: rabbitmq: away\n"));
    }

    #[test]
    fn a_leader_in_trouble_is_neither_ready_nor_a_leader_and_says_why() {
        let mut process_health = ProcessHealth {
            leads: true,
            troubles: vec!["its disk is full".into()],
            ..ProcessHealth::default()
        };
        let away = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(process_health.readiness(), (away, "trouble: its disk is full\n".to_owned()));
        assert_eq!(process_health.leadership(), (away, "leader in trouble: its disk is full\n".to_owned()));
        process_health.waits = vec!["waits for postgres: refused".into()];
        assert_eq!(process_health.readiness(), (away, "waits for postgres: refused\n".to_owned()));
        process_health.leads = false;
        assert_eq!(process_health.leadership(), (away, "not the leader\n".to_owned()));
    }

    #[test]
    fn every_service_and_every_gauge_has_its_line() {
        let process_health = ProcessHealth {
            leads: true,
            links: vec![("postgres", true), ("rabbitmq", false)],
            gauges: vec![("rota_leader_epoch", "The epoch", 7)],
            ..ProcessHealth::default()
        };
        let mut out = Exposition::default();
        process_health.expose(&mut out);
        let text = out.text();
        for line in [
            "rota_leader 1",
            "rota_ready 1",
            "rota_leader_epoch 7",
            "# TYPE rota_service_up gauge",
            "rota_service_up{service=\"postgres\"} 1",
            "rota_service_up{service=\"rabbitmq\"} 0",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}: {text}");
        }
    }
}
