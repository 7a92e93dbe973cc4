//! This replica's lease: granted while it stands or leads, kept alive, given up. Publishes which lease it has and until
//! when it may be trusted; never knows what hangs on it besides the replica's own line in the list.
//!
//! etcd-client keeps nothing alive by itself. Every third of the TTL one request goes out and its answer is awaited with a
//! limit; after any failure the stream and its client are thrown away, so that a late answer can never be taken for the
//! answer to a later request.

use std::time::Duration;

use etcd_client::{Client, Error, LeaseKeepAliveStream, LeaseKeeper};
use rota_kit::boottime::BootTime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::backoff::{ReconnectBackoff, jitter};
use super::connection::CALL_MAX;
use super::error::EtcdError;
use super::leader_key::LeaderKey;
use super::{QUIET_MAX, RELEASE_MAX};

/// Most of the TTL that is given away for clocks that differ and for answers under way.
const MARGIN_MAX: Duration = Duration::from_secs(1);

/// A lease that etcd granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    /// Its number.
    pub(super) id: i64,
    /// Until when etcd keeps it, seen with caution.
    pub(super) trusted_until: BootTime,
}

impl Lease {
    /// Whether the trust window is open.
    pub(super) fn is_trusted(&self) -> bool {
        !self.trusted_until.is_past()
    }
}

/// What is known about this replica's lease.
#[derive(Debug, Clone, Default)]
pub(super) struct LeaseView {
    /// The lease, if there is one.
    pub(super) lease: Option<Lease>,
    /// Why there is none and will be none until a person mends something.
    pub(super) refused: Option<String>,
}

/// What the election asks for.
pub(super) enum LeaseOrder {
    /// Have a lease.
    Hold,
    /// Have none: revoke it, then answer.
    Release(oneshot::Sender<()>),
    /// etcd does not know this lease; have another.
    Dead(i64),
}

/// Keeps the lease.
pub(super) struct LeaseTask {
    leader_key: LeaderKey,
    ttl_s: i64,
    orders: mpsc::Receiver<LeaseOrder>,
    view: watch::Sender<LeaseView>,
    stream: Option<(LeaseKeeper, LeaseKeepAliveStream)>,
}

/// Why a lease is no longer kept.
enum LeaseEnd {
    /// etcd does not know it.
    Lost,
    /// It was given up.
    Released,
}

/// A granted lease and its rhythm.
struct GrantedLease {
    id: i64,
    beat: Duration,
    is_registered: bool,
}

impl LeaseTask {
    /// A keeper without a lease.
    pub(super) fn new(
        leader_key: LeaderKey,
        ttl_s: i64,
        orders: mpsc::Receiver<LeaseOrder>,
        view: watch::Sender<LeaseView>,
    ) -> Self {
        Self { leader_key, ttl_s, orders, view, stream: None }
    }

    /// Follows orders until nobody can give any.
    pub(super) async fn run(mut self) {
        while let Some(order) = self.orders.recv().await {
            match order {
                LeaseOrder::Hold => self.hold().await,
                LeaseOrder::Release(done) => drop(done.send(())),
                LeaseOrder::Dead(_) => {}
            }
        }
    }

    /// Has a lease, a new one when one is lost, until it is released.
    async fn hold(&mut self) {
        let mut backoff = ReconnectBackoff::default();
        loop {
            let granted = tokio::select! {
                biased;
                done = released(&mut self.orders) => return self.none(done),
                granted = grant(&self.leader_key, self.ttl_s) => granted,
            };
            match granted {
                Ok((granted, lease)) => {
                    backoff.reset();
                    self.publish(Some(lease), None);
                    if matches!(self.keep(granted).await, LeaseEnd::Released) {
                        return;
                    }
                    self.publish(None, None);
                }
                Err(error) => {
                    let refused = matches!(error, EtcdError::Refused(_)).then(|| error.to_string());
                    self.publish(None, refused);
                    tokio::select! {
                        biased;
                        done = released(&mut self.orders) => return self.none(done),
                        () = backoff.pause() => {}
                    }
                }
            }
        }
    }

    /// Keeps one lease alive until it is over.
    async fn keep(&mut self, mut granted: GrantedLease) -> LeaseEnd {
        self.stream = None;
        let mut next = Instant::now();
        loop {
            let order = tokio::select! {
                biased;
                order = self.orders.recv() => order,
                answered = beat(&self.leader_key, &mut self.stream, &mut granted, next) => {
                    match answered {
                        Ok(lease) => {
                            next += granted.beat;
                            self.publish(Some(lease), None);
                        }
                        Err(EtcdError::NoLease) => {
                            tracing::warn!("etcd does not know the lease {:x} any more", granted.id);
                            return LeaseEnd::Lost;
                        }
                        Err(error) => {
                            tracing::debug!("lease {:x}: {error}", granted.id);
                            next = Instant::now() + granted.beat / 8 + jitter(granted.beat / 8);
                        }
                    }
                    next = next.max(Instant::now());
                    continue;
                }
            };
            match order {
                Some(LeaseOrder::Hold) => {}
                Some(LeaseOrder::Dead(id)) if id == granted.id => return LeaseEnd::Lost,
                Some(LeaseOrder::Dead(_)) => {}
                Some(LeaseOrder::Release(done)) => {
                    self.release(granted.id).await;
                    self.none(Some(done));
                    return LeaseEnd::Released;
                }
                None => {
                    self.release(granted.id).await;
                    return LeaseEnd::Released;
                }
            }
        }
    }

    /// Tells etcd that the lease is not needed. If that fails, it runs out by itself.
    async fn release(&mut self, lease: i64) {
        self.stream = None;
        self.publish(None, None);
        // Half of the time for one member, so that another can still be asked.
        match timeout(RELEASE_MAX, self.leader_key.revoke(lease, RELEASE_MAX / 2)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!("the lease {lease:x} will run out: {error}"),
            Err(_) => tracing::debug!("the lease {lease:x} will run out: no answer within {RELEASE_MAX:?}"),
        }
    }

    /// Confirms that there is no lease.
    fn none(&self, done: Option<oneshot::Sender<()>>) {
        self.publish(None, None);
        if let Some(done) = done {
            // Whoever asked may have stopped waiting.
            let _ = done.send(());
        }
    }

    fn publish(&self, lease: Option<Lease>, refused: Option<String>) {
        self.view.send_replace(LeaseView { lease, refused });
    }
}

/// Waits for an order to release; other orders ask for what is being done already.
async fn released(orders: &mut mpsc::Receiver<LeaseOrder>) -> Option<oneshot::Sender<()>> {
    loop {
        match orders.recv().await {
            Some(LeaseOrder::Release(done)) => return Some(done),
            Some(LeaseOrder::Hold | LeaseOrder::Dead(_)) => {}
            None => return None,
        }
    }
}

async fn grant(leader_key: &LeaderKey, ttl_s: i64) -> Result<(GrantedLease, Lease), EtcdError> {
    let start = BootTime::now();
    let call = |client: Client| async move { client.lease_client().grant(ttl_s, None).await };
    let answer = leader_key.connection().call(CALL_MAX, call).await?;
    let ttl = seconds(answer.ttl());
    let granted = GrantedLease { id: answer.id(), beat: (ttl / 3).min(QUIET_MAX), is_registered: false };
    Ok((granted, Lease { id: answer.id(), trusted_until: trusted_until(start, ttl) }))
}

/// Waits for `next`, then has the lease prolonged. Whatever stops it midway also drops the stream.
async fn beat(
    leader_key: &LeaderKey,
    stream: &mut Option<(LeaseKeeper, LeaseKeepAliveStream)>,
    granted: &mut GrantedLease,
    next: Instant,
) -> Result<Lease, EtcdError> {
    sleep_until(next).await;
    let start = BootTime::now();
    let id = granted.id;
    let open = stream.take();
    let limit = granted.beat;
    let answered = match open {
        Some(open) => {
            let answered = match timeout(limit, prolong(open)).await {
                Ok(answered) => answered.map_err(EtcdError::from),
                Err(_) => Err(EtcdError::Away(format!("no answer within {} ms", limit.as_millis()))),
            };
            if matches!(answered, Err(EtcdError::Away(_) | EtcdError::Refused(_))) {
                // The next beat opens a stream with a fresh client.
                leader_key.connection().hang_up();
            }
            answered
        }
        None => {
            let call =
                |client: Client| async move { prolong(client.lease_client().keep_alive(id).await?).await };
            leader_key.connection().call(limit, call).await
        }
    };
    let (ttl_s, open) = answered?;
    if ttl_s <= 0 {
        return Err(EtcdError::NoLease);
    }
    *stream = Some(open);
    if !granted.is_registered {
        granted.is_registered = matches!(timeout(limit, leader_key.register(id)).await, Ok(Ok(())));
    }
    Ok(Lease { id, trusted_until: trusted_until(start, seconds(ttl_s)) })
}

/// One request and its answer.
async fn prolong(
    (mut keeper, mut stream): (LeaseKeeper, LeaseKeepAliveStream),
) -> Result<(i64, (LeaseKeeper, LeaseKeepAliveStream)), Error> {
    keeper.keep_alive().await?;
    match stream.message().await? {
        Some(answer) => Ok((answer.ttl(), (keeper, stream))),
        None => Err(Error::LeaseKeepAliveError("the stream ended".to_owned())),
    }
}

/// The answer to a request made at `start` is worth the TTL from then on, less a margin.
fn trusted_until(start: BootTime, ttl: Duration) -> BootTime {
    start.after(ttl - MARGIN_MAX.min(ttl / 3))
}

fn seconds(ttl_s: i64) -> Duration {
    Duration::from_secs(ttl_s.unsigned_abs())
}
