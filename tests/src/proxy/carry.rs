//! The proxy's thread: takes connections and carries bytes as the faults allow. Sets no fault itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Cut, Door, Faults, Lane, PAUSE, Seen};

/// Most bytes taken at once; one chunk.
pub(super) const CHUNK: usize = 16 * 1024;

/// Serves until the proxy is dropped.
pub(super) async fn serve(
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
