//! Live changes: one listener on the broker, gathered for a moment, handed to every open page as a server-sent event.
//! An event only says what changed; a page then reads itself again. When changes were lost, pages read everything.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use rota_core::id::{DagId, RunId};
use rota_core::port::{Change, Changes};
use serde::Serialize;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tracing::warn;

use crate::app::{Ctx, SharedApp};
use crate::error::Outcome;
use crate::streams::OpenStream;

/// Changes are gathered for so long before pages hear of them.
const GATHER: Duration = Duration::from_millis(250);
/// Batches kept for a page that is slow to take them; beyond that it is told to read everything.
const BACKLOG: usize = 64;
/// A batch that names more than this is sent as "everything".
const NAMED_MAX: usize = 200;
/// A stream ends after so long; browsers open the next by themselves, with their session checked anew.
const STREAM_LIFE: Duration = Duration::from_secs(30 * 60);
/// How long to wait before listening to a broker that went away again.
const RETRY: Duration = Duration::from_secs(1);

/// What changed within one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ChangeBatch {
    runs: BTreeSet<RunId>,
    dags: BTreeSet<DagId>,
    fleet: bool,
    /// Changes were lost or too many to name.
    all: bool,
}

/// The listener's end and the pages' ends.
pub(crate) struct ChangeHub {
    sender: broadcast::Sender<ChangeBatch>,
}

impl ChangeBatch {
    /// Whether it may be about this run.
    pub(crate) fn concerns(&self, run: RunId) -> bool {
        self.all || self.runs.contains(&run)
    }

    fn add(&mut self, changes: Option<Vec<Change>>) {
        let Some(changes) = changes else {
            self.all = true;
            return;
        };
        for change in changes {
            match change {
                Change::Run { run, dag } => {
                    self.runs.insert(run);
                    self.dags.insert(dag);
                }
                Change::Dag(dag) => drop(self.dags.insert(dag)),
                Change::Fleet => self.fleet = true,
            }
        }
        if self.runs.len() + self.dags.len() > NAMED_MAX {
            *self = Self { all: true, fleet: self.fleet, ..Self::default() };
        }
    }
}

impl ChangeHub {
    pub(crate) fn new() -> Self {
        Self { sender: broadcast::channel(BACKLOG).0 }
    }

    /// Hears of changes from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<ChangeBatch> {
        self.sender.subscribe()
    }
}

/// Listens to the broker until shutdown.
pub(crate) async fn listen(app: SharedApp) {
    let work = async {
        loop {
            match app.ports.broker.changes().await {
                Ok(changes) => pump(&app, changes).await,
                Err(error) => warn!(%error, "live updates wait for the broker"),
            }
            // What happened while nobody listened is unknown.
            let _ = app.hub.sender.send(ChangeBatch { all: true, ..ChangeBatch::default() });
            tokio::time::sleep(RETRY).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = app.shutdown.cancelled() => {}
    }
}

async fn pump(app: &SharedApp, mut changes: Box<dyn Changes>) {
    loop {
        let mut batch = ChangeBatch::default();
        match changes.next().await {
            Ok(first) => batch.add(first),
            Err(error) => {
                warn!(%error, "live updates wait for the broker");
                return;
            }
        }
        let deadline = tokio::time::Instant::now() + GATHER;
        while let Ok(Ok(more)) = tokio::time::timeout_at(deadline, changes.next()).await {
            batch.add(more);
        }
        if batch.fleet || batch.all {
            app.pulse_forget();
        }
        // No receiver only means that no page is open.
        let _ = app.hub.sender.send(batch);
    }
}

/// `GET /api/v1/events`: a stream of `change` events, each a JSON object {runs, dags, fleet, all}.
pub(crate) async fn events(ctx: Ctx) -> Outcome<Response> {
    let open = OpenStream::of(&ctx)?;
    let batches = BroadcastStream::new(ctx.app.hub.subscribe());
    let events = batches
        .map(|batch| batch.unwrap_or(ChangeBatch { all: true, ..ChangeBatch::default() }))
        .map(|batch| Ok::<Event, Infallible>(event(&batch)))
        .take_until(async move {
            tokio::select! {
                () = open.over() => {}
                () = tokio::time::sleep(STREAM_LIFE) => {}
            }
        });
    let stream = hello().chain(events);
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response())
}

/// Sent at once, so that a page knows that it is connected.
fn hello() -> impl Stream<Item = Result<Event, Infallible>> {
    futures_util::stream::iter([Ok(Event::default().event("hello").data("{}"))])
}

fn event(batch: &ChangeBatch) -> Event {
    let data = serde_json::to_string(batch).unwrap_or_else(|_| r#"{"all":true}"#.to_owned());
    Event::default().event("change").data(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_changes_becomes_everything() {
        let mut batch = ChangeBatch::default();
        let flood = (0..1000).map(|run| Change::Run { run: RunId(run), dag: DagId::trusted("a") });
        batch.add(Some(flood.collect()));
        assert!(batch.all && batch.runs.is_empty());
        let mut lost = ChangeBatch::default();
        lost.add(None);
        assert!(lost.all);
    }
}
