//! The leader's side of the fast path: takes connections from standbys, says which lease it leads on, and keeps quiet.
//!
//! A connection gets one line, `rota leader <lease>`, then an empty line each second, only so that gone standbys are
//! noticed. It ends when this process does (the kernel closes it at once), when the lease changes, or when the term is over.
//! Who asks while this replica does not lead is turned away. Nothing that a standby sends is read.

use std::sync::Arc;
use std::time::Duration;

use rota_core::port::LeadershipError;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::options::PeerOptions;

/// Most standbys connected at a time.
const STANDBYS_MAX: usize = 64;
/// Between two empty lines.
const PING: Duration = Duration::from_secs(1);
/// How long a line may take to be sent.
const SEND_MAX: Duration = Duration::from_secs(1);

/// Binds the address, before anything else runs.
pub(super) fn bind(options: &PeerOptions) -> Result<std::net::TcpListener, LeadershipError> {
    let bind = || {
        let listener = std::net::TcpListener::bind(options.listen)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|error: std::io::Error| {
        LeadershipError(format!("cannot listen on {} for other schedulers: {error}", options.listen))
    })
}

/// Takes connections until it is dropped. Without a listener there is nothing to do.
pub(super) async fn listen(listener: Option<TcpListener>, leads_on: watch::Receiver<Option<i64>>) {
    let Some(listener) = listener else { return std::future::pending().await };
    let places = Arc::new(Semaphore::new(STANDBYS_MAX));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let lease = *leads_on.borrow();
                if let (Some(lease), Ok(place)) = (lease, Arc::clone(&places).try_acquire_owned()) {
                    let leads_on = leads_on.clone();
                    tokio::spawn(async move {
                        serve(stream, lease, leads_on).await;
                        drop(place);
                    });
                }
            }
            Err(error) => {
                tracing::debug!("a connection of a standby was not accepted: {error}");
                sleep(PING).await;
            }
        }
    }
}

/// Holds one connection while the lease stays the same.
async fn serve(mut stream: TcpStream, lease: i64, mut leads_on: watch::Receiver<Option<i64>>) {
    let talk = async {
        let mut line = format!("{}{lease:x}\n", super::standby_link::GREETING);
        while matches!(timeout(SEND_MAX, stream.write_all(line.as_bytes())).await, Ok(Ok(()))) {
            line = "\n".to_owned();
            sleep(PING).await;
        }
    };
    tokio::select! {
        () = talk => {}
        _ = leads_on.wait_for(|leads_on| *leads_on != Some(lease)) => {}
    }
}
