//! Replicas for the tests of the election, in this process and in processes of their own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rota_backend::{EtcdLeadership, EtcdOptions, PeerOptions};
use rota_core::id::ReplicaId;
use rota_core::port::{Leadership, Term};
use rota_tests::conformance::{until, within};
use rota_tests::services::etcd::Etcd;
use rota_tests::services::{Leashed, free_port};
use rustix::process::Signal;
use tokio::task::JoinHandle;

/// The shortest TTL that etcd grants with its defaults.
pub(crate) const TTL: Duration = Duration::from_secs(2);

/// Options without the fast path.
pub(crate) fn options(etcd: &Etcd, name: &str) -> EtcdOptions {
    EtcdOptions { ttl: TTL, ..EtcdOptions::new(etcd.endpoints(), ReplicaId::trusted(name)) }
}

/// The fast path on a free port.
pub(crate) fn peer() -> PeerOptions {
    let listen = ([127, 0, 0, 1], free_port()).into();
    PeerOptions { listen, advertise: listen.to_string() }
}

/// A replica in this process.
pub(crate) fn replica(options: EtcdOptions) -> EtcdLeadership {
    EtcdLeadership::start(options).expect("options that are good")
}

/// Campaigns until it leads.
pub(crate) async fn lead(replica: &EtcdLeadership) -> Box<dyn Term> {
    within("a term", replica.campaign()).await.expect("a campaign that goes on")
}

/// Waits until a term is trusted.
pub(crate) async fn trusted(term: &dyn Term) {
    until("trust", async || term.is_trusted().then_some(())).await;
}

/// Waits until a term is not trusted.
pub(crate) async fn doubtful(term: &dyn Term) {
    until("doubt", async || (!term.is_trusted()).then_some(())).await;
}

/// Whether a term is over by now.
pub(crate) async fn is_over(term: &dyn Term) -> bool {
    tokio::time::timeout(Duration::ZERO, term.ended()).await.is_ok()
}

/// A replica that campaigns whenever it does not lead, as the scheduler does.
pub(crate) struct Player {
    term: Arc<Mutex<Option<Arc<dyn Term>>>>,
    terms: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Player {
    /// Starts to campaign.
    pub(crate) fn start(replica: EtcdLeadership) -> Self {
        let (term, terms) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
        let (held, count) = (Arc::clone(&term), Arc::clone(&terms));
        let task = tokio::spawn(async move {
            loop {
                let won: Arc<dyn Term> =
                    Arc::from(replica.campaign().await.expect("a campaign that goes on"));
                count.fetch_add(1, Ordering::SeqCst);
                *held.lock().expect("no panic with the lock") = Some(Arc::clone(&won));
                won.ended().await;
                *held.lock().expect("no panic with the lock") = None;
                assert!(!won.is_trusted(), "a term that is over is not trusted");
            }
        });
        Self { term, terms, task }
    }

    /// Whether it leads and is trusted.
    pub(crate) fn is_trusted(&self) -> bool {
        let term = self.term.lock().expect("no panic with the lock");
        term.as_ref().is_some_and(|term| term.is_trusted())
    }

    /// How many terms it had.
    pub(crate) fn terms(&self) -> usize {
        self.terms.load(Ordering::SeqCst)
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until exactly one of the players is trusted; remembers how long two were at once.
pub(crate) async fn one_trusted(players: &[Player], both_max: &mut Duration) {
    let mut both_since: Option<Instant> = None;
    until("one trusted leader", async || {
        let trusted = players.iter().filter(|player| player.is_trusted()).count();
        both_since = if trusted > 1 { both_since.or(Some(Instant::now())) } else { None };
        *both_max = (*both_max).max(both_since.map_or(Duration::ZERO, |since| since.elapsed()));
        (trusted == 1).then_some(())
    })
    .await;
}

/// A replica in a process of its own, which can be killed and stopped.
pub(crate) struct Stray {
    process: Leashed,
    directory: tempfile::TempDir,
}

impl Stray {
    /// Starts one that campaigns once, with the fast path if there is an address for it.
    pub(crate) fn start(etcd: &Etcd, name: &str, peer: Option<&PeerOptions>) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the replica");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["etcd::lab::a_replica_in_a_process_of_its_own", "--exact", "--ignored", "--nocapture"]);
        command.env("STRAY_ETCD", etcd.endpoints().join(",")).env("STRAY_NAME", name);
        if let Some(peer) = peer {
            command.env("STRAY_PEER", &peer.advertise);
        }
        let process = Leashed::start(&command, &directory.path().join("log"));
        Self { process, directory }
    }

    /// Waits until it has said this.
    pub(crate) async fn says(&self, what: &str) {
        until(what, async || self.said().lines().any(|line| line == format!("@{what}")).then_some(())).await;
    }

    /// Everything it said.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    pub(crate) fn pause(&self) {
        self.process.signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.process.signal(Signal::CONT);
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

/// Campaigns once and says what becomes of its term.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "not a claim: other tests start it as a process"]
async fn a_replica_in_a_process_of_its_own() {
    let given = |name: &str| std::env::var(name).ok();
    let endpoints = given("STRAY_ETCD").expect("STRAY_ETCD: this is started by other tests only");
    let endpoints = endpoints.split(',').map(str::to_owned).collect();
    let name = ReplicaId::trusted(given("STRAY_NAME").expect("STRAY_NAME"));
    let peer = given("STRAY_PEER").map(|address| PeerOptions {
        listen: address.parse().expect("STRAY_PEER is an address"),
        advertise: address,
    });
    let term = lead(&replica(EtcdOptions { ttl: TTL, peer, ..EtcdOptions::new(endpoints, name) })).await;
    println!("\n@leads");
    term.ended().await;
    println!("\n@{}", if term.is_trusted() { "ended but trusted" } else { "ended" });
}
