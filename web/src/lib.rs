//! The dashboard and the REST API: reads views, writes intents, decides nothing.
//!
//! A page is a struct that derives `Template`, a handler that loads it, and a template of the same name. Handlers hold
//! no markup, templates hold no logic beyond loops. Every page is complete without JavaScript; scripts only refresh
//! parts of it. This crate never writes plans or facts, never names a database, and knows no other loop.
//!
//! The way of a request: a place among the connections ([`serve`]), headers, time limit, errors as pages, the guard (who
//! asks), then the handler.

mod api;
mod app;
mod assets;
mod catalog;
mod cursor;
mod error;
mod exposition;
mod guard;
mod headers;
mod intent;
mod journal;
mod lead;
mod live;
mod log;
mod options;
mod pages;
mod probe_server;
mod probes;
mod routes;
mod serve;
mod session;
mod show;
mod slot_counts;
mod streams;
mod tasks;
mod trigger;
mod why;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use app::{Ports, WebStore};
pub use options::{Options, OptionsError, TOKEN_CHARS_MIN};
pub use probe_server::{ProbeServer, ProcessHealth};

use app::{App, SharedApp};
pub use serve::{Certificate, CertificateError};
use serve::{Server, TlsTransport};

/// How long requests under way may take once the dashboard is told to stop. No answer takes longer to begin; a client that
/// does not read, or sends half a request, is not waited for.
const CLOSE_MAX: Duration = headers::ANSWER_WAIT;

/// The dashboard, ready to run.
pub struct Web {
    app: SharedApp,
}

impl Web {
    /// Checks the options and builds the state.
    ///
    /// # Errors
    /// What [`Options::validate`] refuses.
    pub fn new(options: Options, ports: Ports) -> Result<Self, OptionsError> {
        options.validate()?;
        Ok(Self { app: Arc::new(App::new(options, ports)) })
    }

    /// An address that signs in whoever opens it, once, within half an hour.
    pub fn login_link(&self) -> String {
        let code = self.app.sessions.code_issue(self.app.ports.clock.now());
        format!("{}/login?code={code}", self.address())
    }

    /// Where people find it: `http://127.0.0.1:7682`.
    pub fn address(&self) -> String {
        let scheme = if self.app.options.tls { "https" } else { "http" };
        match self.app.options.hosts.first() {
            // A proxy's port is its own affair.
            Some(host) if self.app.options.tls && self.app.options.certificate.is_none() => {
                format!("{scheme}://{host}")
            }
            Some(host) => format!("{scheme}://{host}:{}", self.app.options.listen.port()),
            None => format!("{scheme}://{}", self.app.options.listen),
        }
    }

    /// The router with all layers, for tests and for callers that serve it themselves. Live updates need
    /// [`Web::run`].
    pub fn router(&self) -> Router {
        routes::router(Arc::clone(&self.app))
    }

    /// Every address as a pattern, with the methods that it takes: for tests that walk all of them.
    pub fn addresses() -> Vec<(&'static str, &'static [&'static str])> {
        routes::table().iter().map(|route| (route.path, route.methods)).collect()
    }

    /// Serves until `shutdown`; requests under way are finished, streams are ended.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let router = self.router();
        let stop = self.app.shutdown.clone();
        let listening = tokio::spawn(live::listen(Arc::clone(&self.app)));
        let journal = tokio::spawn(journal::keep(Arc::clone(&self.app)));
        let (certificate, told) = (self.app.options.certificate.clone(), shutdown.clone());
        let server = async {
            match certificate {
                Some(certificate) => {
                    Server::new(router, TlsTransport::new(certificate)).run(listener, told).await
                }
                None => Server::plain(router).run(listener, told).await,
            }
        };
        // Open streams end by a token of their own, and only then can the server.
        let streams_end = async {
            shutdown.cancelled().await;
            stop.cancel();
        };
        let served = async { tokio::join!(server, streams_end).0 };
        let served = probe_server::end_within(CLOSE_MAX, served, &shutdown).await;
        self.app.shutdown.cancel();
        // Both only end by the token just cancelled; a panic in them is already logged.
        let _ = tokio::time::timeout(CLOSE_MAX, async { tokio::join!(listening, journal) }).await;
        served
    }
}
