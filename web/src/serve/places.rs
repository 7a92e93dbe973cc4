//! Who holds a connection, and whose turn it is: the client's, which may be slow or wicked, or ours.
//!
//! Only a connection that waits for its client is ever closed to make room: the address that has most of those loses its
//! oldest one. An answer under way, a followed log and an event stream are ours, however long they take. When every
//! place is ours, a few spare ones are left in which only probes are answered.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rota_core::sync::lock;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a client may take to send a request's head, the handshake of TLS included.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// How long it may take to send the body.
const BODY_MAX: Duration = Duration::from_secs(30);
/// How long it may read nothing of an answer that is ready for it.
const STALL_MAX: Duration = Duration::from_secs(120);
/// How long a connection is kept for a next request; longer than proxies keep theirs (60 s), who would otherwise send
/// into one that closes.
const IDLE_MAX: Duration = Duration::from_secs(75);
/// Places in which only probes are answered.
pub(super) const SPARE_PLACES: usize = 16;

/// Whose turn it is, and since when the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectionTurn {
    /// The client sends a request's head.
    Head(Instant),
    /// It sends the body.
    Body(Instant),
    /// We answer.
    Ours,
    /// It does not read what we answer.
    Stalled(Instant),
    /// Nothing was asked since the last answer.
    Idle(Instant),
}

/// All connections of one server.
#[derive(Debug)]
pub(super) struct ConnectionPlaces {
    max: usize,
    table: Mutex<PlaceTable>,
}

#[derive(Debug, Default)]
struct PlaceTable {
    next: u64,
    open: HashMap<u64, Arc<ConnectionPlace>>,
}

/// One connection's place.
#[derive(Debug)]
pub(super) struct ConnectionPlace {
    address: IpAddr,
    is_spare: bool,
    turn: Mutex<ConnectionTurn>,
    closed: CancellationToken,
}

/// A place that is given back when this is dropped.
#[derive(Debug)]
pub(super) struct HeldPlace {
    number: u64,
    places: Arc<ConnectionPlaces>,
    place: Arc<ConnectionPlace>,
}

impl ConnectionTurn {
    /// Since when the client is waited for.
    const fn waits_since(self) -> Option<Instant> {
        match self {
            Self::Head(since) | Self::Body(since) | Self::Stalled(since) | Self::Idle(since) => Some(since),
            Self::Ours => None,
        }
    }

    fn is_over(self, now: Instant) -> bool {
        match self {
            Self::Head(since) => now >= since + HEAD_MAX,
            Self::Body(since) => now >= since + BODY_MAX,
            Self::Stalled(since) => now >= since + STALL_MAX,
            Self::Idle(since) => now >= since + IDLE_MAX,
            Self::Ours => false,
        }
    }
}

impl ConnectionPlace {
    /// Cancelled when the connection is to be closed at once.
    pub(super) fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Whether only probes are answered here.
    pub(super) const fn is_spare(&self) -> bool {
        self.is_spare
    }

    /// Bytes came in: the first ones after a pause begin a request.
    pub(super) fn heard(&self, now: Instant) {
        self.change(|turn| match turn {
            ConnectionTurn::Idle(_) => ConnectionTurn::Head(now),
            ConnectionTurn::Head(_)
            | ConnectionTurn::Body(_)
            | ConnectionTurn::Ours
            | ConnectionTurn::Stalled(_) => turn,
        });
    }

    /// A request's head is here, its body is not.
    pub(super) fn body_begins(&self, now: Instant) {
        self.change(|_| ConnectionTurn::Body(now));
    }

    /// The whole request is here.
    pub(super) fn asked(&self) {
        self.change(|_| ConnectionTurn::Ours);
    }

    /// The body is here, or as much of it as anybody wanted.
    pub(super) fn body_ends(&self) {
        self.change(|turn| match turn {
            ConnectionTurn::Body(_) => ConnectionTurn::Ours,
            ConnectionTurn::Head(_)
            | ConnectionTurn::Ours
            | ConnectionTurn::Stalled(_)
            | ConnectionTurn::Idle(_) => turn,
        });
    }

    /// The client does not take what is written.
    pub(super) fn stalls(&self, now: Instant) {
        self.change(|turn| match turn {
            ConnectionTurn::Ours => ConnectionTurn::Stalled(now),
            ConnectionTurn::Head(_)
            | ConnectionTurn::Body(_)
            | ConnectionTurn::Stalled(_)
            | ConnectionTurn::Idle(_) => turn,
        });
    }

    /// It took some.
    pub(super) fn flows(&self, now: Instant) {
        self.change(|turn| match turn {
            ConnectionTurn::Stalled(_) => ConnectionTurn::Ours,
            // The rest of an answer that was handed over.
            ConnectionTurn::Idle(_) => ConnectionTurn::Idle(now),
            ConnectionTurn::Head(_) | ConnectionTurn::Body(_) | ConnectionTurn::Ours => turn,
        });
    }

    /// The whole answer was handed over.
    pub(super) fn answered(&self, now: Instant) {
        self.change(|_| ConnectionTurn::Idle(now));
    }

    fn turn(&self) -> MutexGuard<'_, ConnectionTurn> {
        lock(&self.turn)
    }

    fn change(&self, to: impl FnOnce(ConnectionTurn) -> ConnectionTurn) {
        let mut turn = self.turn();
        *turn = to(*turn);
    }

    fn waits_since(&self) -> Option<Instant> {
        self.turn().waits_since()
    }
}

impl ConnectionPlaces {
    /// Room for `max` connections, and a few spare ones for probes.
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, table: Mutex::default() })
    }

    /// A place for a new connection; `None` if even the spare ones are taken by answers under way.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr, now: Instant) -> Option<HeldPlace> {
        let mut table = self.table();
        if table.open.len() >= self.max {
            table.close_one();
        }
        let count = table.open.len();
        if count >= self.max + SPARE_PLACES {
            return None;
        }
        let place = Arc::new(ConnectionPlace {
            address,
            is_spare: count >= self.max,
            turn: Mutex::new(ConnectionTurn::Head(now)),
            closed: CancellationToken::new(),
        });
        let number = table.next;
        table.next += 1;
        table.open.insert(number, Arc::clone(&place));
        Some(HeldPlace { number, places: Arc::clone(self), place })
    }

    /// Closes one connection that waits for its client, if there is one.
    pub(super) fn close_one(&self) {
        self.table().close_one();
    }

    /// Closes those whose client took too long.
    pub(super) fn sweep(&self, now: Instant) {
        self.table().open.retain(|_, place| {
            let is_over = place.turn().is_over(now);
            if is_over {
                place.closed.cancel();
            }
            !is_over
        });
    }

    fn table(&self) -> MutexGuard<'_, PlaceTable> {
        lock(&self.table)
    }
}

impl PlaceTable {
    fn close_one(&mut self) {
        let waiting =
            || self.open.iter().filter_map(|(number, place)| Some((number, place, place.waits_since()?)));
        let mut of_address: HashMap<IpAddr, usize> = HashMap::new();
        for (_, place, _) in waiting() {
            *of_address.entry(place.address).or_default() += 1;
        }
        let longest = waiting().max_by_key(|(_, place, since)| {
            (of_address.get(&place.address).copied(), std::cmp::Reverse(*since))
        });
        let number = longest.map(|(number, _, _)| *number);
        if let Some(place) = number.and_then(|number| self.open.remove(&number)) {
            place.closed.cancel();
        }
    }
}

impl HeldPlace {
    /// The place.
    pub(super) fn place(&self) -> Arc<ConnectionPlace> {
        Arc::clone(&self.place)
    }
}

impl Drop for HeldPlace {
    fn drop(&mut self) {
        self.places.table().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(1);

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn is_closed(held: &HeldPlace) -> bool {
        held.place().closed().is_cancelled()
    }

    #[test]
    fn the_address_that_waits_most_gives_its_oldest_place() {
        let (places, begin) = (ConnectionPlaces::new(4), Instant::now());
        let quiet = places.take(address(1), begin).expect("room");
        let flood: Vec<HeldPlace> = (1..=50)
            .map(|n| places.take(address(2), begin + TICK * n).expect("one that waits makes room"))
            .collect();
        assert!(!is_closed(&quiet));
        let open: Vec<usize> = (0..50).filter(|at| !is_closed(&flood[*at])).collect();
        assert_eq!(open, [47, 48, 49]);
    }

    #[test]
    fn answers_under_way_keep_their_place_and_spare_ones_are_left_for_probes() {
        let (places, now) = (ConnectionPlaces::new(2), Instant::now());
        let take = |last, count| -> Vec<HeldPlace> {
            (0..count)
                .filter_map(|_| places.take(address(last), now))
                .inspect(|held| held.place().asked())
                .collect()
        };
        let (busy, spare) = (take(1, 2), take(2, SPARE_PLACES));
        assert!(busy.iter().all(|held| !held.place().is_spare()));
        assert!(spare.iter().all(|held| held.place().is_spare()));
        assert!(places.take(address(3), now).is_none());
        drop(busy);
        assert!(places.take(address(3), now).is_some());
        places.sweep(now + Duration::from_secs(86_400));
        assert!(!spare.iter().any(is_closed));
    }

    #[test]
    fn each_turn_of_the_client_has_its_end_and_ours_has_none() {
        type Act = fn(&ConnectionPlace, Instant);
        let turns: [(&str, Act, Option<Duration>); 7] = [
            ("head", |_, _| {}, Some(HEAD_MAX)),
            // Bytes that trickle in gain nobody time.
            ("trickle", |place, now| place.heard(now + HEAD_MAX / 2), Some(HEAD_MAX)),
            ("body", ConnectionPlace::body_begins, Some(BODY_MAX)),
            ("answer", |place, _| place.asked(), None),
            (
                "stalled",
                |place, now| {
                    place.asked();
                    place.stalls(now);
                },
                Some(STALL_MAX),
            ),
            (
                "flowing",
                |place, now| {
                    place.asked();
                    place.stalls(now);
                    place.flows(now);
                },
                None,
            ),
            ("idle", ConnectionPlace::answered, Some(IDLE_MAX)),
        ];
        for (case, act, patience) in turns {
            let (places, now) = (ConnectionPlaces::new(1), Instant::now());
            let held = places.take(address(1), now).expect("room");
            act(&held.place(), now);
            let end = now + patience.unwrap_or(Duration::from_secs(86_400));
            places.sweep(end - TICK);
            assert!(!is_closed(&held), "{case}: too early");
            places.sweep(end);
            assert_eq!(is_closed(&held), patience.is_some(), "{case}");
        }
    }

    #[test]
    fn the_next_request_of_a_kept_connection_has_a_head_of_its_own() {
        let (places, now) = (ConnectionPlaces::new(1), Instant::now());
        let held = places.take(address(1), now).expect("room");
        held.place().answered(now);
        held.place().heard(now + HEAD_MAX * 2);
        places.sweep(now + HEAD_MAX * 3 - TICK);
        assert!(!is_closed(&held));
        places.sweep(now + HEAD_MAX * 3);
        assert!(is_closed(&held));
    }
}
