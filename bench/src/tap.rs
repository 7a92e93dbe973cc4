//! Counts round trips to Postgres: a relay that carries bytes both ways and counts the server's `ReadyForQuery` messages,
//! of which it sends one when it has answered all that was asked
//! (PostgreSQL documentation, "Frontend/Backend Protocol", message flow and formats).

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What a client sends first when it would like TLS; the answer is one byte and no message.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
/// The code of `ReadyForQuery`.
const READY: u8 = b'Z';
/// A message's code and length.
const HEADER: usize = 5;

/// See the module's text. Ends when dropped.
#[derive(Debug)]
pub(crate) struct Tap {
    port: u16,
    count: Arc<AtomicU64>,
    relay: JoinHandle<()>,
}

impl Tap {
    /// A relay to a port of this machine.
    pub(crate) async fn start(to: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen")?;
        let (port, count) = (listener.local_addr()?.port(), Arc::new(AtomicU64::new(0)));
        let counter = Arc::clone(&count);
        let relay = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, to, Arc::clone(&counter)));
            }
        });
        Ok(Self { port, count, relay })
    }

    /// Where clients connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Round trips until now.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

/// A connection's life. An error ends it, which its client finds out for itself.
async fn carry(client: TcpStream, to: u16, count: Arc<AtomicU64>) -> std::io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let mut first = [0; SSL_REQUEST.len()];
    from_client.read_exact(&mut first).await?;
    to_server.write_all(&first).await?;
    let mut messages = Messages { skip: usize::from(first == SSL_REQUEST), ..Messages::default() };
    let answers = tokio::spawn(async move { answer(from_server, to_client, &mut messages, &count).await });
    tokio::io::copy(&mut from_client, &mut to_server).await?;
    to_server.shutdown().await?;
    answers.await?
}

async fn answer(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    messages: &mut Messages,
    count: &AtomicU64,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        count.fetch_add(messages.ready(&buffer[..length]), Ordering::Relaxed);
        to.write_all(&buffer[..length]).await?;
    }
}

/// Where the server's stream is in its messages.
#[derive(Debug, Default)]
struct Messages {
    /// Bytes of the current message that are still to come.
    skip: usize,
    /// The beginning of the next one's header.
    header: Vec<u8>,
}

impl Messages {
    /// How many `ReadyForQuery` begin in `bytes`.
    fn ready(&mut self, mut bytes: &[u8]) -> u64 {
        let mut count = 0;
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            (self.skip, bytes) = (self.skip - skipped, &bytes[skipped..]);
            let taken = (HEADER - self.header.len()).min(bytes.len());
            self.header.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if let [code, a, b, c, d] = self.header[..] {
                count += u64::from(code == READY);
                // The length counts itself, not the code.
                self.skip = (u32::from_be_bytes([a, b, c, d]) as usize).saturating_sub(4);
                self.header.clear();
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_wherever_the_stream_is_cut() {
        // The refusal of TLS, a row with a Z in it, and two ends of answers.
        let mut stream = vec![b'N'];
        stream.extend(b"D\0\0\0\x08ZZZZ");
        stream.extend(b"Z\0\0\0\x05I");
        stream.extend(b"C\0\0\0\x04Z\0\0\0\x05T");
        for size in 1..=stream.len() {
            let mut messages = Messages { skip: 1, ..Messages::default() };
            let count: u64 = stream.chunks(size).map(|bytes| messages.ready(bytes)).sum();
            assert_eq!(count, 2, "in pieces of {size}");
        }
    }
}
