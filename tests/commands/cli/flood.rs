//! Clients that send half a request and wait, against a real server.

use std::io::{Read, Write};
use std::net::TcpStream;

use rota_tests::lab::PATIENCE;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::Server;

/// More than the descriptors that a process usually may have.
const CLIENTS: usize = 1100;

fn answer(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a server that answers");
    stream.set_read_timeout(Some(PATIENCE)).expect("a server that answers");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
        .expect("a server that answers");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("a server that answers");
    text
}

#[test]
fn half_sent_requests_take_nothing_from_probes_pages_and_tasks() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("a server that answers");
    let server = Server::start(&[("t.yaml", "tasks: {a: {run: 'for i in 1 2 3; do /bin/true; done'}}\n")]);
    let url = server.url();
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    for half in [
        "",
        "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n",
        "POST /login HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\n\r\n1",
    ] {
        let mut flood = Vec::new();
        for _ in 0..CLIENTS {
            let mut stream = TcpStream::connect(address).expect("a server that answers");
            // The server may have closed it already to make room.
            let _closed = stream.write_all(half.as_bytes());
            flood.push(stream);
        }
        for probe in ["/healthz", "/readyz", "/login"] {
            let said = answer(address, probe);
            assert!(said.starts_with("HTTP/1.1 200"), "{half:?}, {probe}: {said}");
        }
        let end = server.rota(&["dag", "trigger", "t", "--wait"]).finish();
        assert_eq!(end.code, 0, "{half:?}: {end:?}");
        let open =
            std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("a server that answers").count();
        assert!(open < CLIENTS, "{open} descriptors are open");
        // The first one does not wait for ever: it was closed to make room, or was answered and is closed.
        flood[0].set_read_timeout(Some(PATIENCE)).expect("a server that answers");
        let ended = flood[0].read_to_end(&mut Vec::new());
        let is_reset = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(ended.is_ok() || ended.as_ref().is_err_and(is_reset), "{half:?}: {ended:?}");
    }
}
