//! The worker as a component: sweeps, registers, serves, and starts over as a new incarnation whenever the others have
//! given it up.
//!
//! When it is told to stop it claims nothing more and gives running tasks `drain_grace` to finish. What still runs then
//! gets TERM, its own grace, and KILL. Such attempts are *lost*, not failed: they stay `running` in the store, the
//! worker's last heartbeat retires its incarnation, and the leader handles them at once as their `on_lost` says.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use rota_core::dag::Cost;
use rota_core::id::{Incarnation, QueueName};
use rota_core::port::{Beat, Change, StoreError, WorkerHello, WorkerState};
use rota_kit::boottime::BootTime;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::action::process::{Executor, StopReason};
use crate::beat;
use crate::claim::{Claims, consume, poll};
use crate::custody::{Marker, Warden, sweep_earlier_lives};
use crate::dags::Dags;
use crate::finish::Finisher;
use crate::lease::{self, Lease};
use crate::life::{Life, Shared, WorkerPorts};
use crate::log::LogWriter;
use crate::options::{OptionsError, WorkerOptions};
use crate::patience::{Backoff, answered, answered_within};
use crate::probe;
use crate::readiness::Readiness;
use crate::ringer::{News, Ringer};
use crate::scratch;
use crate::spool::Spool;

/// How long a stopping worker waits for a store that is away. Results are on disk by then.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// How often the status is brought up to date.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Why a worker cannot work.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// An option cannot be.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// Its directory cannot be used.
    #[error("cannot use the worker's directory {path}: {error}")]
    StateDir {
        /// The directory.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// Its warden cannot be started.
    #[error("cannot start the worker's warden (the same program with the argument __warden): {0}")]
    Warden(std::io::Error),
    /// The store does not want it.
    #[error("the store refuses this worker: {0}")]
    Refused(StoreError),
}

/// A worker that has not started yet.
pub struct Worker {
    options: WorkerOptions,
    ports: WorkerPorts,
    status: watch::Sender<WorkerStatus>,
    readiness: Readiness,
}

/// Where a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Its current incarnation; `None` before it is registered.
    pub incarnation: Option<Incarnation>,
    /// `Live`, `Draining`, or `Gone` once it has stopped.
    pub state: WorkerState,
    /// Attempts it ran at its last heartbeat.
    pub running: usize,
}

/// Watches a worker from outside. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WorkerHandle {
    status: watch::Receiver<WorkerStatus>,
    trouble: watch::Receiver<Option<String>>,
}

impl WorkerHandle {
    /// Where the worker is now.
    pub fn status(&self) -> WorkerStatus {
        *self.status.borrow()
    }

    /// What keeps it from starting tasks now, in words.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    /// Waits until the worker is in a state that `is_wanted`; `None` if it stopped without ever being.
    pub async fn reached(&mut self, is_wanted: impl FnMut(&WorkerStatus) -> bool) -> Option<WorkerStatus> {
        self.status.wait_for(is_wanted).await.ok().map(|status| *status)
    }
}

/// The tasks that serve all lives.
struct Services {
    shared: Arc<Shared>,
    finisher: JoinHandle<()>,
    logs: JoinHandle<()>,
    ringer: JoinHandle<()>,
}

impl Worker {
    /// A worker with checked options.
    ///
    /// # Errors
    /// An option cannot be.
    pub fn new(options: WorkerOptions, ports: WorkerPorts) -> Result<Self, OptionsError> {
        options.check()?;
        let status =
            watch::Sender::new(WorkerStatus { incarnation: None, state: WorkerState::Live, running: 0 });
        Ok(Self { options, ports, status, readiness: Readiness::new() })
    }

    /// Watches this worker.
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle { status: self.status.subscribe(), trouble: self.readiness.subscribe() }
    }

    /// Works until `shutdown`, then drains.
    ///
    /// # Errors
    /// It could not start, or the store refuses it. A store that is away is waited for.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), WorkerError> {
        let Self { options, ports, status, readiness } = self;
        let Some(services) = start(options, ports, readiness, &shutdown).await? else { return Ok(()) };
        let mut last = None;
        while let Some(life) = register(&services.shared, &shutdown).await? {
            status.send_replace(WorkerStatus {
                incarnation: Some(life.incarnation),
                state: WorkerState::Live,
                running: 0,
            });
            live(&life, &shutdown, &status).await;
            let is_over = life.is_over();
            last = Some(life);
            if shutdown.is_cancelled() && !is_over {
                break;
            }
        }
        close(services, last).await;
        status.send_modify(|status| status.state = WorkerState::Gone);
        Ok(())
    }
}

/// Everything before the first registration. `None` if it was told to stop meanwhile.
async fn start(
    options: WorkerOptions,
    ports: WorkerPorts,
    readiness: Readiness,
    shutdown: &CancellationToken,
) -> Result<Option<Services>, WorkerError> {
    let unusable = |error| WorkerError::StateDir { path: options.state_dir.display().to_string(), error };
    DirBuilder::new().recursive(true).mode(0o700).create(&options.state_dir).map_err(unusable)?;
    if let Some(account) = &options.run_as {
        account.let_through(&options.state_dir).map_err(|error| unusable(std::io::Error::other(error)))?;
    }
    let marker = marker(&options).map_err(unusable)?;
    sweep(&marker).await;
    clear_scratch(&options).await;
    let warden = match &options.warden {
        Some(command) => {
            Some(Warden::start(command.clone(), marker.clone()).await.map_err(WorkerError::Warden)?)
        }
        None => None,
    };
    let outputs = options.state_dir.join("outputs");
    let executor = Executor::new(&outputs, marker, warden.clone(), ports.clock.clone()).map_err(unusable)?;
    let executor = executor.limited(options.limits.clone());
    let executor = match options.run_as.clone() {
        Some(account) => executor.run_as(account).map_err(|error| unusable(std::io::Error::other(error)))?,
        None => executor,
    };
    let (ringer, carry) = Ringer::new(ports.broker.clone());
    let spool = Spool::new(options.state_dir.join("results.jsonl"));
    let slots = Arc::new(Semaphore::new(options.slots as usize));
    let (mut finisher, finisher_handle) =
        Finisher::new(ports.facts.clone(), ringer.clone(), spool, slots.clone());
    tokio::select! {
        delivered = finisher.deliver_spooled() => delivered.map_err(unusable)?,
        () = shutdown.cancelled() => return Ok(None),
    }
    let (logs, logs_handle) = LogWriter::new(ports.facts.clone());
    let shared = Arc::new(Shared {
        slots,
        dags: Dags::new(ports.facts.clone()),
        options,
        ports,
        executor: Arc::new(executor),
        warden,
        logs: logs_handle,
        finisher: finisher_handle,
        ringer,
        readiness,
    });
    Ok(Some(Services {
        shared,
        finisher: tokio::spawn(finisher.run()),
        logs: tokio::spawn(logs.run()),
        ringer: tokio::spawn(carry),
    }))
}

/// The mark of this life's processes. The directory is part of it, so that two workers of one name on a host, which
/// should not be, at least do not end each other's tasks.
fn marker(options: &WorkerOptions) -> std::io::Result<Marker> {
    use std::os::unix::fs::MetadataExt;
    let directory = options.state_dir.metadata()?;
    Ok(Marker::random(&format!("{}@{:x}.{:x}", options.id, directory.dev(), directory.ino())))
}

async fn sweep(marker: &Marker) {
    let marker = marker.clone();
    let swept = tokio::task::spawn_blocking(move || sweep_earlier_lives(&marker)).await.unwrap_or(0);
    if swept > 0 {
        tracing::warn!("ended {swept} process(es) that an earlier life of this worker had left");
    }
}

async fn clear_scratch(options: &WorkerOptions) {
    let options = options.clone();
    // A panic in it is already logged.
    let _ = tokio::task::spawn_blocking(move || scratch::clear(&options)).await;
}

/// Begins a life. `None` if the worker is told to stop before the store answers.
async fn register(
    shared: &Arc<Shared>,
    shutdown: &CancellationToken,
) -> Result<Option<Arc<Life>>, WorkerError> {
    let options = &shared.options;
    let hello = WorkerHello {
        id: options.id.clone(),
        host: options.host.clone(),
        pid: std::process::id(),
        version: options.version.clone(),
        queues: options.queues.iter().cloned().chain([QueueName::trusted(QueueName::NOOP)]).collect(),
        labels: options.labels.clone(),
        slots: options.slots,
        lease: lease::length(options.tenure),
    };
    let mut backoff = Backoff::default();
    while !shutdown.is_cancelled() {
        let sent = BootTime::now();
        let error = match answered(shared.ports.facts.worker_register(&hello)).await {
            Ok(incarnation) => {
                let lease = Lease::new(options.tenure, sent);
                if let Some(warden) = &shared.warden {
                    warden.set_deadline(lease.kill_at());
                }
                shared.ringer.tell(fleet_news());
                tracing::info!("worker {} is registered as incarnation {incarnation}", options.id);
                return Ok(Some(Arc::new(Life::new(shared.clone(), incarnation, lease))));
            }
            Err(error) if error.is_outage() => error.to_string(),
            Err(error) => return Err(WorkerError::Refused(error)),
        };
        tokio::select! {
            () = backoff.pause("the worker", &error) => {}
            () = shutdown.cancelled() => {}
        }
    }
    Ok(None)
}

/// Lives until the lease is gone or the worker is told to stop, and all attempts have ended.
async fn live(life: &Arc<Life>, shutdown: &CancellationToken, status: &watch::Sender<WorkerStatus>) {
    let guard = tokio::spawn(beat::guard(life.clone()));
    let helpers = [
        guard,
        tokio::spawn(beat::beat(life.clone())),
        tokio::spawn(beat::hear_nudges(life.clone())),
        tokio::spawn(tell(life.clone(), status.clone())),
        tokio::spawn(probe::watch(life.clone())),
    ];
    let claimers = [
        tokio::spawn(consume(life.clone(), Claims(Cost::Slot))),
        tokio::spawn(consume(life.clone(), Claims(Cost::Nothing))),
        tokio::spawn(poll(life.clone())),
    ];
    tokio::select! {
        () = life.ended() => {}
        () = shutdown.cancelled() => {
            status.send_modify(|status| status.state = WorkerState::Draining);
            life.drain();
        }
    }
    for claimer in claimers {
        // They stop by themselves, between two claims.
        let _ = claimer.await;
    }
    life.attempts.close();
    if !life.is_over() {
        let patience = life.shared.options.drain_grace;
        let _ = tokio::time::timeout(patience, life.attempts.wait()).await;
        life.end_all(StopReason::Shutdown);
    }
    life.attempts.wait().await;
    for helper in helpers {
        helper.abort();
        // It holds this life, and with it everything, until it has really gone.
        let _ = helper.await;
    }
}

/// Keeps the status in step with what the heartbeats say.
async fn tell(life: Arc<Life>, status: watch::Sender<WorkerStatus>) {
    loop {
        let beat = life.beat();
        let running = usize::try_from(beat.running).unwrap_or(usize::MAX);
        status.send_if_modified(|status| {
            let before = std::mem::replace(status, WorkerStatus { state: beat.state, running, ..*status });
            before != *status
        });
        tokio::time::sleep(TELL_EVERY).await;
    }
}

/// Brings everything to its end: results first, then the last heartbeat, which makes what was not finished lost.
async fn close(services: Services, last: Option<Arc<Life>>) {
    let Services { shared, finisher, logs, ringer } = services;
    let facts = shared.ports.facts.clone();
    let last_beat = last.map(|life| Beat { state: WorkerState::Gone, running: 0, ..life.beat() });
    let bell = shared.ringer.clone();
    drop(shared);
    if tokio::time::timeout(CLOSE_MAX, finisher).await.is_err() {
        tracing::warn!("the store is away: the last results wait on disk for the worker's next start");
        return;
    }
    let _ = tokio::time::timeout(CLOSE_MAX, logs).await;
    if let Some(beat) = last_beat {
        if let Err(error) = answered_within(CLOSE_MAX, facts.worker_beat(&beat)).await {
            tracing::warn!(
                "the last heartbeat was not answered, what is lost shows when the lease runs out or at the next start: {error}"
            );
        }
        bell.tell(fleet_news());
    }
    drop(bell);
    let _ = tokio::time::timeout(CLOSE_MAX, ringer).await;
}

fn fleet_news() -> News {
    News { changes: vec![Change::Fleet], is_fleet: true, ..News::default() }
}
