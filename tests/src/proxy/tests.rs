//! The proxy between a client and a server that the tests hold in their hands.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream as Plain;

use super::carry::CHUNK;
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
