//! Leadership by an election in etcd. One key under a prefix, put on a lease by a transaction that expects it to be
//! absent; standbys watch it go and try to put it themselves.
//!
//! - `connection` has limits on every call; `error` says what its errors mean; `backoff` how fast to try again.
//! - `leader_key` reads and writes the key; `lease` keeps the lease it hangs on; `key_observer` follows what happens to the key.
//! - `election` puts these together into campaigns and terms; `term` is what the scheduler holds.
//! - `peer` and `probe` are the fast path: standbys notice a killed leader by its closed connections.
//!
//! All of it runs on a thread of its own with its own runtime, so that a busy scheduler does not lose its lease. It
//! decides who tries to lead and never what is true: two replicas may well believe that they lead for a moment, and the
//! store's epoch lets only one of them write. That is also why a leader without etcd goes on: while nobody else has begun
//! a term in the store, its writes are good. [`Term::is_trusted`](rota_core::port::Term::is_trusted) says no meanwhile.

mod backoff;
mod connection;
mod election;
mod error;
mod key_observer;
mod leader_key;
mod lease;
mod options;
mod peer;
mod standby_link;
mod term;
mod thread;

use std::time::Duration;

use async_trait::async_trait;
use rota_core::id::ReplicaId;
use rota_core::port::{Leadership, LeadershipError, Term};
use tokio::sync::{mpsc, oneshot, watch};

use self::election::CampaignRequest;
pub use self::options::{EtcdOptions, EtcdTls, PeerOptions};
use crate::Link;

/// How long a connection may go without asking for anything, see [`options`].
const QUIET_MAX: Duration = Duration::from_secs(2);
/// How long giving up a lease may take. What is not given up by then runs out.
const RELEASE_MAX: Duration = Duration::from_millis(500);
/// The link's state before the first answer.
const NOT_YET: &str = "no answer from etcd yet";

/// A question for the list of replicas.
type Question = oneshot::Sender<Result<Vec<ReplicaId>, LeadershipError>>;

/// One replica's part in an election. Clones are the same replica: they campaign one after another. When the last
/// clone and the last term are dropped, its lease is given up and its thread ends.
#[derive(Debug, Clone)]
pub struct EtcdLeadership {
    campaigns: mpsc::Sender<CampaignRequest>,
    questions: mpsc::Sender<Question>,
    link: watch::Receiver<Link>,
}

impl EtcdLeadership {
    /// Starts the replica's thread, which connects in the background.
    ///
    /// # Errors
    /// For options that cannot work: no or wrong endpoints, unreadable certificates, an address that is taken. An etcd
    /// that does not answer is no error, see [`EtcdLeadership::link`].
    pub fn start(options: EtcdOptions) -> Result<Self, LeadershipError> {
        thread::start(options)
    }

    /// Follows whether etcd answers.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }
}

#[async_trait]
impl Leadership for EtcdLeadership {
    /// Waits for the seat, also through times without etcd. Dropping this gives back what it may have won.
    ///
    /// # Errors
    /// When a person must mend something: etcd refuses the user, the certificates, or any write.
    async fn campaign(&self) -> Result<Box<dyn Term>, LeadershipError> {
        let (request, term) = oneshot::channel();
        self.campaigns.send(request).await.map_err(|_| gone())?;
        term.await.map_err(|_| gone())?
    }

    /// Replicas that campaign or lead, and some that died less than a TTL ago.
    ///
    /// # Errors
    /// When etcd does not answer.
    async fn participants(&self) -> Result<Vec<ReplicaId>, LeadershipError> {
        let (question, answer) = oneshot::channel();
        self.questions.send(question).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn gone() -> LeadershipError {
    LeadershipError("the election's thread has ended".to_owned())
}
