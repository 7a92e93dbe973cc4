//! The doorbell, the nudges and the change feed. Each remembers what was said while nobody listened to the end, in
//! bounded space, by merging what says the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use rota_core::id::{AttemptKey, WorkerId};
use rota_core::port::{Bell, Bells, BrokerError, Change, Changes, Nudges};
use rota_core::sync::lock;
use tokio::sync::Notify;
use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};

/// Most finished attempts that a doorbell remembers. The leader's sweep finds the others.
const FINISHED_MAX: usize = 131_072;
/// Announcements that a slow dashboard may be behind before it is told to read everything again.
const ANNOUNCEMENTS_MAX: usize = 256;
/// Announcements that one look at the feed returns at most.
const ANNOUNCEMENTS_AT_ONCE: usize = 64;

/// Rings at every listener's door.
#[derive(Default)]
pub(crate) struct Doorbell {
    inboxes: Mutex<Vec<Weak<ListenerInbox>>>,
}

#[derive(Default)]
struct ListenerInbox {
    rung: Mutex<RungBells>,
    wake: Notify,
}

/// What was rung since the last look: at most one bell of each kind.
#[derive(Default)]
struct RungBells {
    finished: Vec<AttemptKey>,
    intent: bool,
    workers: bool,
}

impl RungBells {
    fn add(&mut self, bell: &Bell) {
        match bell {
            Bell::Finished(keys) => {
                let room = FINISHED_MAX.saturating_sub(self.finished.len());
                self.finished.extend(keys.iter().take(room));
            }
            Bell::Intent => self.intent = true,
            Bell::Workers => self.workers = true,
        }
    }

    fn take_one(&mut self) -> Option<Bell> {
        if std::mem::take(&mut self.intent) {
            Some(Bell::Intent)
        } else if std::mem::take(&mut self.workers) {
            Some(Bell::Workers)
        } else if self.finished.is_empty() {
            None
        } else {
            Some(Bell::Finished(std::mem::take(&mut self.finished)))
        }
    }
}

impl Doorbell {
    pub(crate) fn ring(&self, bell: Bell) {
        self.ring_all(&[bell]);
    }

    /// Rings several bells at once: a listener hears all or none of them.
    pub(crate) fn ring_all(&self, bells: &[Bell]) {
        lock(&self.inboxes).retain(|inbox| {
            let Some(inbox) = inbox.upgrade() else { return false };
            let mut rung = lock(&inbox.rung);
            bells.iter().for_each(|bell| rung.add(bell));
            drop(rung);
            inbox.wake.notify_one();
            true
        });
    }

    pub(crate) fn listen(&self) -> DoorbellListener {
        let inbox = Arc::new(ListenerInbox::default());
        lock(&self.inboxes).push(Arc::downgrade(&inbox));
        DoorbellListener { inbox }
    }
}

pub(crate) struct DoorbellListener {
    inbox: Arc<ListenerInbox>,
}

#[async_trait]
impl Bells for DoorbellListener {
    async fn next(&mut self, max: usize) -> Result<Vec<Bell>, BrokerError> {
        loop {
            let bells: Vec<Bell> = {
                let mut rung = lock(&self.inbox.rung);
                std::iter::from_fn(|| rung.take_one()).take(max).collect()
            };
            if !bells.is_empty() {
                return Ok(bells);
            }
            self.inbox.wake.notified().await;
        }
    }
}

/// Nudges by worker. Several nudges before a look are one.
#[derive(Default)]
pub(crate) struct NudgeBoard {
    listeners: Mutex<HashMap<WorkerId, Vec<Weak<Notify>>>>,
}

impl NudgeBoard {
    pub(crate) fn nudge(&self, worker: &WorkerId) {
        let mut listeners = lock(&self.listeners);
        let Some(of_worker) = listeners.get_mut(worker) else { return };
        of_worker.retain(|listener| match listener.upgrade() {
            Some(wake) => {
                wake.notify_one();
                true
            }
            None => false,
        });
        if of_worker.is_empty() {
            listeners.remove(worker);
        }
    }

    pub(crate) fn listen(&self, worker: &WorkerId) -> NudgeListener {
        let wake = Arc::new(Notify::new());
        lock(&self.listeners).entry(worker.clone()).or_default().push(Arc::downgrade(&wake));
        NudgeListener { wake }
    }
}

pub(crate) struct NudgeListener {
    wake: Arc<Notify>,
}

#[async_trait]
impl Nudges for NudgeListener {
    async fn next(&mut self) -> Result<(), BrokerError> {
        self.wake.notified().await;
        Ok(())
    }
}

/// Changes for every dashboard. A dashboard that is too slow loses some and is told so.
pub(crate) struct ChangeFeed {
    sender: broadcast::Sender<Arc<[Change]>>,
}

impl Default for ChangeFeed {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(ANNOUNCEMENTS_MAX) }
    }
}

impl ChangeFeed {
    pub(crate) fn announce(&self, changes: &[Change]) {
        if !changes.is_empty() && self.sender.receiver_count() > 0 {
            // Fails only when the last listener has just left.
            let _ = self.sender.send(Arc::from(changes));
        }
    }

    /// Tells every listener that some announcements were lost.
    pub(crate) fn lose(&self) {
        // Fails only when nobody listens. An announcement of nothing is never sent otherwise.
        let _ = self.sender.send(Arc::from([]));
    }

    pub(crate) fn listen(&self) -> ChangeListener {
        ChangeListener { receiver: self.sender.subscribe(), lost_some: false }
    }
}

pub(crate) struct ChangeListener {
    receiver: broadcast::Receiver<Arc<[Change]>>,
    lost_some: bool,
}

#[async_trait]
impl Changes for ChangeListener {
    async fn next(&mut self) -> Result<Option<Vec<Change>>, BrokerError> {
        if std::mem::take(&mut self.lost_some) {
            return Ok(None);
        }
        let mut changes = match self.receiver.recv().await {
            Ok(changes) if !changes.is_empty() => changes.to_vec(),
            Ok(_) | Err(RecvError::Lagged(_)) => return Ok(None),
            Err(RecvError::Closed) => return Err(BrokerError("the change feed is closed".to_owned())),
        };
        for _ in 1..ANNOUNCEMENTS_AT_ONCE {
            match self.receiver.try_recv() {
                Ok(more) if !more.is_empty() => changes.extend_from_slice(&more),
                Ok(_) | Err(TryRecvError::Lagged(_)) => {
                    self.lost_some = true;
                    break;
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        Ok(Some(changes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rota_core::id::{RunId, TaskKey, TaskNo};

    #[tokio::test]
    async fn bells_of_one_kind_are_one_bell() {
        let doorbell = Doorbell::default();
        let mut listener = doorbell.listen();
        let key = |number| TaskKey::single(RunId(1), TaskNo(number)).attempt(1);
        for number in 0..3 {
            doorbell.ring(Bell::Finished(vec![key(number)]));
            doorbell.ring(Bell::Intent);
        }
        let bells = listener.next(10).await.unwrap();
        assert_eq!(bells, [Bell::Intent, Bell::Finished(vec![key(0), key(1), key(2)])]);
    }

    #[tokio::test]
    async fn a_dashboard_that_is_too_slow_is_told_that_it_lost_some() {
        let feed = ChangeFeed::default();
        let mut listener = feed.listen();
        for _ in 0..ANNOUNCEMENTS_MAX * 2 + 1 {
            feed.announce(&[Change::Fleet]);
        }
        assert_eq!(listener.next().await.unwrap(), None);
        assert!(listener.next().await.unwrap().is_some(), "then it goes on with what is left");
    }

    #[tokio::test]
    async fn what_was_announced_before_a_loss_is_heard_before_it() {
        let feed = ChangeFeed::default();
        let mut listener = feed.listen();
        feed.announce(&[Change::Fleet]);
        feed.lose();
        feed.announce(&[Change::Fleet]);
        assert_eq!(listener.next().await.unwrap(), Some(vec![Change::Fleet]));
        assert_eq!(listener.next().await.unwrap(), None);
        assert_eq!(listener.next().await.unwrap(), Some(vec![Change::Fleet]));
    }

    #[tokio::test]
    async fn listeners_that_left_are_forgotten() {
        let board = NudgeBoard::default();
        let worker = WorkerId::trusted("w");
        drop(board.listen(&worker));
        board.nudge(&worker);
        assert!(lock(&board.listeners).is_empty());
        let doorbell = Doorbell::default();
        drop(doorbell.listen());
        doorbell.ring(Bell::Intent);
        assert!(lock(&doorbell.inboxes).is_empty());
    }
}
