//! Real sockets against a server with little room.

use std::time::Duration;

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

struct Served {
    address: SocketAddr,
    /// How many `/hold` are under way.
    holding: watch::Receiver<usize>,
    shutdown: CancellationToken,
    ended: tokio::task::JoinHandle<io::Result<()>>,
}

/// A server with `room` places: `/healthz`, `/hold` that answers nothing until shutdown, `/echo` that reads its body.
async fn serve(room: usize) -> Served {
    let shutdown = CancellationToken::new();
    let (begun, holding) = watch::channel(0);
    let held = shutdown.clone();
    let hold = move || {
        let (held, begun) = (held.clone(), begun.clone());
        async move {
            begun.send_modify(|count| *count += 1);
            held.cancelled().await;
            "held\n"
        }
    };
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/who", get(|ConnectInfo(from): ConnectInfo<SocketAddr>| async move { from.to_string() }))
        .route("/echo", post(|body: String| async move { body }))
        .route("/hold", get(hold));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket that works");
    let address = listener.local_addr().expect("a socket that works");
    let server = Server { router, transport: PlainTransport, room };
    let ended = tokio::spawn(server.run(listener, shutdown.clone()));
    Served { address, holding, shutdown, ended }
}

impl Served {
    async fn connect(&self, sent: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("a socket that works");
        stream.write_all(sent.as_bytes()).await.expect("a socket that works");
        stream
    }

    async fn get(&self, path: &str) -> String {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let mut stream = self.connect(&head).await;
        answer_of(&mut stream).await
    }
}

/// All that comes until the connection is closed.
async fn answer_of(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text)).await;
    // One that is closed while we still send is reset.
    let _ = read.expect("the connection ends");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_sent_requests_of_any_kind_leave_room_for_whole_ones() {
    let half = ["", "GET / HT", "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n1234"];
    for sent in half {
        let served = serve(8).await;
        let mut flood = Vec::new();
        for _ in 0..100 {
            flood.push(served.connect(sent).await);
        }
        for path in ["/healthz", "/who"] {
            let answer = served.get(path).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{sent:?}, {path}: {answer}");
        }
        // The oldest was closed for it.
        assert_eq!(answer_of(&mut flood[0]).await, "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_every_place_is_an_answer_under_way_probes_are_still_answered() {
    let mut served = serve(2).await;
    let mut held = Vec::new();
    for count in 1..=2 {
        held.push(served.connect("GET /hold HTTP/1.1\r\nhost: x\r\n\r\n").await);
        // Before its request is read, a connection may be closed to make room for the next one.
        let begun = tokio::time::timeout(PATIENCE, served.holding.wait_for(|begun| *begun == count)).await;
        assert!(begun.is_ok_and(|begun| begun.is_ok()), "the places fill");
    }
    assert!(served.get("/who").await.starts_with("HTTP/1.1 503"));
    assert!(served.get("/healthz").await.starts_with("HTTP/1.1 200"));
    served.shutdown.cancel();
    for stream in &mut held {
        let answer = answer_of(stream).await;
        assert!(answer.ends_with("held\n"), "what was under way is finished: {answer}");
    }
    assert!(served.ended.await.is_ok_and(|ended| ended.is_ok()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_connection_is_answered_again_and_ends_with_the_server() {
    let served = serve(2).await;
    let mut stream = served.connect("").await;
    let from = stream.local_addr().expect("a socket that works").to_string();
    for _ in 0..3 {
        stream.write_all(b"GET /who HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("a socket that works");
        let mut text = String::new();
        while !text.ends_with(&from) {
            let mut some = [0; 512];
            let count = tokio::time::timeout(PATIENCE, stream.read(&mut some))
                .await
                .expect("a socket that works")
                .expect("a socket that works");
            assert_ne!(count, 0, "closed after: {text}");
            text.push_str(&String::from_utf8_lossy(&some[..count]));
        }
    }
    served.shutdown.cancel();
    assert_eq!(answer_of(&mut stream).await, "");
    assert!(served.ended.await.is_ok_and(|ended| ended.is_ok()));
}
