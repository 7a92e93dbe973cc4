//! Open streams (events, followed and downloaded logs): a bounded number at a time, counted, and none outlives the session
//! that opened it, whatever ends the session: signing out, age, idleness, or a newer one that needs its room.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::app::{Ctx, SharedApp};
use crate::error::{Error, Outcome};

/// Most open streams at a time.
const STREAMS_MAX: usize = 128;
/// The dashboard's clock is looked at so often to see whether a session is too old.
const LOOK: Duration = Duration::from_secs(1);

/// The places for streams.
pub(crate) struct Streams(Arc<Semaphore>);

/// One open stream: kept for as long as it is fed.
pub(crate) struct OpenStream {
    app: SharedApp,
    session: Option<String>,
    _place: OwnedSemaphorePermit,
}

impl Streams {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS_MAX)))
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        STREAMS_MAX - self.0.available_permits()
    }
}

impl OpenStream {
    /// A stream for whoever asks, if there is a place left.
    pub(crate) fn of(ctx: &Ctx) -> Outcome<Self> {
        let place = Arc::clone(&ctx.app.streams.0).try_acquire_owned();
        let place = place.map_err(|_| Error::TooMany { what: "too many open streams", retry_after_s: 10 })?;
        Ok(Self { app: Arc::clone(&ctx.app), session: ctx.who.session.clone(), _place: place })
    }

    /// Holds the place until the stream has to end, because the process does or the session. A stream takes this as its end.
    pub(crate) async fn over(self) {
        tokio::select! {
            () = self.app.shutdown.cancelled() => {}
            () = self.session_over() => {}
        }
    }

    /// A client with a bearer token has no session that could end.
    async fn session_over(&self) {
        let Some(id) = &self.session else { return std::future::pending().await };
        while let Some((closed, left)) = self.app.sessions.outlook(id, self.app.ports.clock.now()) {
            tokio::select! {
                () = closed.cancelled() => return,
                () = tokio::time::sleep(left.min(LOOK)) => {}
            }
        }
    }
}
