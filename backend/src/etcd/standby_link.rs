//! The standby's side of the fast path: holds a connection to the leader, and when that breaks revokes the leader's
//! lease, so that the seat is free without waiting for the TTL.
//!
//! A killed process loses its sockets at once, so a broken connection nearly always means a dead leader. When it does
//! not (a cut cable, a router that forgot), a leader that is alive loses its lease: it takes the seat again, or another
//! replica does and the old leader's next transaction finds a newer epoch and writes nothing. Suspecting a leader
//! wrongly is safe only because of the store's epoch; nothing here may be used where there is none.
//!
//! What counts as broken: the connection was greeted with the very lease that the leader's key hangs on, and then it was
//! closed or reset, and at once another connection is not greeted with that lease either. Or: it was greeted once with that
//! lease, and three attempts in a row were refused. Silence counts for nothing: a stopped leader is the TTL's affair.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::connection::CALL_MAX;
use super::key_observer::{LeaderKeyState, LeaderKeyView};
use super::leader_key::LeaderKey;

/// What a leader says, before its lease in hexadecimal.
pub(super) const GREETING: &str = "rota leader ";
/// Longest line that a leader may say.
const LINE_MAX: u64 = 64;
/// How long making a connection and being greeted may take, each.
const GREETED_MAX: Duration = Duration::from_secs(1);
/// How long a leader whose connection broke has to greet another one.
const PROOF_MAX: Duration = Duration::from_millis(100);
/// Between two attempts.
const RETRY: Duration = Duration::from_millis(100);
/// Refusals in a row by a leader that once greeted that count as a broken connection.
const REFUSALS_MAX: u32 = 3;

/// See the module's text.
pub(super) struct LeaderProbe {
    leader_key: LeaderKey,
    view: watch::Receiver<LeaderKeyView>,
    is_standing: watch::Receiver<bool>,
    /// The lease that a leader greeted with.
    greeted_by: Option<i64>,
    refusals: u32,
}

/// A leader to hold on to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ProbeTarget {
    lease: i64,
    address: String,
    replica: String,
}

impl LeaderProbe {
    /// One that holds on to whoever leads while this replica stands by.
    pub(super) fn new(
        leader_key: LeaderKey,
        view: watch::Receiver<LeaderKeyView>,
        is_standing: watch::Receiver<bool>,
    ) -> Self {
        Self { leader_key, view, is_standing, greeted_by: None, refusals: 0 }
    }

    /// Follows leaders until it is dropped.
    pub(super) async fn run(mut self) {
        loop {
            let target = target(&mut self.view, &mut self.is_standing).await;
            let (mut view, mut is_standing) = (self.view.clone(), self.is_standing.clone());
            tokio::select! {
                () = self.hold_on(&target) => {}
                () = gone(&target, &mut view, &mut is_standing) => {}
            }
        }
    }

    /// One connection, from the attempt to its end and what follows from that.
    async fn hold_on(&mut self, target: &ProbeTarget) {
        let mut connection = match greeted(target, GREETED_MAX).await {
            Ok(connection) => connection,
            Err(error) => return self.not_greeted(target, &error).await,
        };
        self.greeted_by = Some(target.lease);
        self.refusals = 0;
        loop {
            let error = broken(&mut connection).await;
            if !is_closed(&error) {
                tracing::debug!("the connection to the leader {} failed: {error}", target.replica);
                return;
            }
            match greeted(target, PROOF_MAX).await {
                Ok(another) => connection = another,
                Err(_) => return self.suspect(target).await,
            }
        }
    }

    async fn not_greeted(&mut self, target: &ProbeTarget, error: &Error) {
        tracing::debug!("no connection to the leader {} at {}: {error}", target.replica, target.address);
        let is_refused = error.kind() == ErrorKind::ConnectionRefused;
        self.refusals = if is_refused { self.refusals + 1 } else { 0 };
        if self.greeted_by == Some(target.lease) && self.refusals >= REFUSALS_MAX {
            self.refusals = 0;
            self.suspect(target).await;
        }
        sleep(RETRY).await;
    }

    /// Revokes the leader's lease if the key still hangs on it. The observer then sees the key go.
    async fn suspect(&mut self, target: &ProbeTarget) {
        let revoked = match self.leader_key.read().await {
            Ok((Some(held), _)) if held.lease == target.lease => {
                tracing::warn!("the leader {} closed its connections: revoking its lease", target.replica);
                self.leader_key.revoke(target.lease, CALL_MAX).await
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = revoked {
            tracing::warn!("the lease of the leader {} was not revoked: {error}", target.replica);
        }
        sleep(RETRY).await;
    }
}

/// Waits for a leader to hold on to.
async fn target(
    view: &mut watch::Receiver<LeaderKeyView>,
    is_standing: &mut watch::Receiver<bool>,
) -> ProbeTarget {
    loop {
        let seen = if *is_standing.borrow_and_update() { seen(&view.borrow_and_update()) } else { None };
        if let Some(target) = seen {
            return target;
        }
        let changed = tokio::select! {
            changed = view.changed() => changed,
            changed = is_standing.changed() => changed,
        };
        if changed.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Waits until there is nothing to hold on to.
async fn gone(
    target: &ProbeTarget,
    view: &mut watch::Receiver<LeaderKeyView>,
    is_standing: &mut watch::Receiver<bool>,
) {
    tokio::select! {
        _ = view.wait_for(|view| seen(view).as_ref() != Some(target)) => {}
        _ = is_standing.wait_for(|is_standing| !is_standing) => {}
    }
}

fn seen(view: &LeaderKeyView) -> Option<ProbeTarget> {
    let LeaderKeyState::Held(held) = &view.state else { return None };
    let holder = held.holder.as_ref()?;
    let address = holder.peer.clone()?;
    Some(ProbeTarget { lease: held.lease, address, replica: holder.replica.to_string() })
}

/// A connection that was greeted with the target's lease.
async fn greeted(target: &ProbeTarget, limit: Duration) -> Result<BufReader<TcpStream>, Error> {
    let connect = timeout(limit, TcpStream::connect(target.address.as_str()));
    let mut connection = BufReader::new(connect.await.map_err(|_| Error::from(ErrorKind::TimedOut))??);
    let mut line = String::new();
    let mut limited = (&mut connection).take(LINE_MAX);
    timeout(limit, limited.read_line(&mut line)).await.map_err(|_| Error::from(ErrorKind::TimedOut))??;
    let lease = line.strip_prefix(GREETING).and_then(|lease| i64::from_str_radix(lease.trim_end(), 16).ok());
    if lease != Some(target.lease) {
        return Err(Error::new(
            ErrorKind::InvalidData,
            "it does not lead on the lease that its key hangs on",
        ));
    }
    Ok(connection)
}

/// Waits for the end of a connection.
async fn broken(connection: &mut BufReader<TcpStream>) -> Error {
    let mut bytes = [0; 64];
    loop {
        match connection.read(&mut bytes).await {
            Ok(0) => return ErrorKind::UnexpectedEof.into(),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

fn is_closed(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
    )
}
