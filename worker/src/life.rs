//! One incarnation of a worker: its lease, what it runs, and its end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use rota_core::id::{AttemptKey, Incarnation};
use rota_core::port::{Beat, Broker, Clock, Facts, WorkerState};
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::action::process::{Executor, Stop, StopReason, Stopped, stop};
use crate::custody::Warden;
use crate::dags::Dags;
use crate::finish::FinisherHandle;
use crate::lease::Lease;
use crate::log::LogWriterHandle;
use crate::options::WorkerOptions;
use crate::readiness::Readiness;
use crate::ringer::Ringer;

/// What a worker needs from outside.
#[derive(Clone)]
pub struct WorkerPorts {
    /// The store, as workers see it.
    pub facts: Arc<dyn Facts>,
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// Wall-clock time, for stamps. Leases use their own clock.
    pub clock: Arc<dyn Clock>,
}

/// What all lives of a worker share.
pub(crate) struct Shared {
    pub(crate) options: WorkerOptions,
    pub(crate) ports: WorkerPorts,
    pub(crate) executor: Arc<Executor>,
    pub(crate) warden: Option<Warden>,
    pub(crate) dags: Dags,
    pub(crate) logs: LogWriterHandle,
    pub(crate) finisher: FinisherHandle,
    pub(crate) ringer: Ringer,
    pub(crate) readiness: Readiness,
    /// One permit per process.
    pub(crate) slots: Arc<Semaphore>,
}

/// One incarnation.
pub(crate) struct Life {
    pub(crate) shared: Arc<Shared>,
    pub(crate) incarnation: Incarnation,
    pub(crate) lease: Lease,
    /// The attempts' tasks.
    pub(crate) attempts: TaskTracker,
    /// Cancelled when nothing more is to be claimed.
    pub(crate) claiming: CancellationToken,
    /// Asks for a heartbeat now.
    pub(crate) beat_now: Notify,
    /// Cancelled when the lease is gone.
    over: CancellationToken,
    running: Mutex<HashMap<AttemptKey, Stop>>,
    state: watch::Sender<WorkerState>,
}

impl Life {
    pub(crate) fn new(shared: Arc<Shared>, incarnation: Incarnation, lease: Lease) -> Self {
        let over = CancellationToken::new();
        Self {
            shared,
            incarnation,
            lease,
            attempts: TaskTracker::new(),
            claiming: over.child_token(),
            beat_now: Notify::new(),
            over,
            running: Mutex::default(),
            state: watch::Sender::new(WorkerState::Live),
        }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.shared.ports.clock.now()
    }

    /// Notes an attempt as running, until [`Life::forget`].
    pub(crate) fn remember(&self, key: AttemptKey) -> Stopped {
        let (order, stopped) = stop();
        self.running().insert(key, order.clone());
        // The end may have come between the claim and this.
        if self.is_over() {
            order.kill(StopReason::LeaseLost);
        }
        stopped
    }

    pub(crate) fn forget(&self, key: AttemptKey) {
        self.running().remove(&key);
    }

    /// Tells one attempt to end because somebody cancelled it. Whether it runs here.
    pub(crate) fn cancel(&self, key: AttemptKey) -> bool {
        let running = self.running();
        let stop = running.get(&key);
        if let Some(stop) = stop {
            stop.end(StopReason::Cancelled);
        }
        stop.is_some()
    }

    /// Tells all attempts to end.
    pub(crate) fn end_all(&self, reason: StopReason) {
        for stop in self.running().values() {
            stop.end(reason);
        }
    }

    /// Kills all attempts.
    pub(crate) fn kill_all(&self, reason: StopReason) {
        for stop in self.running().values() {
            stop.kill(reason);
        }
    }

    /// The lease is gone: nothing more is claimed, nothing that dies is a result.
    pub(crate) fn end(&self) {
        self.over.cancel();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.is_cancelled() || self.lease.end_at().is_past()
    }

    /// Waits until the lease is gone.
    pub(crate) async fn ended(&self) {
        self.over.cancelled().await;
    }

    /// Claims nothing more and says so with the next heartbeat. Once is enough.
    pub(crate) fn drain(&self) {
        if self.state.send_replace(WorkerState::Draining) == WorkerState::Draining {
            return;
        }
        tracing::info!("worker {} drains: it claims nothing more", self.shared.options.id);
        self.claiming.cancel();
        self.beat_now.notify_one();
    }

    /// What a heartbeat says.
    pub(crate) fn beat(&self) -> Beat {
        Beat {
            worker: self.shared.options.id.clone(),
            incarnation: self.incarnation,
            running: u32::try_from(self.running().len()).unwrap_or(u32::MAX),
            state: *self.state.borrow(),
            trouble: self.shared.readiness.trouble(),
            lease: self.lease.length(),
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<AttemptKey, Stop>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
