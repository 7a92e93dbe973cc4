//! A term as its holder sees it. Only says what the election's thread found out; never talks to etcd.

use std::time::Duration;

use async_trait::async_trait;
use rota_core::port::Term;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::lease::LeaseView;

/// How long a term waits for the word that it was given up.
const RESIGN_MAX: Duration = Duration::from_secs(1);

/// What holds the seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TermHold {
    /// This lease, as far as is known.
    On(i64),
    /// Perhaps nothing: the key was seen without our lease, and we are about to ask.
    Doubtful,
    /// The term is known to be over.
    Over,
}

/// Resigning sends where to answer; dropping the sender says the same without asking for an answer.
pub(super) type Leave = oneshot::Sender<oneshot::Sender<()>>;

/// A term on an etcd lease. Dropping it gives the seat away in the background.
pub(super) struct EtcdTerm {
    /// What holds the seat.
    pub(super) hold: watch::Receiver<TermHold>,
    /// The replica's lease.
    pub(super) leases: watch::Receiver<LeaseView>,
    /// The way out.
    pub(super) leave: Leave,
}

#[async_trait]
impl Term for EtcdTerm {
    fn is_trusted(&self) -> bool {
        let TermHold::On(lease) = *self.hold.borrow() else { return false };
        self.leases.borrow().lease.is_some_and(|held| held.id == lease && held.is_trusted())
    }

    async fn ended(&self) {
        // An election that is gone without a word holds nothing either.
        let _ = self.hold.clone().wait_for(|hold| *hold == TermHold::Over).await;
    }

    async fn resign(self: Box<Self>) {
        let (done, is_done) = oneshot::channel();
        if self.leave.send(done).is_ok() {
            // Without an answer the lease runs out by itself.
            let _ = timeout(RESIGN_MAX, is_done).await;
        }
    }
}
