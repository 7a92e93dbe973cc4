//! One attempt to connect, bounded as a whole. lapin bounds neither the TCP connection nor the handshake, and it gives
//! each connection a thread that waits for the socket; so the socket is connected here, and shut when the attempt is
//! given up or the connection is broken: then that thread ends at once, whatever the peer does.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lapin::tcp::{AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties, Error, runtime};
use rota_core::sync::lock;
use tokio::time::timeout;

/// Name resolution, TCP, TLS and the AMQP handshake together.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A second handle on a connection's socket. Tells the peer nothing; shuts both directions.
#[derive(Clone, Default)]
pub(super) struct Socket {
    handle: Arc<Mutex<Option<TcpStream>>>,
}

impl Socket {
    /// Ends the connection under whoever uses it.
    pub(super) fn shut(&self) {
        let handle = lock(&self.handle).take();
        if let Some(socket) = handle {
            // Fails only if it is closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn keep(&self, socket: &impl AsFd) -> io::Result<()> {
        let second = TcpStream::from(socket.as_fd().try_clone_to_owned()?);
        *lock(&self.handle) = Some(second);
        Ok(())
    }
}

/// Connects, or says why not.
pub(super) async fn connect(
    uri: &AMQPUri,
    name: &str,
    tls: &OwnedTLSConfig,
) -> Result<(Connection, Socket), String> {
    let socket = Socket::default();
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let runtime = runtime::default_runtime().map_err(|error| error.to_string())?;
    let (kept, tls) = (socket.clone(), tls.clone());
    let connecting = Connection::connector(
        uri.clone(),
        runtime,
        async move |uri: AMQPUri, runtime| {
            let authority = &uri.authority;
            let addresses = tokio::net::lookup_host((authority.host.as_str(), authority.port)).await?;
            let addresses: Vec<SocketAddr> = addresses.collect();
            let stream = timeout(CONNECT_MAX, AsyncTcpStream::connect(&runtime, addresses)).await;
            let stream = stream.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            if let AsyncTcpStream::Plain(plain) = &stream {
                kept.keep(plain.get_ref())?;
            }
            Ok(match uri.scheme {
                AMQPScheme::AMQP => stream,
                AMQPScheme::AMQPS => stream.into_tls(&authority.host, tls.as_ref()).await?,
            })
        },
        properties,
    );
    match timeout(CONNECT_MAX, connecting).await {
        Ok(Ok(connection)) => Ok((connection, socket)),
        Ok(Err(error)) => {
            socket.shut();
            Err(words(&error))
        }
        Err(_) => {
            socket.shut();
            Err(format!("no answer within {} s", CONNECT_MAX.as_secs()))
        }
    }
}

/// An error of lapin's without the wrapping that says nothing to people.
pub(super) fn words(error: &Error) -> String {
    let text = error.to_string();
    text.strip_prefix("IO error: ").unwrap_or(&text).to_owned()
}
