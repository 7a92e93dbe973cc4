//! One process of a cluster, from its listener to its last loop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rota_backend::SystemClock;
use rota_core::id::ReplicaId;
use rota_core::port::WorkerState;
use rota_scheduler::Scheduler;
use rota_web::{Health, Vitals, Web};
use rota_worker::{Worker, WorkerPorts};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::config::Config;
use super::roles::{Role, name};
use super::services;
use super::vitals::{self, Services};
use crate::failure::{CommandResult, Failure, Outcome};
use crate::loops::Loops;
use crate::process::signals::StopSignals;
use crate::process::{listen, runtime, watchdog};

/// How long all loops together get to stop: the longest grace time that a task can have is theirs to keep.
const STOP_MAX: Duration = Duration::from_secs(3600);
/// How often a worker's gauges are read.
const GAUGES: Duration = Duration::from_secs(2);

/// Runs it until a signal, or until a loop ends by itself.
pub(super) fn run(config: &Config, role: Role) -> CommandResult {
    let listener = listen::bind(role.listen(config)?)?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let mut signals = StopSignals::listen().context("cannot listen to signals")?;
        watchdog::start(tokio::runtime::Handle::current()).context("cannot start the watchdog")?;
        let word = role.word();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let mut loops = start(config, role, listener)?;
        tracing::info!("rota {} {word} {}: probes on http://{address}", env!("CARGO_PKG_VERSION"), name(config)?);
        let outcome = tokio::select! {
            () = signals.next() => Ok(Outcome::Done),
            failure = loops.failure() => Err(failure.into()),
        };
        if outcome.is_ok() {
            tracing::info!("{word} stops; a second signal does not wait");
        }
        tokio::select! {
            () = loops.stop_within(STOP_MAX) => outcome,
            () = signals.next() => Err(Failure::failed("stopped at once; what was running is taken up by others").into()),
        }
    });
    // What still runs has been told to stop and is not waited for again.
    runtime.shutdown_background();
    outcome
}

fn start(config: &Config, role: Role, listener: tokio::net::TcpListener) -> anyhow::Result<Loops> {
    let name = name(config)?;
    let store = services::store(config, &format!("rota {} {name}", role.word()))?;
    let broker = services::broker(config, &format!("rota {} {name}", role.word()))?;
    let vitals = watch::Sender::new(Vitals {
        waits: vec!["waits for its first look at its services".to_owned()],
        ..Vitals::default()
    });
    let election = match &role {
        Role::Scheduler(_) => Some(services::election(config, ReplicaId::trusted(&name))?),
        Role::Worker(_) | Role::Web(_) => None,
    };
    let (store_is_up, is_up) = watch::channel(false);
    let watched = Services {
        store: store.clone(),
        broker: broker.link(),
        election: election.as_ref().map(|election| election.link()),
        store_is_up,
    };
    let mut loops = Loops::none();
    let shutdown = loops.shutdown();
    let told = vitals.clone();
    loops.add("the look at the services", async move { Ok(vitals::watch(watched, told, shutdown).await?) });
    let part = Part { vitals, is_up };
    match role {
        Role::Scheduler(options) => {
            part.probes(&mut loops, listener);
            let leadership = election.context("a scheduler takes part in the election")?;
            let ports =
                rota_scheduler::Ports { plans: Arc::new(store), broker, leadership: Arc::new(leadership) };
            part.scheduler(&mut loops, Scheduler::new(*options, ports));
        }
        Role::Worker(options) => {
            part.probes(&mut loops, listener);
            let slots = options.slots;
            let ports = WorkerPorts { facts: Arc::new(store), broker, clock: Arc::new(SystemClock) };
            part.worker(&mut loops, Worker::new(*options, ports)?, slots);
        }
        Role::Web(mut options) => {
            options.listen = listener.local_addr()?;
            let vitals = part.vitals.subscribe();
            let ports =
                rota_web::Ports { store: Arc::new(store), broker, clock: Arc::new(SystemClock), vitals };
            let web = Web::new(*options, ports)?;
            eprintln!("dashboard: {}", web.login_link());
            let shutdown = loops.shutdown();
            loops.add("the dashboard", async move { Ok(web.run(listener, shutdown).await?) });
        }
    }
    Ok(loops)
}

/// What the loops of a role share.
struct Part {
    vitals: watch::Sender<Vitals>,
    is_up: watch::Receiver<bool>,
}

impl Part {
    fn probes(&self, loops: &mut Loops, listener: tokio::net::TcpListener) {
        let (health, shutdown) = (Health::new(self.vitals.subscribe()), loops.shutdown());
        loops.add("the probes", async move { Ok(health.run(listener, shutdown).await?) });
    }

    fn scheduler(self, loops: &mut Loops, scheduler: Scheduler) {
        let mut status = scheduler.status();
        let (vitals, told_shutdown) = (self.vitals, loops.shutdown());
        loops.add("the scheduler's state", async move {
            loop {
                let now = status.borrow_and_update().clone();
                let epoch = now.epoch.map_or(0, |epoch| epoch.0);
                vitals.send_modify(|vitals| {
                    vitals.leads = now.epoch.is_some();
                    vitals.gauges = vec![
                        ("rota_leader_epoch", "The epoch it leads under; 0 while it stands by", epoch),
                        ("rota_leader_doubtful", "1 while it leads without reaching etcd", i64::from(now.is_doubtful)),
                        ("rota_files_broken", "DAG files that cannot be used", count(now.broken.len())),
                        ("rota_files_behind", "DAG files older than what the store has", count(now.behind.len())),
                    ];
                });
                tokio::select! {
                    changed = status.changed() => if changed.is_err() { told_shutdown.cancelled().await; return Ok(()) },
                    () = told_shutdown.cancelled() => return Ok(()),
                }
            }
        });
        let (shutdown, is_up) = (loops.shutdown(), self.is_up);
        loops.add("the scheduler", async move {
            if store_is_there(is_up, &shutdown).await {
                scheduler.run(shutdown).await;
            }
            Ok(())
        });
    }

    fn worker(self, loops: &mut Loops, worker: Worker, slots: u32) {
        let handle = worker.handle();
        let (vitals, told_shutdown) = (self.vitals, loops.shutdown());
        loops.add("the worker's state", async move {
            while !told_shutdown.is_cancelled() {
                let status = handle.status();
                vitals.send_modify(|vitals| {
                    vitals.gauges = vec![
                        ("rota_worker_slots", "Processes that it runs at a time", i64::from(slots)),
                        ("rota_worker_running", "Attempts that it runs now", count(status.running)),
                        (
                            "rota_worker_draining",
                            "1 if it claims nothing more",
                            i64::from(status.state == WorkerState::Draining),
                        ),
                    ];
                });
                tokio::select! {
                    () = tokio::time::sleep(GAUGES) => {}
                    () = told_shutdown.cancelled() => {}
                }
            }
            Ok(())
        });
        let (shutdown, is_up) = (loops.shutdown(), self.is_up);
        loops.add("the worker", async move {
            if store_is_there(is_up, &shutdown).await {
                worker.run(shutdown).await?;
            }
            Ok(())
        });
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
