//! A connection to one member of etcd at a time. After a failure the next call goes to the next member with a fresh
//! client: an old one may hold a dead connection, a stale token or a stream that never answers. Every call has a limit.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, Error};
use rota_core::port::LeadershipError;
use tokio::time::timeout;

use super::backoff::random;
use super::error::EtcdError;
use super::options::{EtcdOptions, TlsMode};

/// How long a call to one member may take.
pub(super) const CALL_MAX: Duration = Duration::from_secs(1);

/// Shared by those who talk over the same connection.
#[derive(Clone)]
pub(super) struct EtcdConnection {
    shared: Arc<SharedConnection>,
}

struct SharedConnection {
    members: Vec<(String, ConnectOptions)>,
    slot: Mutex<ClientSlot>,
}

/// The client in use.
struct ClientSlot {
    client: Option<Client>,
    /// Which client it is: it says which member it goes to, and a failure is only held against the one that had it.
    serial: usize,
}

impl EtcdConnection {
    /// One that connects when it is used. Fails for options that cannot work; must run inside a runtime.
    pub(super) async fn new(options: &EtcdOptions) -> Result<Self, LeadershipError> {
        let mut members = Vec::new();
        for endpoint in options.endpoints_checked()? {
            let tls = if endpoint.starts_with("https://") { TlsMode::On } else { TlsMode::Off };
            let connect = options.connect_options(tls)?;
            // Without a user this reads the certificates and the address, and connects nowhere yet.
            let tried = Client::connect([endpoint.as_str()], Some(connect.clone())).await;
            tried.map_err(|error| LeadershipError(EtcdError::from(error).at(&endpoint).to_string()))?;
            members.push((endpoint, options.with_user(connect)));
        }
        Ok(Self::to(members))
    }

    /// Another one to the same members.
    pub(super) fn another(&self) -> Self {
        Self::to(self.shared.members.clone())
    }

    /// Starts at any member, so that replicas do not all lean on the first.
    fn to(members: Vec<(String, ConnectOptions)>) -> Self {
        let slot = ClientSlot { client: None, serial: usize::from(random()) };
        Self { shared: Arc::new(SharedConnection { members, slot: Mutex::new(slot) }) }
    }

    /// Calls, at each member in turn until one answers, at most `limit` at each.
    pub(super) async fn call<T, F>(&self, limit: Duration, op: impl Fn(Client) -> F) -> Result<T, EtcdError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut last = EtcdError::Away("no member is known".to_owned());
        for _ in &self.shared.members {
            match self.call_once(limit, &op).await {
                Err(error @ (EtcdError::Away(_) | EtcdError::Refused(_))) => last = error,
                settled => return settled,
            }
        }
        Err(last)
    }

    /// Hangs up: the next call goes to the next member.
    pub(super) fn hang_up(&self) {
        let serial = self.slot().serial;
        self.failed(serial);
    }

    async fn call_once<T, F>(&self, limit: Duration, op: impl Fn(Client) -> F) -> Result<T, EtcdError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let serial = self.slot().serial;
        let (endpoint, connect) = &self.shared.members[serial % self.shared.members.len()];
        let attempt = async {
            let held = self.slot().client.clone();
            let client = match held {
                Some(client) => client,
                None => {
                    let client = Client::connect([endpoint.as_str()], Some(connect.clone())).await?;
                    self.keep(serial, client)
                }
            };
            op(client).await
        };
        let error = match timeout(limit, attempt).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => EtcdError::from(error),
            Err(_) => EtcdError::Away(format!("no answer within {} ms", limit.as_millis())),
        };
        if error != EtcdError::NoLease {
            self.failed(serial);
        }
        Err(error.at(endpoint))
    }

    /// Keeps a client for later calls, unless somebody else has moved on meanwhile.
    fn keep(&self, serial: usize, client: Client) -> Client {
        let mut slot = self.slot();
        if slot.serial == serial { slot.client.get_or_insert(client).clone() } else { client }
    }

    fn failed(&self, serial: usize) {
        let mut slot = self.slot();
        if slot.serial == serial {
            *slot = ClientSlot { client: None, serial: serial.wrapping_add(1) };
        }
    }

    fn slot(&self) -> MutexGuard<'_, ClientSlot> {
        self.shared.slot.lock().expect("nobody panics while holding the slot")
    }
}
