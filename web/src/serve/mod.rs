//! The server under the dashboard and under the probes: accepts connections, bounds how many there are and how long a
//! client may take for its part. It knows nothing of what is served.
//!
//! Descriptors are shared with everything else that the process does, tasks above all, so at most a quarter of them goes
//! to connections ([`places`] says who has to go when they are used up). Nothing that a client does, and no lack of
//! descriptors, ends or spins the loop.

mod places;
#[cfg(test)]
mod tests;
mod tls;
mod wire;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, warn};

use crate::guard::PROBES;

use self::places::{ConnectionPlace, ConnectionPlaces, HeldPlace};
pub(crate) use self::tls::TlsTransport;
pub use self::tls::{Certificate, CertificateError};
use self::wire::{AnswerBody, RequestBody, Wire};

/// Most connections, however many descriptors there are: each costs memory.
const CONNECTIONS_MAX: usize = 1024;
/// Fewest places, however few descriptors there are.
const CONNECTIONS_MIN: usize = 8;
/// The share of the process's descriptors that connections may take: one in so many.
const DESCRIPTORS_SHARE: usize = 4;
/// How often those whose client took too long are closed.
const SWEEP: Duration = Duration::from_secs(1);
/// How long to wait before accepting again, when the machine lacks something for it.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// How often that is logged.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// What lies between TCP and HTTP.
pub(crate) trait Transport: Send + Sync + 'static {
    /// What HTTP is spoken on.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The client's connection, secured. It counts as part of the first request's head, in time too.
    fn secure(&self, stream: TcpStream) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Nothing between TCP and HTTP.
pub(crate) struct PlainTransport;

/// A router, ready to be served.
pub(crate) struct Server<T> {
    router: Router,
    transport: T,
    /// Most connections that are answered in full.
    room: usize,
}

impl Transport for PlainTransport {
    type Stream = TcpStream;

    async fn secure(&self, stream: TcpStream) -> io::Result<TcpStream> {
        Ok(stream)
    }
}

impl Server<PlainTransport> {
    /// Serves plain HTTP.
    pub(crate) fn plain(router: Router) -> Self {
        Self::new(router, PlainTransport)
    }
}

impl<T: Transport> Server<T> {
    /// Serves over `transport`.
    pub(crate) fn new(router: Router, transport: T) -> Self {
        Self { router, transport, room: connections_max() }
    }

    /// Serves until `shutdown`, then finishes the requests under way. Handlers find the client's address as
    /// `ConnectInfo<SocketAddr>`.
    ///
    /// # Errors
    /// None: what fails is tried again.
    pub(crate) async fn run(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let Self { router, transport, room } = self;
        let (transport, tracker) = (Arc::new(transport), TaskTracker::new());
        let places = ConnectionPlaces::new(room);
        let mut shortage = Shortage::default();
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => break,
                _ = sweep.tick() => {
                    places.sweep(Instant::now());
                    continue;
                }
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, from)) => {
                    let Some(held) = places.take(from.ip(), Instant::now()) else { continue };
                    let visit = Visit { from, held, router: router.clone(), shutdown: shutdown.clone() };
                    tracker.spawn(visit.serve(stream, Arc::clone(&transport)));
                }
                Err(error) => shortage.wait(&error, &places).await,
            }
            // Those that were closed to make room give their descriptors back first.
            tokio::task::yield_now().await;
        }
        drop(listener);
        tracker.close();
        tracker.wait().await;
        Ok(())
    }
}

/// So many connections, by the descriptors that this process may have.
fn connections_max() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let share = usize::try_from(descriptors).unwrap_or(usize::MAX) / DESCRIPTORS_SHARE;
    share.clamp(CONNECTIONS_MIN, CONNECTIONS_MAX)
}

/// What the machine lacked when a connection was to be accepted.
#[derive(Default)]
struct Shortage {
    said: Option<Instant>,
}

impl Shortage {
    /// Makes room and waits a moment. A client that is gone already is no shortage.
    async fn wait(&mut self, error: &io::Error, places: &ConnectionPlaces) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
        if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
            return;
        }
        if self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            warn!(%error, "cannot accept connections: one that waits is closed, and it is tried again");
            self.said = Some(Instant::now());
        }
        places.close_one();
        tokio::time::sleep(ACCEPT_AGAIN).await;
    }
}

/// One client's connection.
struct Visit {
    from: SocketAddr,
    held: HeldPlace,
    router: Router,
    shutdown: CancellationToken,
}

impl Visit {
    async fn serve<T: Transport>(self, stream: TcpStream, transport: Arc<T>) {
        let place = self.held.place();
        let closed = place.closed();
        let served = async {
            // Answers are written whole; waiting for more to send would only add to their delay.
            let _ = stream.set_nodelay(true);
            match transport.secure(stream).await {
                Ok(stream) => self.speak(Wire::new(stream, place)).await,
                Err(error) => debug!(%error, client = %self.from, "no secure connection came about"),
            }
        };
        tokio::select! {
            () = closed.cancelled() => {}
            () = served => {}
        }
    }

    async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send>(&self, wire: Wire<S>) {
        let place = self.held.place();
        let service =
            service_fn(|request| answer(self.router.clone(), self.from, Arc::clone(&place), request));
        let mut http = http1::Builder::new();
        // The places have their own limits of time, for idle connections and bodies as well.
        http.header_read_timeout(None);
        let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(wire), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            debug!(%error, client = %self.from, "a connection ended early");
        }
    }
}

async fn answer(
    router: Router,
    from: SocketAddr,
    place: Arc<ConnectionPlace>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<AnswerBody<Body>>, Infallible> {
    let mut request: Request = request.map(|body| Body::new(RequestBody::new(body, Arc::clone(&place))));
    request.extensions_mut().insert(ConnectInfo(from));
    let response = if place.is_spare() && !PROBES.contains(&request.uri().path()) {
        full()
    } else {
        router.oneshot(request).await?
    };
    Ok(response.map(|body| AnswerBody::new(body, place)))
}

/// What all but probes hear when every place is taken by an answer under way.
fn full() -> Response {
    let head = [(CONNECTION, "close"), (RETRY_AFTER, "5")];
    (StatusCode::SERVICE_UNAVAILABLE, head, "too many connections are open; try again in 5 s\n")
        .into_response()
}
