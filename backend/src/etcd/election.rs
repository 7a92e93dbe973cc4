//! Campaigns and leads for one replica: takes the free seat, watches over it, gives it back.
//!
//! What others see or say is only a reason to ask. Whether the seat is ours is decided by one transaction on its key, and
//! a term is over only when such a transaction answered that the seat is somebody else's. No answer is no end: without
//! etcd a leader goes on in doubt, because the store's epoch, not this election, decides whose writes count.

use std::time::Duration;

use rota_core::port::{LeadershipError, Term};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::RELEASE_MAX;
use super::lease::{LeaseView, Order};
use super::observer::{Seat, SeatView};
use super::seat::{Seats, Taken};
use super::term::{EtcdTerm, Hold};
use super::trouble::Trouble;

/// After an attempt that came to nothing.
const RETRY: Duration = Duration::from_millis(100);

/// One call of `campaign`, waiting for a term.
pub(super) type Ballot = oneshot::Sender<Result<Box<dyn Term>, LeadershipError>>;

/// See the module's text.
pub(super) struct Election {
    /// How the key is read and written.
    pub(super) seats: Seats,
    /// Campaigns, served one after another.
    pub(super) ballots: mpsc::Receiver<Ballot>,
    /// To the keeper of the lease.
    pub(super) orders: mpsc::Sender<Order>,
    /// From the keeper of the lease.
    pub(super) leases: watch::Receiver<LeaseView>,
    /// From the observer.
    pub(super) views: watch::Receiver<SeatView>,
    /// Whether a campaign waits, for the fast path.
    pub(super) is_standing: watch::Sender<bool>,
    /// The lease that this replica leads on, for the fast path.
    pub(super) leads_on: watch::Sender<Option<i64>>,
}

/// The seat, taken.
#[derive(Debug, Clone, Copy)]
struct Mine {
    lease: i64,
    revision: i64,
}

/// What a candidate may do.
enum Step {
    /// Nothing; a person must mend something.
    Refused(String),
    /// The seat is ours already: the answer to an earlier attempt was lost.
    Have(Mine),
    /// Take the free seat with this lease, from that instant on.
    Take(i64, Instant),
    /// Wait for news.
    Wait,
}

/// What is known about a seat that was ours.
enum Standing {
    /// It is ours, or nobody can be asked.
    Same,
    /// It may not be; ask again soon.
    Unsure,
    /// It is somebody else's.
    Lost,
}

impl Election {
    /// Serves campaigns until nobody can start any.
    pub(super) async fn run(mut self) {
        while let Some(mut ballot) = self.ballots.recv().await {
            // The keeper ends after this loop, so it takes orders.
            let _ = self.orders.send(Order::Hold).await;
            self.is_standing.send_replace(true);
            let stood = self.stand(&mut ballot).await;
            self.is_standing.send_replace(false);
            match stood {
                Some(Ok(mine)) => self.lead(ballot, mine).await,
                Some(Err(refused)) => {
                    self.release().await;
                    let _ = ballot.send(Err(refused));
                }
                // Also gives back what an attempt may have won without an answer.
                None => self.release().await,
            }
        }
    }

    /// Waits for the seat. `None` if the campaign was given up.
    async fn stand(&mut self, ballot: &mut Ballot) -> Option<Result<Mine, LeadershipError>> {
        let mut not_before = Instant::now();
        loop {
            let step = self.step();
            let wake = match step {
                Step::Refused(why) => return Some(Err(LeadershipError(why))),
                Step::Have(mine) => return Some(Ok(mine)),
                Step::Take(lease, from) => {
                    let from = from.max(not_before);
                    if Instant::now() >= from && !ballot.is_closed() {
                        match self.take(lease).await {
                            Ok(Some(mine)) => return Some(Ok(mine)),
                            Ok(None) => not_before = Instant::now() + RETRY,
                            Err(refused) => return Some(Err(refused)),
                        }
                        continue;
                    }
                    Some(from)
                }
                Step::Wait => None,
            };
            tokio::select! {
                () = ballot.closed() => return None,
                seen = self.views.changed() => seen.ok()?,
                kept = self.leases.changed() => kept.ok()?,
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
    }

    fn step(&mut self) -> Step {
        let view = self.views.borrow_and_update();
        let leases = self.leases.borrow_and_update();
        if let Some(why) = view.refused.as_ref().or(leases.refused.as_ref()) {
            return Step::Refused(why.clone());
        }
        match (&view.seat, leases.lease) {
            (Seat::Held(held), Some(lease)) if held.lease == lease.id => {
                Step::Have(Mine { lease: lease.id, revision: view.revision })
            }
            (Seat::Free(from), Some(lease)) if lease.is_trusted() => Step::Take(lease.id, *from),
            _ => Step::Wait,
        }
    }

    /// Tries once. `None` if that came to nothing.
    async fn take(&self, lease: i64) -> Result<Option<Mine>, LeadershipError> {
        match self.seats.take(lease, None).await {
            Ok(Taken::Ours(revision)) => Ok(Some(Mine { lease, revision })),
            Ok(Taken::Theirs(_)) => Ok(None),
            Err(Trouble::NoLease) => {
                let _ = self.orders.send(Order::Dead(lease)).await;
                Ok(None)
            }
            Err(Trouble::Refused(why)) => Err(LeadershipError(why)),
            Err(Trouble::Away(why)) => {
                tracing::debug!("the seat was not taken: {why}");
                Ok(None)
            }
        }
    }

    /// Holds the seat until it is lost or given up.
    async fn lead(&mut self, ballot: Ballot, mut mine: Mine) {
        let (hold, held) = watch::channel(Hold::On(mine.lease));
        let (leave, mut left) = oneshot::channel();
        self.leads_on.send_replace(Some(mine.lease));
        let term = EtcdTerm { hold: held, leases: self.leases.clone(), leave };
        // A campaign that is gone drops the term right here, which is one way to leave.
        let _ = ballot.send(Ok(Box::new(term)));
        let mut is_sure = true;
        let done = loop {
            let standing = tokio::select! {
                biased;
                done = &mut left => break done.ok(),
                standing = self.watch_over(&mut mine, &hold, is_sure) => standing,
            };
            is_sure = match standing {
                Standing::Same => true,
                Standing::Unsure => false,
                Standing::Lost => {
                    hold.send_replace(Hold::Over);
                    self.leads_on.send_replace(None);
                    return;
                }
            };
        };
        // Others may campaign before their connections to this replica end and before anybody here goes on.
        self.release().await;
        hold.send_replace(Hold::Over);
        self.leads_on.send_replace(None);
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    /// Waits for news about the seat and asks etcd if there is any doubt. May be dropped at any time: whoever leaves
    /// also revokes the lease that an attempt under way would use.
    async fn watch_over(&mut self, mine: &mut Mine, hold: &watch::Sender<Hold>, is_sure: bool) -> Standing {
        tokio::select! {
            seen = self.views.changed() => if seen.is_err() { return Standing::Lost },
            kept = self.leases.changed() => if kept.is_err() { return Standing::Lost },
            () = sleep(RETRY), if !is_sure => {}
        }
        let view = self.views.borrow_and_update().clone();
        let lease = self.leases.borrow_and_update().lease;
        let is_seen = matches!(&view.seat, Seat::Held(held) if held.lease == mine.lease);
        if !is_seen && view.revision > mine.revision {
            hold.send_replace(Hold::Doubtful);
        }
        let Some(lease) = lease else { return Standing::Same };
        if is_seen && lease.id == mine.lease {
            hold.send_replace(Hold::On(mine.lease));
            return Standing::Same;
        }
        match self.seats.take(lease.id, Some(mine.lease)).await {
            Ok(Taken::Ours(revision)) => {
                if lease.id != mine.lease {
                    tracing::warn!(
                        "the lease {:x} was lost, the lead was not: it goes on with {:x}",
                        mine.lease,
                        lease.id
                    );
                }
                *mine = Mine { lease: lease.id, revision };
                hold.send_replace(Hold::On(lease.id));
                self.leads_on.send_replace(Some(lease.id));
                Standing::Same
            }
            Ok(Taken::Theirs(held)) => {
                let by = held
                    .holder
                    .map_or_else(|| "an unknown holder".to_owned(), |holder| holder.replica.to_string());
                tracing::warn!("the lead was lost to {by}");
                Standing::Lost
            }
            Err(Trouble::NoLease) => {
                let _ = self.orders.send(Order::Dead(lease.id)).await;
                Standing::Unsure
            }
            Err(_) => Standing::Unsure,
        }
    }

    /// Gives up the lease and all that hangs on it.
    async fn release(&self) {
        let (done, is_done) = oneshot::channel();
        if self.orders.send(Order::Release(done)).await.is_ok() {
            let _ = timeout(RELEASE_MAX * 2, is_done).await;
        }
    }
}
