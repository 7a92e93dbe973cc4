//! A TCP proxy that breaks connections on purpose. It forwards bytes between clients and one server, knows nothing of
//! what they mean, and never changes, drops, doubles or reorders a byte that it forwards: TCP does not do that either.
//!
//! Faults can be set and healed at any time, are in force when the call returns, and concern the connections there are as
//! well as new ones. Those with a [`Way`] are set for each direction by itself.

mod carry;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

/// Between two attempts to have the port back, and two looks whether a fault is in force.
const PAUSE: Duration = Duration::from_millis(1);

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From clients to the server.
    Up,
    /// From the server to clients.
    Down,
}

/// A proxy on a free loopback port, with a thread of its own. Dropping it closes everything.
pub struct Proxy {
    address: SocketAddr,
    faults: watch::Sender<Faults>,
    seen: Arc<Seen>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What the proxy's thread tells.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    accepted: AtomicUsize,
    /// The newest faults that are in force at the door.
    version: AtomicUsize,
}

/// What is wrong at present.
#[derive(Debug, Clone, Default)]
struct Faults {
    /// Counts changes.
    version: usize,
    up: Lane,
    down: Lane,
    door: Door,
    /// How many times all connections were reset.
    resets: u64,
    is_over: bool,
}

/// What is wrong in one direction.
#[derive(Debug, Clone, Copy, Default)]
struct Lane {
    latency: Duration,
    is_hole: bool,
    cut: Option<Cut>,
}

/// A limit of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    /// Tells settings apart.
    serial: u64,
    bytes: usize,
}

/// How new connections are met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Door {
    #[default]
    Open,
    Ajar,
    Shut,
}

impl Proxy {
    /// Starts one in front of `upstream`, which need not listen yet.
    ///
    /// # Panics
    /// If there is no free port or no thread.
    pub fn start(upstream: SocketAddr) -> Self {
        let listener =
            std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on loopback");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (faults, faults_seen) = watch::channel(Faults::default());
        let told = Arc::new(Seen::default());
        let tells = Arc::clone(&told);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime for the proxy");
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).expect("a bound listener");
                carry::serve(listener, upstream, faults_seen, tells).await;
            });
        };
        let thread = std::thread::Builder::new().name("proxy".to_owned()).spawn(run).expect("a thread");
        Self { address, faults, seen: told, thread: Some(thread) }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// How many connections there have been, those that ended included.
    pub fn accepted(&self) -> usize {
        self.seen.accepted.load(Ordering::SeqCst)
    }

    /// Each chunk waits this long, one after another, so it also limits the throughput. Both sides see a slow network:
    /// writes succeed at once, answers are late.
    pub fn latency(&self, way: Way, latency: Duration) {
        self.set(|faults| faults.lane(way).latency = latency);
    }

    /// Bytes are taken and held. The sender sees its writes succeed until buffers are full, and then hang; the
    /// receiver sees silence. The ends of connections are held as well: neither side learns that the other has closed.
    /// New connections are accepted. After [`Proxy::heal`] what was held arrives, as after a real partition.
    pub fn black_hole(&self, way: Way) {
        self.set(|faults| faults.lane(way).is_hole = true);
    }

    /// Every connection, old or new, may carry `bytes` more that way, and is then reset for both sides: the receiver
    /// gets part of a message and then an error.
    pub fn cut_after(&self, way: Way, bytes: usize) {
        self.set(|faults| {
            let lane = faults.lane(way);
            let serial = lane.cut.map_or(0, |cut| cut.serial) + 1;
            lane.cut = Some(Cut { serial, bytes });
        });
    }

    /// Resets all connections there are, once. Both sides see "connection reset by peer"; new connections are fine.
    pub fn reset(&self) {
        self.set(|faults| faults.resets += 1);
    }

    /// New connections are refused: clients see "connection refused", like when the server's process is gone.
    /// Connections there are stay. The port is not held meanwhile.
    pub fn refuse(&self) {
        self.set(|faults| faults.door = Door::Shut);
    }

    /// New connections are not accepted: clients see a connection that is made (by the kernel) and then silence, like
    /// when the server's process is stopped. They are served after [`Proxy::heal`]. Connections there are stay.
    pub fn stop_accepting(&self) {
        self.set(|faults| faults.door = Door::Ajar);
    }

    /// Ends all faults. What was reset or cut stays so.
    pub fn heal(&self) {
        self.set(|faults| {
            *faults = Faults { version: faults.version, resets: faults.resets, ..Faults::default() };
        });
    }

    /// Changes the faults and waits until the change is in force.
    fn set(&self, change: impl FnOnce(&mut Faults)) {
        self.faults.send_modify(|faults| {
            change(faults);
            faults.version += 1;
        });
        let version = self.faults.borrow().version;
        while self.seen.version.load(Ordering::SeqCst) < version {
            let is_alive = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
            assert!(is_alive, "the proxy's thread has ended");
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.faults.send_modify(|faults| faults.is_over = true);
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, was printed.
            let _ = thread.join();
        }
    }
}

impl Faults {
    fn lane(&mut self, way: Way) -> &mut Lane {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}
