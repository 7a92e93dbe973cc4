//! Looks at the leader's key all the time and publishes what it sees, and whether etcd answers at all.
//!
//! A watch brings changes at once, but is never trusted alone: it can be cancelled, compacted, silent, or (after etcd was
//! wiped) wait for a revision that is years away. So the key is also read every now and then, and whenever anything
//! about the watch is odd.

use std::time::Duration;

use etcd_client::{Client, Event, EventType, WatchOptions, WatchResponse, WatchStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::line::CALL_MAX;
use super::pace::{Backoff, jitter};
use super::seat::{Held, Seats};
use super::trouble::Trouble;
use crate::Link;

/// How far apart standbys try when they see a free seat at the same time.
const JITTER_MAX: Duration = Duration::from_millis(20);

/// The seat as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seat {
    /// Not seen yet.
    Unknown,
    /// Nobody holds it. Standbys may take it from this instant on; whoever held it last may at once.
    Free(Instant),
    /// Somebody holds it.
    Held(Held),
}

/// What is known about the seat.
#[derive(Debug, Clone)]
pub(super) struct SeatView {
    /// The seat.
    pub(super) seat: Seat,
    /// At which revision of etcd. A wiped etcd counts from the start again.
    pub(super) revision: i64,
    /// Why nothing will be seen until a person mends something.
    pub(super) refused: Option<String>,
}

impl Default for SeatView {
    fn default() -> Self {
        Self { seat: Seat::Unknown, revision: 0, refused: None }
    }
}

/// See the module's text.
pub(super) struct Observer {
    seats: Seats,
    look_every: Duration,
    /// How long a seat that was found free, instead of being seen to become free, is left to the one who had it: etcd
    /// was away or wiped, and its holder, who goes on, is about to take it again.
    grace: Duration,
    view: watch::Sender<SeatView>,
    link: watch::Sender<Link>,
}

impl Observer {
    /// An observer for an election with this TTL.
    pub(super) fn new(
        seats: Seats,
        ttl: Duration,
        view: watch::Sender<SeatView>,
        link: watch::Sender<Link>,
    ) -> Self {
        Self { seats, look_every: ttl.min(super::QUIET_MAX), grace: ttl / 2, view, link }
    }

    /// Observes until it is dropped.
    pub(super) async fn run(self) {
        let mut backoff = Backoff::default();
        loop {
            match self.look(None).await {
                Ok(revision) => {
                    let trouble = self.follow(revision, &mut backoff).await;
                    tracing::debug!("looking at the leader's key anew: {trouble}");
                    self.seats.line().hang_up();
                }
                Err(trouble) => self.is_down(&trouble),
            }
            backoff.pause().await;
        }
    }

    /// Follows changes after `revision` until anything is odd.
    async fn follow(&self, revision: i64, backoff: &mut Backoff) -> Trouble {
        let mut stream = match self.watch(revision + 1).await {
            Ok(stream) => stream,
            Err(trouble) => return trouble,
        };
        let mut next_look = Instant::now() + self.look_every;
        loop {
            tokio::select! {
                message = stream.message() => match message {
                    Ok(Some(message)) if message.canceled() => return cancelled(&message),
                    Ok(Some(message)) => {
                        backoff.reset();
                        message.events().iter().for_each(|event| self.changed(event));
                    }
                    Ok(None) => return Trouble::Away("the watch ended".to_owned()),
                    Err(error) => return error.into(),
                },
                () = sleep_until(next_look) => {
                    let newest = self.view.borrow().revision;
                    if let Err(trouble) = self.look(Some(newest)).await {
                        return trouble;
                    }
                    next_look = Instant::now() + self.look_every;
                }
            }
        }
    }

    async fn watch(&self, from: i64) -> Result<WatchStream, Trouble> {
        let key = self.seats.leader_key();
        let watch = |client: Client| {
            let key = key.clone();
            async move {
                client.watch_client().watch(key, Some(WatchOptions::new().with_start_revision(from))).await
            }
        };
        self.seats.line().call(CALL_MAX, watch).await
    }

    /// Reads the key. Fails if etcd is `newest` or less far than it was.
    async fn look(&self, newest: Option<i64>) -> Result<i64, Trouble> {
        let (held, revision) = self.seats.read().await?;
        if newest.is_some_and(|newest| revision < newest) {
            return Err(Trouble::Away("its revision went back: it was wiped or restored".to_owned()));
        }
        self.is_up();
        self.view.send_modify(|view| {
            view.refused = None;
            view.revision = revision;
            view.seat = match (held, &view.seat) {
                (Some(held), _) => Seat::Held(held),
                (None, Seat::Free(from)) => Seat::Free(*from),
                (None, Seat::Unknown) => Seat::Free(Instant::now() + jitter(JITTER_MAX)),
                (None, Seat::Held(_)) => Seat::Free(Instant::now() + self.grace + jitter(JITTER_MAX)),
            };
        });
        Ok(revision)
    }

    fn changed(&self, event: &Event) {
        let Some(kv) = event.kv() else { return };
        self.view.send_if_modified(|view| {
            let is_news = kv.mod_revision() > view.revision;
            if is_news {
                view.revision = kv.mod_revision();
                view.seat = match event.event_type() {
                    EventType::Put => Seat::Held(Held::from(kv)),
                    EventType::Delete => Seat::Free(Instant::now() + jitter(JITTER_MAX)),
                };
            }
            is_news
        });
    }

    fn is_up(&self) {
        self.link.send_if_modified(|link| {
            let is_news = !link.is_up();
            if is_news {
                tracing::info!("etcd answers");
                *link = Link::Up;
            }
            is_news
        });
    }

    /// The first failure is logged, later ones only change the words.
    fn is_down(&self, trouble: &Trouble) {
        let why = trouble.to_string();
        if let Trouble::Refused(why) = trouble {
            self.view.send_modify(|view| view.refused = Some(why.clone()));
        }
        self.link.send_if_modified(|link| {
            if link.is_up() || *link == Link::Down(super::NOT_YET.to_owned()) {
                tracing::warn!("no contact with etcd, trying again: {why}");
            }
            let is_news = *link != Link::Down(why.clone());
            *link = Link::Down(why);
            is_news
        });
    }
}

fn cancelled(message: &WatchResponse) -> Trouble {
    Trouble::Away(format!(
        "the watch was cancelled (compacted at {}): {}",
        message.compact_revision(),
        message.cancel_reason()
    ))
}
