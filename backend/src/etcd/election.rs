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
use super::error::EtcdError;
use super::key_observer::{LeaderKeyState, LeaderKeyView};
use super::leader_key::{LeaderKey, TakeOutcome};
use super::lease::{LeaseOrder, LeaseView};
use super::term::{EtcdTerm, TermHold};

/// After an attempt that came to nothing.
const RETRY: Duration = Duration::from_millis(100);

/// One call of `campaign`, waiting for a term.
pub(super) type CampaignRequest = oneshot::Sender<Result<Box<dyn Term>, LeadershipError>>;

/// See the module's text.
pub(super) struct Election {
    /// How the key is read and written.
    pub(super) leader_key: LeaderKey,
    /// Campaigns, served one after another.
    pub(super) campaigns: mpsc::Receiver<CampaignRequest>,
    /// To the keeper of the lease.
    pub(super) orders: mpsc::Sender<LeaseOrder>,
    /// From the keeper of the lease.
    pub(super) leases: watch::Receiver<LeaseView>,
    /// From the observer.
    pub(super) views: watch::Receiver<LeaderKeyView>,
    /// Whether a campaign waits, for the fast path.
    pub(super) is_standing: watch::Sender<bool>,
    /// The lease that this replica leads on, for the fast path.
    pub(super) leads_on: watch::Sender<Option<i64>>,
}

/// The seat, taken.
#[derive(Debug, Clone, Copy)]
struct OwnKey {
    lease: i64,
    revision: i64,
}

/// What a candidate may do.
enum CampaignStep {
    /// Nothing; a person must mend something.
    Refused(String),
    /// The seat is ours already: the answer to an earlier attempt was lost.
    Have(OwnKey),
    /// Take the free seat with this lease, from that instant on.
    Take(i64, Instant),
    /// Wait for news.
    Wait,
}

/// What is known about a seat that was ours.
enum KeyCheck {
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
        while let Some(mut request) = self.campaigns.recv().await {
            // The keeper ends after this loop, so it takes orders.
            let _ = self.orders.send(LeaseOrder::Hold).await;
            self.is_standing.send_replace(true);
            let stood = self.stand(&mut request).await;
            self.is_standing.send_replace(false);
            match stood {
                Some(Ok(mine)) => self.lead(request, mine).await,
                Some(Err(refused)) => {
                    self.release().await;
                    let _ = request.send(Err(refused));
                }
                // Also gives back what an attempt may have won without an answer.
                None => self.release().await,
            }
        }
    }

    /// Waits for the seat. `None` if the campaign was given up.
    async fn stand(&mut self, request: &mut CampaignRequest) -> Option<Result<OwnKey, LeadershipError>> {
        let mut not_before = Instant::now();
        loop {
            let step = self.step();
            let wake = match step {
                CampaignStep::Refused(why) => return Some(Err(LeadershipError(why))),
                CampaignStep::Have(mine) => return Some(Ok(mine)),
                CampaignStep::Take(lease, from) => {
                    let from = from.max(not_before);
                    if Instant::now() >= from && !request.is_closed() {
                        match self.take(lease).await {
                            Ok(Some(mine)) => return Some(Ok(mine)),
                            Ok(None) => not_before = Instant::now() + RETRY,
                            Err(refused) => return Some(Err(refused)),
                        }
                        continue;
                    }
                    Some(from)
                }
                CampaignStep::Wait => None,
            };
            tokio::select! {
                () = request.closed() => return None,
                seen = self.views.changed() => seen.ok()?,
                kept = self.leases.changed() => kept.ok()?,
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
    }

    fn step(&mut self) -> CampaignStep {
        let view = self.views.borrow_and_update();
        let leases = self.leases.borrow_and_update();
        if let Some(why) = view.refused.as_ref().or(leases.refused.as_ref()) {
            return CampaignStep::Refused(why.clone());
        }
        match (&view.state, leases.lease) {
            (LeaderKeyState::Held(held), Some(lease)) if held.lease == lease.id => {
                CampaignStep::Have(OwnKey { lease: lease.id, revision: view.revision })
            }
            (LeaderKeyState::Free(from), Some(lease)) if lease.is_trusted() => {
                CampaignStep::Take(lease.id, *from)
            }
            _ => CampaignStep::Wait,
        }
    }

    /// Tries once. `None` if that came to nothing.
    async fn take(&self, lease: i64) -> Result<Option<OwnKey>, LeadershipError> {
        match self.leader_key.take(lease, None).await {
            Ok(TakeOutcome::Ours(revision)) => Ok(Some(OwnKey { lease, revision })),
            Ok(TakeOutcome::Theirs(_)) => Ok(None),
            Err(EtcdError::NoLease) => {
                let _ = self.orders.send(LeaseOrder::Dead(lease)).await;
                Ok(None)
            }
            Err(EtcdError::Refused(why)) => Err(LeadershipError(why)),
            Err(EtcdError::Away(why)) => {
                tracing::debug!("the seat was not taken: {why}");
                Ok(None)
            }
        }
    }

    /// Holds the seat until it is lost or given up.
    async fn lead(&mut self, request: CampaignRequest, mut mine: OwnKey) {
        let (hold, held) = watch::channel(TermHold::On(mine.lease));
        let (leave, mut left) = oneshot::channel();
        self.leads_on.send_replace(Some(mine.lease));
        let term = EtcdTerm { hold: held, leases: self.leases.clone(), leave };
        // A campaign that is gone drops the term right here, which is one way to leave.
        let _ = request.send(Ok(Box::new(term)));
        let mut is_sure = true;
        let done = loop {
            let standing = tokio::select! {
                biased;
                done = &mut left => break done.ok(),
                standing = self.watch_over(&mut mine, &hold, is_sure) => standing,
            };
            is_sure = match standing {
                KeyCheck::Same => true,
                KeyCheck::Unsure => false,
                KeyCheck::Lost => {
                    hold.send_replace(TermHold::Over);
                    self.leads_on.send_replace(None);
                    return;
                }
            };
        };
        // Others may campaign before their connections to this replica end and before anybody here goes on.
        self.release().await;
        hold.send_replace(TermHold::Over);
        self.leads_on.send_replace(None);
        if let Some(done) = done {
            let _ = done.send(());
        }
    }

    /// Waits for news about the seat and asks etcd if there is any doubt. May be dropped at any time: whoever leaves
    /// also revokes the lease that an attempt under way would use.
    async fn watch_over(
        &mut self,
        mine: &mut OwnKey,
        hold: &watch::Sender<TermHold>,
        is_sure: bool,
    ) -> KeyCheck {
        tokio::select! {
            seen = self.views.changed() => if seen.is_err() { return KeyCheck::Lost },
            kept = self.leases.changed() => if kept.is_err() { return KeyCheck::Lost },
            () = sleep(RETRY), if !is_sure => {}
        }
        let view = self.views.borrow_and_update().clone();
        let lease = self.leases.borrow_and_update().lease;
        let is_seen = matches!(&view.state, LeaderKeyState::Held(held) if held.lease == mine.lease);
        if !is_seen && view.revision > mine.revision {
            hold.send_replace(TermHold::Doubtful);
        }
        let Some(lease) = lease else { return KeyCheck::Same };
        if is_seen && lease.id == mine.lease {
            hold.send_replace(TermHold::On(mine.lease));
            return KeyCheck::Same;
        }
        match self.leader_key.take(lease.id, Some(mine.lease)).await {
            Ok(TakeOutcome::Ours(revision)) => {
                if lease.id != mine.lease {
                    tracing::warn!(
                        "the lease {:x} was lost, the lead was not: it goes on with {:x}",
                        mine.lease,
                        lease.id
                    );
                }
                *mine = OwnKey { lease: lease.id, revision };
                hold.send_replace(TermHold::On(lease.id));
                self.leads_on.send_replace(Some(lease.id));
                KeyCheck::Same
            }
            Ok(TakeOutcome::Theirs(held)) => {
                let by = held
                    .holder
                    .map_or_else(|| "an unknown holder".to_owned(), |holder| holder.replica.to_string());
                tracing::warn!("the lead was lost to {by}");
                KeyCheck::Lost
            }
            Err(EtcdError::NoLease) => {
                let _ = self.orders.send(LeaseOrder::Dead(lease.id)).await;
                KeyCheck::Unsure
            }
            Err(_) => KeyCheck::Unsure,
        }
    }

    /// Gives up the lease and all that hangs on it.
    async fn release(&self) {
        let (done, is_done) = oneshot::channel();
        if self.orders.send(LeaseOrder::Release(done)).await.is_ok() {
            let _ = timeout(RELEASE_MAX * 2, is_done).await;
        }
    }
}
