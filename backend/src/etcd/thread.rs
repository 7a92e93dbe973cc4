//! The thread that an election runs on, and what runs there. Ends by itself when nobody can campaign and nobody leads.

use std::time::Duration;

use rota_core::port::LeadershipError;
use rota_kit::host::host_name;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};

use super::connection::EtcdConnection;
use super::election::{CampaignRequest, Election};
use super::key_observer::{KeyObserver, LeaderKeyView};
use super::leader_key::{LeaderKey, LeaderRecord};
use super::lease::{LeaseTask, LeaseView};
use super::options::EtcdOptions;
use super::standby_link::LeaderProbe;
use super::{EtcdLeadership, NOT_YET, Question, peer};
use crate::Link;

/// Campaigns and questions that may wait; more callers wait to be let in.
const WAITING_MAX: usize = 16;
/// Orders to the lease's keeper that may wait; the election gives one at a time.
const ORDERS_MAX: usize = 4;

/// What the thread is started with.
struct ThreadParts {
    options: EtcdOptions,
    listener: Option<std::net::TcpListener>,
    campaigns: mpsc::Receiver<CampaignRequest>,
    questions: mpsc::Receiver<Question>,
    link: watch::Sender<Link>,
}

/// See [`EtcdLeadership::start`].
pub(super) fn start(options: EtcdOptions) -> Result<EtcdLeadership, LeadershipError> {
    let listener = options.peer.as_ref().map(peer::bind).transpose()?;
    let (campaigns, campaigns_in) = mpsc::channel(WAITING_MAX);
    let (questions, questions_in) = mpsc::channel(WAITING_MAX);
    let (link, link_out) = watch::channel(Link::Down(NOT_YET.to_owned()));
    let parts = ThreadParts { options, listener, campaigns: campaigns_in, questions: questions_in, link };
    let (told, tells) = std::sync::mpsc::sync_channel(1);
    let run = move || {
        let (runtime, connection) = match begin(&parts.options) {
            Ok(begun) => begun,
            Err(error) => return drop(told.send(Err(error))),
        };
        // Whoever started this waits for the word.
        let _ = told.send(Ok(()));
        runtime.block_on(parts.run(connection));
    };
    let thread = std::thread::Builder::new().name("rota-etcd".to_owned()).spawn(run);
    thread.map_err(|error| LeadershipError(format!("cannot start the election's thread: {error}")))?;
    tells.recv().map_err(|_| super::gone())??;
    Ok(EtcdLeadership { campaigns, questions, link: link_out })
}

fn begin(options: &EtcdOptions) -> Result<(Runtime, EtcdConnection), LeadershipError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| LeadershipError(format!("cannot start the election's runtime: {error}")))?;
    let connection = runtime.block_on(EtcdConnection::new(options))?;
    Ok((runtime, connection))
}

impl ThreadParts {
    /// Runs all parts until the election is over and the lease is given up. A part that panics ends them all, and with
    /// them every term.
    async fn run(self, connection: EtcdConnection) {
        let Self { options, listener, campaigns, questions, link } = self;
        let listener = listener.map(|listener| TcpListener::from_std(listener).expect("a bound listener"));
        let me = LeaderRecord {
            replica: options.replica.clone(),
            host: host_name(),
            pid: std::process::id(),
            peer: options.peer.as_ref().map(|peer| peer.advertise.clone()),
            lease: String::new(),
        };
        // The lease has a connection of its own: nothing may stand in its way.
        let lease_connection = connection.another();
        let leader_key = LeaderKey::new(connection, options.prefix.clone(), me);
        let (view, views) = watch::channel(LeaderKeyView::default());
        let (lease_view, leases) = watch::channel(LeaseView::default());
        let (orders, orders_in) = mpsc::channel(ORDERS_MAX);
        let is_standing = watch::Sender::new(false);
        let leads_on = watch::Sender::new(None);
        let ttl = Duration::from_secs(options.ttl_s().unsigned_abs());
        let keeper =
            LeaseTask::new(leader_key.over(lease_connection), options.ttl_s(), orders_in, lease_view);
        let observer = KeyObserver::new(leader_key.clone(), ttl, view, link);
        let probe = LeaderProbe::new(leader_key.clone(), views.clone(), is_standing.subscribe());
        let listening = peer::listen(listener, leads_on.subscribe());
        let answering = answer(leader_key.clone(), questions);
        let election = Election { leader_key, campaigns, orders, leases, views, is_standing, leads_on };
        tokio::select! {
            ((), ()) = async { tokio::join!(election.run(), keeper.run()) } => {}
            () = observer.run() => {}
            () = probe.run() => {}
            () = listening => {}
            () = answering => {}
        }
    }
}

/// Answers questions for the list of replicas; waits for ever once nobody can ask.
async fn answer(leader_key: LeaderKey, mut questions: mpsc::Receiver<Question>) {
    while let Some(question) = questions.recv().await {
        let replicas = leader_key.replicas().await;
        // Whoever asked may have stopped waiting.
        let _ = question.send(replicas.map_err(|error| LeadershipError(error.to_string())));
    }
    std::future::pending().await
}
