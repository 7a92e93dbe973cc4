//! One process of a cluster, from its listener to its last loop. The probes answer until everything else has ended: a worker
//! that finishes long tasks is alive, and says that it stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rota_backend::{DataDir, EtcdLeadership, EtcdOptions, PostgresStore, RabbitBroker, SystemClock};
use rota_core::port::WorkerState;
use rota_scheduler::{Scheduler, Status, Turns};
use rota_web::{ProbeServer, ProcessHealth, Web};
use rota_worker::{Worker, WorkerHandle, WorkerPorts};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::keys;
use super::roles::Role;
use super::service_watch::{self, WatchedServices};
use super::services::ServiceOptions;
use crate::failure::{CommandResult, Failure};
use crate::process::leading::follow_scheduler;
use crate::process::life::{ProcessLife, run_to_end};
use crate::process::listen;
use crate::supervisor::{Supervisor, worker_degraded};

/// What to do about a database that is damaged.
const DAMAGED: &str =
    "its server's log names what is damaged: mend that, or restore a backup as docs/deploy/README.md says";
/// How often a worker's gauges are read.
const GAUGES: Duration = Duration::from_secs(2);

/// A process that is ready to start: everything that can be refused has been checked.
pub(super) struct CheckedProcess {
    /// What it is.
    pub(super) role: Role,
    /// Its name.
    pub(super) name: String,
    /// Its services.
    pub(super) places: ServiceOptions,
    /// Where its probes, or its dashboard, listen.
    pub(super) listen: SocketAddr,
}

/// Runs it until a signal, or until a loop ends by itself.
pub(super) fn run(setup: CheckedProcess) -> CommandResult {
    // Two workers in one directory would end each other's tasks.
    let _held = match &setup.role {
        Role::Worker(options) => {
            Some(DataDir::acquire(&options.state_dir).map_err(|error| Failure::failed(error.to_string()))?)
        }
        Role::Scheduler(_) | Role::Web(_) => None,
    };
    let listener = listen::bind(setup.listen)?;
    run_to_end(live(setup, listener))
}

async fn live(setup: CheckedProcess, listener: std::net::TcpListener) -> CommandResult {
    let mut life = ProcessLife::begin()?;
    let (word, name) = (setup.role.word(), setup.name.clone());
    let listener = TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    tracing::info!("rota {} {word} {name}: probes on http://{address}", env!("CARGO_PKG_VERSION"));
    let mut supervisor = start(setup, listener)?;
    let outcome = life.until_told(&mut supervisor).await;
    if outcome.is_ok() {
        tracing::info!("{word} {name} stops; a second signal does not wait");
    }
    life.end(supervisor, outcome, "stopped at once; what was running is taken up by others").await
}

fn start(setup: CheckedProcess, listener: TcpListener) -> anyhow::Result<Supervisor> {
    let CheckedProcess { role, places, .. } = setup;
    let store = PostgresStore::new(places.database);
    let broker = RabbitBroker::start(places.broker).map_err(|error| Failure::usage(error.0))?;
    let election = places.election.map(take_part).transpose()?;
    let waits = vec!["waits for its first look at its services".to_owned()];
    let process_health = watch::Sender::new(ProcessHealth { waits, ..ProcessHealth::default() });
    let (store_is_up, is_up) = watch::channel(false);
    let watched = WatchedServices {
        store: store.clone(),
        broker: broker.link(),
        election: election.as_ref().map(EtcdLeadership::link),
        store_is_up,
    };
    let mut supervisor = Supervisor::none();
    let (told, shutdown) = (process_health.clone(), supervisor.shutdown());
    supervisor.add("the look at the services", async move {
        Ok(service_watch::watch(watched, told, shutdown).await?)
    });
    let damaged = store.clone();
    supervisor.stop_if_damaged("postgres".to_owned(), DAMAGED, async move { damaged.damaged().await });
    let broker = Arc::new(broker);
    let part = RoleParts { process_health, is_up, ended: CancellationToken::new() };
    match role {
        Role::Scheduler(options) => {
            part.probes(&mut supervisor, listener);
            let leadership = Arc::new(election.context("a scheduler takes part in the election")?);
            let ports = rota_scheduler::Ports { plans: Arc::new(store.for_leader()), broker, leadership };
            part.scheduler(&mut supervisor, Scheduler::new(*options, ports));
        }
        Role::Worker(options) => {
            part.probes(&mut supervisor, listener);
            let slots = options.slots;
            let ports =
                WorkerPorts { facts: Arc::new(store.for_worker()), broker, clock: Arc::new(SystemClock) };
            part.worker(&mut supervisor, Worker::new(*options, ports)?, slots);
        }
        Role::Web(mut options) => {
            options.listen = listener.local_addr()?;
            let process_health = part.process_health.subscribe();
            let ports = rota_web::Ports {
                store: Arc::new(store),
                broker,
                clock: Arc::new(SystemClock),
                process_health,
            };
            let web = Web::new(*options, ports)?;
            crate::output::note(&format!("dashboard: {}", web.login_link()));
            let shutdown = supervisor.shutdown();
            supervisor.add("the dashboard", async move { Ok(web.run(listener, shutdown).await?) });
        }
    }
    Ok(supervisor)
}

/// Joins the election. What can go wrong now is the address that the other schedulers connect to.
fn take_part(options: EtcdOptions) -> Result<EtcdLeadership, Failure> {
    EtcdLeadership::start(options).map_err(|error| {
        Failure::failed(error.0)
            .at(format!("{} or {}", keys::PEER_LISTEN.variable, "--peer-listen"))
            .help("give each scheduler of a machine an address of its own, or `off` to do without the fast fail-over")
    })
}

/// What the loops of a role share.
struct RoleParts {
    process_health: watch::Sender<ProcessHealth>,
    is_up: watch::Receiver<bool>,
    /// Cancelled when the role has done its last.
    ended: CancellationToken,
}

impl RoleParts {
    fn probes(&self, supervisor: &mut Supervisor, listener: TcpListener) {
        let (health, ended) = (ProbeServer::new(self.process_health.subscribe()), self.ended.clone());
        supervisor.add("the probes", async move { Ok(health.run(listener, ended).await?) });
    }

    fn scheduler(self, supervisor: &mut Supervisor, scheduler: Scheduler) {
        let Self { process_health, is_up, ended } = self;
        let (status, turns, until) = (scheduler.status(), scheduler.turns(), ended.clone());
        supervisor.add("the scheduler's state", async move {
            tell_scheduler(status, turns, process_health, until).await;
            Ok(())
        });
        let shutdown = supervisor.shutdown();
        let ends = ended.drop_guard();
        supervisor.add("the scheduler", async move {
            if store_is_there(is_up, &shutdown).await {
                scheduler.run(shutdown).await;
            }
            drop(ends);
            Ok(())
        });
    }

    fn worker(self, supervisor: &mut Supervisor, worker: Worker, slots: u32) {
        let Self { process_health, is_up, ended } = self;
        let (handle, until) = (worker.handle(), ended.clone());
        supervisor.add("the worker's state", async move {
            tell_worker(handle, slots, process_health, until).await;
            Ok(())
        });
        let shutdown = supervisor.shutdown();
        let ends = ended.drop_guard();
        supervisor.add("the worker", async move {
            if store_is_there(is_up, &shutdown).await {
                worker.run(shutdown).await?;
            }
            drop(ends);
            Ok(())
        });
    }
}

/// Keeps what the probes tell in step with a scheduler, until it has ended.
async fn tell_scheduler(
    status: watch::Receiver<Status>,
    turns: Turns,
    process_health: watch::Sender<ProcessHealth>,
    ended: CancellationToken,
) {
    let tell = |status: &Status, troubles| {
        process_health.send_modify(|process_health| {
            process_health.leads = status.epoch.is_some();
            process_health.troubles = troubles;
            process_health.gauges = gauges(status);
        });
    };
    follow_scheduler(status, turns, ended.clone(), tell).await;
    process_health
        .send_modify(|process_health| (process_health.leads, process_health.troubles) = (false, Vec::new()));
    ended.cancelled().await;
}

fn gauges(status: &Status) -> Vec<(&'static str, &'static str, i64)> {
    let epoch = status.epoch.map_or(0, |epoch| epoch.0);
    vec![
        ("rota_leader_epoch", "The epoch it leads under; 0 while it stands by", epoch),
        ("rota_leader_doubtful", "1 while it leads without reaching etcd", i64::from(status.is_doubtful)),
        ("rota_files_broken", "DAG files that cannot be used", count(status.broken.len())),
        ("rota_files_behind", "DAG files older than what the store has", count(status.behind.len())),
    ]
}

/// The same with a worker.
async fn tell_worker(
    handle: WorkerHandle,
    slots: u32,
    process_health: watch::Sender<ProcessHealth>,
    ended: CancellationToken,
) {
    while !ended.is_cancelled() {
        let status = handle.status();
        let is_draining = status.state == WorkerState::Draining;
        let trouble = handle.trouble();
        let is_degraded = trouble.is_some();
        process_health.send_modify(|process_health| {
            process_health.troubles =
                trouble.iter().map(|why| format!("degraded, {}", worker_degraded(why))).collect();
            process_health.gauges = vec![
                ("rota_worker_slots", "Processes that it runs at a time", i64::from(slots)),
                ("rota_worker_running", "Attempts that it runs now", count(status.running)),
                ("rota_worker_draining", "1 if it claims nothing more", i64::from(is_draining)),
                (
                    "rota_worker_degraded",
                    "1 while it cannot start tasks and claims none",
                    i64::from(is_degraded),
                ),
            ];
        });
        tokio::select! {
            () = tokio::time::sleep(GAUGES) => {}
            () = ended.cancelled() => {}
        }
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Waits until the store can be used. False if the process is told to stop before that.
async fn store_is_there(mut is_up: watch::Receiver<bool>, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        is_there = is_up.wait_for(|is_up| *is_up) => is_there.is_ok(),
        () = shutdown.cancelled() => false,
    }
}
