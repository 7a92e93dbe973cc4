//! The loops of one process and their end: a scheduler and a worker on the same ports, and whatever else is added.
//! `rota standalone` and `rota dag test` both run these, so that there is no second code path.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rota_core::id::{ReplicaId, WorkerId};
use rota_core::port::{Broker, Clock, Facts, Leadership, Plans};
use rota_scheduler::{Scheduler, Status, Turns};
use rota_worker::{Tenure, Worker, WorkerHandle, WorkerOptions, WorkerPorts};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// How long the scheduler waits for the worker of the same process.
const WORKER_FIRST_MAX: Duration = Duration::from_secs(5);

/// What the loops run on.
pub(crate) struct LoopPorts {
    /// The store, as the leader sees it.
    pub(crate) plans: Arc<dyn Plans>,
    /// The store, as the worker sees it.
    pub(crate) facts: Arc<dyn Facts>,
    /// The broker.
    pub(crate) broker: Arc<dyn Broker>,
    /// The election.
    pub(crate) leadership: Arc<dyn Leadership>,
    /// The worker's clock.
    pub(crate) clock: Arc<dyn Clock>,
    /// The scheduler's name.
    pub(crate) replica: ReplicaId,
    /// The directory that the scheduler keeps up with; none: the store's DAGs are all there is.
    pub(crate) scan: Option<PathBuf>,
    /// What the worker is told.
    pub(crate) worker: WorkerOptions,
}

/// Loops that run. When it is dropped, they end at once.
pub(crate) struct Supervisor {
    set: JoinSet<(&'static str, anyhow::Result<()>)>,
    shutdown: CancellationToken,
    status: watch::Receiver<Status>,
    turns: Turns,
    worker: Option<WorkerHandle>,
}

impl Supervisor {
    /// No loops yet.
    pub(crate) fn none() -> Self {
        let (_, status) = watch::channel(Status::default());
        Self {
            set: JoinSet::new(),
            shutdown: CancellationToken::new(),
            status,
            turns: Turns::default(),
            worker: None,
        }
    }

    /// Starts a scheduler and a worker.
    pub(crate) fn start(ports: LoopPorts) -> anyhow::Result<Self> {
        let scheduler_ports = rota_scheduler::Ports {
            plans: ports.plans,
            broker: Arc::clone(&ports.broker),
            leadership: ports.leadership,
        };
        let options =
            rota_scheduler::Options { dags_dir: ports.scan, ..rota_scheduler::Options::new(ports.replica) };
        let scheduler = Scheduler::new(options, scheduler_ports);
        let worker_ports = WorkerPorts { facts: ports.facts, broker: ports.broker, clock: ports.clock };
        let worker = Worker::new(ports.worker, worker_ports)?;
        let mut supervisor = Self {
            status: scheduler.status(),
            turns: scheduler.turns(),
            worker: Some(worker.handle()),
            ..Self::none()
        };
        let shutdown = supervisor.shutdown();
        let mut registered = worker.handle();
        supervisor.add("the scheduler", async move {
            // The worker delivers the results of its earlier life before it registers, and only then may the leader look
            // for what that life lost.
            let is_there = registered.reached(|status| status.incarnation.is_some());
            let _ = tokio::time::timeout(WORKER_FIRST_MAX, is_there).await;
            scheduler.run(shutdown).await;
            Ok(())
        });
        let shutdown = supervisor.shutdown();
        supervisor.add("the worker", async move { Ok(worker.run(shutdown).await?) });
        Ok(supervisor)
    }

    /// Adds a loop. It must end once [`Supervisor::shutdown`] is cancelled, and not before.
    pub(crate) fn add<F>(&mut self, name: &'static str, run: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.set.spawn(async move { (name, run.await) });
    }

    /// What tells all loops to stop.
    pub(crate) fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// What the scheduler is doing.
    pub(crate) fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Tells whether the scheduler does its part.
    pub(crate) fn turns(&self) -> Turns {
        self.turns.clone()
    }

    /// Watches the worker, if there is one.
    pub(crate) fn worker(&self) -> Option<WorkerHandle> {
        self.worker.clone()
    }

    /// Adds the watch for damage of the store, which ends everything: nothing gets better by going on. `found` completes with
    /// what was found.
    pub(crate) fn stop_if_damaged<F>(&mut self, place: String, help: &'static str, found: F)
    where
        F: Future<Output = String> + Send + 'static,
    {
        let shutdown = self.shutdown();
        self.add("the watch for damage", async move {
            tokio::select! {
                why = found => Err(Failure::failed(format!("the store is damaged: {why}")).at(place).help(help).into()),
                () = shutdown.cancelled() => Ok(()),
            }
        });
    }

    /// Waits until a loop ends by itself, which none should, and says why.
    pub(crate) async fn failure(&mut self) -> Failure {
        let what = match self.set.join_next().await {
            Some(Ok((name, Ok(())))) => format!("{name} ended without being told to"),
            Some(Ok((name, Err(error)))) => match error.downcast::<Failure>() {
                Ok(failure) => return failure,
                Err(error) => format!("{name} failed: {error:#}"),
            },
            Some(Err(error)) => format!("a part of rota broke down: {error}"),
            None => "no loop is left".to_owned(),
        };
        Failure::failed(what).help("start it again: it goes on where it stopped")
    }

    /// Tells all loops to stop and waits until they have; those that take longer than `patience` are dropped.
    pub(crate) async fn stop_within(mut self, patience: Duration) {
        self.shutdown.cancel();
        let all = async {
            while let Some(ended) = self.set.join_next().await {
                match ended {
                    Ok((name, Err(error))) => tracing::error!("{name} failed while it stopped: {error:#}"),
                    Ok((_, Ok(()))) => {}
                    Err(error) => tracing::error!("a part of rota broke down while it stopped: {error}"),
                }
            }
        };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("some loops did not stop within {patience:?}");
        }
    }
}

/// The worker that is part of this process, and the only one: the store is this process's alone.
pub(crate) fn worker_options(
    name: &str,
    state_dir: PathBuf,
    dags_dir: PathBuf,
    slots: Option<u32>,
) -> WorkerOptions {
    let mut options = WorkerOptions::new(WorkerId::trusted(name), state_dir);
    options.dags_dir = Some(dags_dir);
    options.tenure = Tenure::Process;
    if let Some(slots) = slots {
        options.slots = slots;
    }
    options
}

/// What the probes say of a worker that cannot start tasks.
pub(crate) fn worker_degraded(why: &str) -> String {
    format!("the worker claims no tasks until it can start them again: {why}")
}
