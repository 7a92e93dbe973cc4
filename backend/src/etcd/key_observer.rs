//! Looks at the leader's key all the time and publishes what it sees, and whether etcd answers at all.
//!
//! A watch brings changes at once, but is never trusted alone: it can be cancelled, compacted, silent, or (after etcd was
//! wiped) wait for a revision that is years away. So the key is also read every now and then, and whenever anything
//! about the watch is odd.

use std::time::Duration;

use etcd_client::{Client, Event, EventType, WatchOptions, WatchResponse, WatchStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::backoff::{ReconnectBackoff, jitter};
use super::connection::CALL_MAX;
use super::error::EtcdError;
use super::leader_key::{HeldKey, LeaderKey};
use crate::Link;

/// How far apart standbys try when they see a free seat at the same time.
const JITTER_MAX: Duration = Duration::from_millis(20);

/// The seat as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LeaderKeyState {
    /// Not seen yet.
    Unknown,
    /// Nobody holds it. Standbys may take it from this instant on; whoever held it last may at once.
    Free(Instant),
    /// Somebody holds it.
    Held(HeldKey),
}

/// What is known about the seat.
#[derive(Debug, Clone)]
pub(super) struct LeaderKeyView {
    /// The seat.
    pub(super) state: LeaderKeyState,
    /// At which revision of etcd. A wiped etcd counts from the start again.
    pub(super) revision: i64,
    /// Why nothing will be seen until a person mends something.
    pub(super) refused: Option<String>,
}

impl Default for LeaderKeyView {
    fn default() -> Self {
        Self { state: LeaderKeyState::Unknown, revision: 0, refused: None }
    }
}

impl LeaderKeyView {
    /// Takes over what a look found. A seat that somebody held when last seen is left alone until `later`.
    fn looked(&mut self, held: Option<HeldKey>, revision: i64, now: Instant, later: Instant) {
        self.refused = None;
        self.revision = revision;
        self.state = match (held, &self.state) {
            (Some(held), _) => LeaderKeyState::Held(held),
            (None, LeaderKeyState::Free(from)) => LeaderKeyState::Free(*from),
            (None, LeaderKeyState::Unknown) => LeaderKeyState::Free(now),
            (None, LeaderKeyState::Held(_)) => LeaderKeyState::Free(later),
        };
    }

    /// Takes over a change that a watch reported, and says whether it was news.
    fn saw(&mut self, held: Option<HeldKey>, revision: i64, now: Instant) -> bool {
        let state = match (held, &self.state) {
            (Some(held), _) if revision > self.revision => LeaderKeyState::Held(held),
            (None, _) if revision > self.revision => LeaderKeyState::Free(now),
            // A look was faster than the watch: the seat was not lost from sight, so it need not be left alone.
            (None, LeaderKeyState::Free(from)) if *from > now => LeaderKeyState::Free(now),
            _ => return false,
        };
        self.revision = self.revision.max(revision);
        self.state = state;
        true
    }
}

/// See the module's text.
pub(super) struct KeyObserver {
    leader_key: LeaderKey,
    look_every: Duration,
    /// How long a seat that was found free, instead of being seen to become free, is left to the one who had it: etcd
    /// was away or wiped, and its holder, who goes on, is about to take it again.
    grace: Duration,
    view: watch::Sender<LeaderKeyView>,
    link: watch::Sender<Link>,
}

impl KeyObserver {
    /// An observer for an election with this TTL.
    pub(super) fn new(
        leader_key: LeaderKey,
        ttl: Duration,
        view: watch::Sender<LeaderKeyView>,
        link: watch::Sender<Link>,
    ) -> Self {
        Self { leader_key, look_every: ttl.min(super::QUIET_MAX), grace: ttl / 2, view, link }
    }

    /// Observes until it is dropped.
    pub(super) async fn run(self) {
        let mut backoff = ReconnectBackoff::default();
        loop {
            match self.look(None).await {
                Ok(revision) => {
                    let error = self.follow(revision, &mut backoff).await;
                    tracing::debug!("looking at the leader's key anew: {error}");
                    self.leader_key.connection().hang_up();
                }
                Err(error) => self.is_down(&error),
            }
            backoff.pause().await;
        }
    }

    /// Follows changes after `revision` until anything is odd.
    async fn follow(&self, revision: i64, backoff: &mut ReconnectBackoff) -> EtcdError {
        let mut stream = match self.watch(revision + 1).await {
            Ok(stream) => stream,
            Err(error) => return error,
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
                    Ok(None) => return EtcdError::Away("the watch ended".to_owned()),
                    Err(error) => return error.into(),
                },
                () = sleep_until(next_look) => {
                    let newest = self.view.borrow().revision;
                    if let Err(error) = self.look(Some(newest)).await {
                        return error;
                    }
                    next_look = Instant::now() + self.look_every;
                }
            }
        }
    }

    async fn watch(&self, from: i64) -> Result<WatchStream, EtcdError> {
        let key = self.leader_key.name();
        let watch = |client: Client| {
            let key = key.clone();
            async move {
                client.watch_client().watch(key, Some(WatchOptions::new().with_start_revision(from))).await
            }
        };
        self.leader_key.connection().call(CALL_MAX, watch).await
    }

    /// Reads the key. Fails if etcd is `newest` or less far than it was.
    async fn look(&self, newest: Option<i64>) -> Result<i64, EtcdError> {
        let (held, revision) = self.leader_key.read().await?;
        if newest.is_some_and(|newest| revision < newest) {
            return Err(EtcdError::Away("its revision went back: it was wiped or restored".to_owned()));
        }
        self.is_up();
        let now = Instant::now() + jitter(JITTER_MAX);
        self.view.send_modify(|view| view.looked(held, revision, now, now + self.grace));
        Ok(revision)
    }

    fn changed(&self, event: &Event) {
        let Some(kv) = event.kv() else { return };
        let held = match event.event_type() {
            EventType::Put => Some(HeldKey::from(kv)),
            EventType::Delete => None,
        };
        let now = Instant::now() + jitter(JITTER_MAX);
        self.view.send_if_modified(|view| view.saw(held, kv.mod_revision(), now));
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
    fn is_down(&self, error: &EtcdError) {
        let why = error.to_string();
        if let EtcdError::Refused(why) = error {
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

fn cancelled(message: &WatchResponse) -> EtcdError {
    EtcdError::Away(format!(
        "the watch was cancelled (compacted at {}): {}",
        message.compact_revision(),
        message.cancel_reason()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(10);
    const LATER: Duration = Duration::from_secs(1);

    fn held(lease: i64) -> Option<HeldKey> {
        Some(HeldKey { lease, holder: None })
    }

    fn view_of(held: Option<HeldKey>, revision: i64) -> LeaderKeyView {
        let mut view = LeaderKeyView::default();
        let now = Instant::now();
        view.looked(held, revision, now, now + LATER);
        view
    }

    #[test]
    fn a_seat_that_is_seen_to_become_free_is_free_now() {
        let now = Instant::now();
        let mut view = view_of(held(1), 5);
        assert!(view.saw(None, 6, now + SOON));
        assert_eq!((view.state, view.revision), (LeaderKeyState::Free(now + SOON), 6));
    }

    #[test]
    fn a_seat_that_is_found_free_is_left_to_its_last_holder_for_a_while() {
        let now = Instant::now();
        let mut view = view_of(held(1), 5);
        view.looked(None, 6, now, now + LATER);
        assert_eq!(view.state, LeaderKeyState::Free(now + LATER));
        view.looked(None, 7, now + SOON, now + SOON + LATER);
        assert_eq!(view.state, LeaderKeyState::Free(now + LATER), "another look does not prolong it");
        assert!(
            matches!(view_of(None, 1).state, LeaderKeyState::Free(from) if from < now + LATER),
            "nobody held it before"
        );
    }

    #[test]
    fn a_look_that_is_faster_than_the_watch_costs_nothing() {
        let now = Instant::now();
        let mut view = view_of(held(1), 5);
        view.looked(None, 9, now, now + LATER);
        assert!(view.saw(None, 6, now + SOON));
        assert_eq!((view.state, view.revision), (LeaderKeyState::Free(now + SOON), 9));
    }

    #[test]
    fn late_reports_do_not_undo_what_a_look_found() {
        let mut view = view_of(held(2), 7);
        assert!(!view.saw(None, 6, Instant::now()));
        assert!(!view.saw(held(1), 5, Instant::now()));
        assert_eq!(Some(view.state), held(2).map(LeaderKeyState::Held));
    }

    #[test]
    fn a_wiped_etcd_counts_anew() {
        let mut view = view_of(held(2), 700);
        let now = Instant::now();
        view.looked(None, 2, now, now + LATER);
        assert!(view.saw(held(3), 3, now));
        assert_eq!(Some(view.state), held(3).map(LeaderKeyState::Held));
    }
}
