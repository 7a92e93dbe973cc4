//! The process from its first loop to its last.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rota_backend::{DataDir, InProcessBroker, SoloLeadership, SqliteStore, SystemClock};
use rota_core::id::ReplicaId;
use rota_core::port::StoreError;
use rota_scheduler::Status;
use rota_web::{Certificate, ProcessHealth, Web};
use rota_worker::{Account, Limits, WorkerHandle};
use tokio::sync::watch;

use super::address_file::AddressFile;
use super::banner::Banner;
use crate::failure::{CommandResult, Failure};
use crate::process::leading::follow_scheduler;
use crate::process::life::ProcessLife;
use crate::process::zone;
use crate::supervisor::{self, Supervisor, worker_degraded, worker_options};

/// What to do about a file that is damaged.
const DAMAGED: &str = "put a backup in its place (without rota.db-wal and rota.db-shm), or save what can be read with \
                       `sqlite3 rota.db .recover`; docs/cli.md says how";

/// A process that is ready to start: everything that can be refused has been checked.
pub(super) struct StandaloneSetup {
    /// The admin token.
    pub(super) token: String,
    /// Where the dashboard listens.
    pub(super) listener: TcpListener,
    /// Names by which it is reached.
    pub(super) hosts: Vec<String>,
    /// The DAG directory, absolute.
    pub(super) dags: PathBuf,
    /// Processes at a time.
    pub(super) slots: Option<u32>,
    /// Whom tasks run as, if not as this process does.
    pub(super) run_as: Option<Account>,
    /// What each process of a task may use.
    pub(super) limits: Limits,
    /// With what the dashboard speaks TLS.
    pub(super) certificate: Option<Certificate>,
    /// Whether people reach it through TLS.
    pub(super) tls: bool,
    /// The data directory, held.
    pub(super) data: DataDir,
}

/// Runs until a signal, or until a loop ends by itself.
pub(super) async fn run(setup: StandaloneSetup) -> CommandResult {
    let mut life = ProcessLife::begin()?;
    let data = setup.data.path().to_owned();
    let mut process = StandaloneProcess::start(setup).await?;
    process.address.write(&data)?;
    process.greet(&data).await;
    let outcome = life.until_told(&mut process.supervisor).await;
    if outcome.is_ok() {
        crate::output::note("stopping: running tasks get their grace time, a second Ctrl-C does not wait");
    }
    AddressFile::remove(&data);
    let stopped = "stopped at once; what was running is taken up at the next start";
    life.end(process.supervisor, outcome, stopped).await
}

struct StandaloneProcess {
    supervisor: Supervisor,
    address: AddressFile,
    link: String,
    dags: PathBuf,
    slots: u32,
    _data: DataDir,
}

impl StandaloneProcess {
    async fn start(setup: StandaloneSetup) -> anyhow::Result<Self> {
        let file = setup.data.path().join("rota.db");
        let store = Arc::new(
            SqliteStore::open(&file, Arc::new(SystemClock)).await.map_err(|error| unusable(&file, &error))?,
        );
        let broker = Arc::new(InProcessBroker::new());
        let listen = setup.listener.local_addr()?;
        let state_dir = setup.data.path().join("worker");
        let mut worker = worker_options("standalone", state_dir, setup.dags.clone(), setup.slots);
        (worker.run_as, worker.limits) = (setup.run_as, setup.limits);
        let slots = worker.slots;
        let replica = ReplicaId::trusted("standalone");
        let mut supervisor = Supervisor::start(supervisor::LoopPorts {
            plans: store.clone(),
            facts: store.clone(),
            broker: broker.clone(),
            leadership: Arc::new(SoloLeadership::new(replica.clone())),
            clock: Arc::new(SystemClock),
            replica,
            scan: Some(setup.dags.clone()),
            worker,
        })?;
        let damaged = Arc::clone(&store);
        supervisor.stop_if_damaged(
            file.display().to_string(),
            DAMAGED,
            async move { damaged.damaged().await },
        );
        let url = match (&setup.certificate, setup.hosts.first()) {
            // A certificate is for a name.
            (Some(_), Some(host)) => format!("https://{host}:{}", listen.port()),
            (Some(_), None) => local_url("https", listen),
            (None, _) => local_url("http", listen),
        };
        let options = rota_web::Options {
            listen,
            place: "standalone".to_owned(),
            timezone: zone(),
            admin_token: setup.token,
            hosts: setup.hosts,
            tls: setup.tls,
            certificate: setup.certificate,
        };
        let process_health = process_health(&supervisor);
        let ports = rota_web::Ports { store, broker, clock: Arc::new(SystemClock), process_health };
        let web = Web::new(options, ports)?;
        let link = web.login_link();
        let listener = tokio::net::TcpListener::from_std(setup.listener)?;
        let shutdown = supervisor.shutdown();
        supervisor.add("the dashboard", async move { Ok(web.run(listener, shutdown).await?) });
        let address = AddressFile { url, pid: std::process::id() };
        Ok(Self { supervisor, slots, address, link, dags: setup.dags, _data: setup.data })
    }

    async fn greet(&self, data: &std::path::Path) {
        let banner = Banner { dags: &self.dags, data, link: &self.link, slots: self.slots };
        banner.print(self.supervisor.status()).await;
    }
}

/// Where commands on this machine reach it: an address for all interfaces is reached by loopback.
fn local_url(scheme: &str, listen: std::net::SocketAddr) -> String {
    let mut local = listen;
    if local.ip().is_unspecified() {
        local.set_ip(match local {
            std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("{scheme}://{local}")
}

fn unusable(file: &Path, error: &StoreError) -> Failure {
    let failure = Failure::failed(error.to_string()).at(file.display().to_string());
    match error {
        StoreError::Damaged(_) => failure.help(DAMAGED),
        _ => failure,
    }
}

/// Whether this process leads and does its part, for health pages.
fn process_health(supervisor: &Supervisor) -> watch::Receiver<ProcessHealth> {
    let (sender, receiver) = watch::channel(ProcessHealth::default());
    let worker = supervisor.worker();
    let tell = move |status: &Status, troubles| {
        let trouble = worker.as_ref().and_then(WorkerHandle::trouble);
        let degraded = trouble.map(|why| format!("degraded: {}", worker_degraded(&why)));
        sender.send_modify(|process_health| {
            (process_health.leads, process_health.troubles) = (status.epoch.is_some(), troubles);
            process_health.degraded = degraded.into_iter().collect();
        });
    };
    tokio::spawn(follow_scheduler(supervisor.status(), supervisor.turns(), supervisor.shutdown(), tell));
    receiver
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn an_address_for_all_interfaces_is_reached_by_loopback() {
        assert_eq!(local_url("http", SocketAddr::from(([0, 0, 0, 0], 80))), "http://127.0.0.1:80");
        assert_eq!(local_url("https", SocketAddr::from(([10, 0, 0, 7], 80))), "https://10.0.0.7:80");
    }
}
