//! A TCP proxy that breaks connections on purpose. It forwards bytes between clients and one server, knows nothing of
//! what they mean, and never changes, drops, doubles or reorders a byte that it forwards: TCP does not do that either.
//!
//! Faults can be set and healed at any time, are in force when the call returns, and concern the connections there are as
//! well as new ones. Those with a [`Way`] are set for each direction by itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// Most bytes taken at once; one chunk.
const CHUNK: usize = 16 * 1024;
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
                serve(listener, upstream, faults_seen, tells).await;
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

async fn serve(
    listener: TcpListener,
    upstream: SocketAddr,
    mut faults: watch::Receiver<Faults>,
    seen: Arc<Seen>,
) {
    let address = listener.local_addr().expect("a bound listener has an address");
    let mut listener = Some(listener);
    loop {
        let Faults { door, is_over, version, .. } = faults.borrow_and_update().clone();
        if is_over {
            return;
        }
        if door == Door::Shut {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(address).await.ok();
        }
        if door == Door::Shut || listener.is_some() {
            seen.version.store(version, Ordering::SeqCst);
        }
        tokio::select! {
            changed = faults.changed() => if changed.is_err() { return },
            client = accept(listener.as_ref()), if door == Door::Open => {
                let faults = faults.clone();
                let count = Count::new(&seen);
                tokio::spawn(async move {
                    connection(client, upstream, faults).await;
                    drop(count);
                });
            }
            () = sleep(PAUSE), if door != Door::Shut && listener.is_none() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    loop {
        match listener {
            Some(listener) => match listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(_) => sleep(PAUSE).await,
            },
            None => std::future::pending().await,
        }
    }
}

/// Counts a connection for as long as it lives.
struct Count(Arc<Seen>);

impl Count {
    fn new(seen: &Arc<Seen>) -> Self {
        seen.connections.fetch_add(1, Ordering::SeqCst);
        seen.accepted.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(seen))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Why a connection ends with a reset.
struct Broken;

/// One connection from its acceptance to its end. A server that cannot be reached resets the client.
async fn connection(mut client: TcpStream, upstream: SocketAddr, mut faults: watch::Receiver<Faults>) {
    let resets = faults.borrow().resets;
    let Ok(mut server) = TcpStream::connect(upstream).await else {
        return reset(client);
    };
    // A proxy must not add Nagle's delays to what it is told to add.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (up, down) = (faults.clone(), faults.clone());
    let ended = {
        let (client_out, client_in) = client.split();
        let (server_out, server_in) = server.split();
        let pumps = async {
            tokio::try_join!(
                pump(client_out, server_in, up, |faults| faults.up),
                pump(server_out, client_in, down, |faults| faults.down),
            )
        };
        tokio::select! {
            ended = pumps => ended.map(drop),
            _ = faults.wait_for(|faults| faults.resets != resets || faults.is_over) => Err(Broken),
        }
    };
    if ended.is_err() {
        reset(client);
        reset(server);
    }
}

/// Closes with RST instead of FIN.
fn reset(stream: TcpStream) {
    // A socket that is closed already needs no reset.
    let _ = stream.set_zero_linger();
    drop(stream);
}

/// Forwards one direction until its end, which is forwarded as well.
async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut faults: watch::Receiver<Faults>,
    lane: impl Fn(&Faults) -> Lane,
) -> Result<(), Broken> {
    let mut chunk = vec![0; CHUNK];
    let mut cut: Option<Cut> = None;
    loop {
        let read = from.read(&mut chunk).await;
        pass(&mut faults, &lane).await?;
        let length = read.map_err(|_| Broken)?;
        let set = lane(&faults.borrow()).cut;
        if set.map(|set| set.serial) != cut.map(|cut| cut.serial) {
            cut = set;
        }
        let allowed = cut.map_or(length, |cut| cut.bytes.min(length));
        to.write_all(&chunk[..allowed]).await.map_err(|_| Broken)?;
        if let Some(cut) = &mut cut {
            cut.bytes -= allowed;
            if cut.bytes == 0 {
                return Err(Broken);
            }
        }
        if length == 0 {
            return to.shutdown().await.map_err(|_| Broken);
        }
    }
}

/// Waits until a chunk may pass.
async fn pass(faults: &mut watch::Receiver<Faults>, lane: impl Fn(&Faults) -> Lane) -> Result<(), Broken> {
    let arrived = Instant::now();
    loop {
        let now = lane(&faults.borrow_and_update());
        let due = arrived + now.latency;
        if !now.is_hole && Instant::now() >= due {
            return Ok(());
        }
        tokio::select! {
            changed = faults.changed() => changed.map_err(|_| Broken)?,
            () = sleep_until(due), if !now.is_hole => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpStream as Plain;

    use super::*;

    /// Longer than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(20);
    /// How long a test watches that nothing comes.
    const QUIET: Duration = Duration::from_millis(100);

    struct Pair {
        proxy: Proxy,
        listener: std::net::TcpListener,
    }

    impl Pair {
        fn start() -> Self {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let proxy = Proxy::start(listener.local_addr().unwrap());
            Self { proxy, listener }
        }

        fn connect(&self) -> Plain {
            let client = Plain::connect(self.proxy.address()).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client
        }

        /// Both ends of a connection through the proxy.
        fn both(&self) -> (Plain, Plain) {
            let client = self.connect();
            let (server, _) = self.listener.accept().unwrap();
            server.set_read_timeout(Some(PATIENCE)).unwrap();
            (client, server)
        }
    }

    fn get(stream: &mut Plain, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn assert_silent(stream: &mut Plain) {
        stream.set_read_timeout(Some(QUIET)).unwrap();
        let kind = stream.read(&mut [0; 1]).map_err(|error| error.kind());
        assert!(
            matches!(kind, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
            "expected silence, got {kind:?}"
        );
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    /// What is read until the error, and the error.
    fn get_broken(stream: &mut Plain) -> (Vec<u8>, ErrorKind) {
        let mut bytes = Vec::new();
        let error = stream.read_to_end(&mut bytes).expect_err("a reset");
        (bytes, error.kind())
    }

    #[test]
    fn bytes_and_ends_pass_both_ways() {
        let pair = Pair::start();
        let (mut client, mut server) = pair.both();
        let long = vec![7; 100 * CHUNK];
        let sent = long.clone();
        let sender = std::thread::spawn(move || {
            client.write_all(&sent).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            client
        });
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        assert!(received == long);
        server.write_all(b"answer").unwrap();
        drop(server);
        let mut client = sender.join().unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"answer");
    }

    #[test]
    fn latency_is_one_way_and_can_be_healed() {
        let pair = Pair::start();
        let (mut client, mut server) = pair.both();
        pair.proxy.latency(Way::Up, PATIENCE);
        server.write_all(b"down").unwrap();
        assert_eq!(get(&mut client, 4), b"down");
        client.write_all(b"up").unwrap();
        assert_silent(&mut server);
        pair.proxy.latency(Way::Up, Duration::from_millis(1));
        assert_eq!(get(&mut server, 2), b"up");
        let began = std::time::Instant::now();
        pair.proxy.latency(Way::Down, QUIET);
        server.write_all(b"down").unwrap();
        assert_eq!(get(&mut client, 4), b"down");
        assert!(began.elapsed() >= QUIET);
    }

    #[test]
    fn a_black_hole_holds_bytes_and_ends_until_it_is_healed() {
        let pair = Pair::start();
        let (mut client, mut server) = pair.both();
        pair.proxy.black_hole(Way::Up);
        client.write_all(b"held").unwrap();
        assert_silent(&mut server);
        server.write_all(b"down").unwrap();
        assert_eq!(get(&mut client, 4), b"down");
        pair.proxy.black_hole(Way::Down);
        let (mut other_client, mut other_server) = pair.both();
        drop(client);
        other_server.write_all(b"held").unwrap();
        assert_silent(&mut server);
        assert_silent(&mut other_client);
        pair.proxy.heal();
        assert_eq!(get(&mut server, 4), b"held");
        assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
        assert_eq!(get(&mut other_client, 4), b"held");
    }

    #[test]
    fn a_reset_breaks_both_sides_once() {
        let pair = Pair::start();
        let (mut client, mut server) = pair.both();
        client.write_all(b"up").unwrap();
        assert_eq!(get(&mut server, 2), b"up");
        pair.proxy.reset();
        assert_eq!(get_broken(&mut client).1, ErrorKind::ConnectionReset);
        assert_eq!(get_broken(&mut server).1, ErrorKind::ConnectionReset);
        let (mut client, mut server) = pair.both();
        client.write_all(b"again").unwrap();
        assert_eq!(get(&mut server, 5), b"again");
    }

    #[test]
    fn a_cut_lets_so_many_bytes_pass_on_each_connection() {
        let pair = Pair::start();
        let (old, mut old_server) = pair.both();
        (&old).write_all(b"before").unwrap();
        assert_eq!(get(&mut old_server, 6), b"before");
        pair.proxy.cut_after(Way::Up, 3);
        let (new, new_server) = pair.both();
        for (mut client, mut server) in [(old, old_server), (new, new_server)] {
            client.write_all(b"message").unwrap();
            assert_eq!(get_broken(&mut server), (b"mes".to_vec(), ErrorKind::ConnectionReset));
            assert_eq!(get_broken(&mut client).1, ErrorKind::ConnectionReset);
        }
        pair.proxy.heal();
        let (mut client, mut server) = pair.both();
        client.write_all(b"message").unwrap();
        assert_eq!(get(&mut server, 7), b"message");
    }

    #[test]
    fn refused_clients_get_in_after_healing_and_old_connections_stay() {
        let pair = Pair::start();
        let (mut client, mut server) = pair.both();
        pair.proxy.refuse();
        let refused = Plain::connect(pair.proxy.address()).expect_err("a refusal");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        client.write_all(b"old").unwrap();
        assert_eq!(get(&mut server, 3), b"old");
        pair.proxy.heal();
        let (mut client, mut server) = pair.both();
        client.write_all(b"new").unwrap();
        assert_eq!(get(&mut server, 3), b"new");
    }

    #[test]
    fn clients_that_are_not_accepted_wait_in_silence() {
        let pair = Pair::start();
        let (_client, _server) = pair.both();
        pair.proxy.stop_accepting();
        let mut client = pair.connect();
        client.write_all(b"hello").unwrap();
        assert_silent(&mut client);
        assert_eq!((pair.proxy.connections(), pair.proxy.accepted()), (1, 1));
        pair.proxy.heal();
        let (mut server, _) = pair.listener.accept().unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(get(&mut server, 5), b"hello");
    }

    #[test]
    fn a_server_that_is_away_resets_clients() {
        let Pair { proxy, listener } = Pair::start();
        drop(listener);
        let mut client = Plain::connect(proxy.address()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(get_broken(&mut client).1, ErrorKind::ConnectionReset);
    }
}
