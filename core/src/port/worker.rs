//! Workers and their leases.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Actor, Object, StoreResult};
use crate::id::{AttemptKey, Epoch, Incarnation, QueueName, WorkerId};

/// A worker incarnation.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerRow {
    /// Its name.
    pub id: WorkerId,
    /// Which life.
    pub incarnation: Incarnation,
    /// Host name.
    pub host: String,
    /// Process id on that host.
    pub pid: u32,
    /// rota's version.
    pub version: String,
    /// The queues it serves.
    pub queues: Vec<QueueName>,
    /// Its labels.
    pub labels: Object,
    /// Processes it runs at a time.
    pub slots: u32,
    /// Attempts it runs now.
    pub running: u32,
    /// Where it is.
    pub state: WorkerState,
    /// What keeps it from starting tasks, in words; it claims none meanwhile.
    pub trouble: Option<String>,
    /// When it last said that it lives.
    pub heartbeat_at: DateTime<Utc>,
    /// When it started.
    pub started_at: DateTime<Utc>,
}

impl WorkerRow {
    /// Whether it claims tasks.
    pub fn takes_tasks(&self) -> bool {
        self.state == WorkerState::Live && self.trouble.is_none()
    }
}

/// Where a worker incarnation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// Its lease runs.
    Live,
    /// It finishes what it has and claims nothing more.
    Draining,
    /// It ended in good order.
    Gone,
    /// Its lease ran out, or its next incarnation said so; what it ran is lost.
    Dead,
}

impl WorkerState {
    /// The word used in the store, the API and on pages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Draining => "draining",
            Self::Gone => "gone",
            Self::Dead => "dead",
        }
    }

    /// The value of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Live, Self::Draining, Self::Gone, Self::Dead].into_iter().find(|state| state.as_str() == word)
    }
}

/// A worker that introduces itself.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerHello {
    /// Its name. Earlier incarnations of the same name are dead from now on: their attempts are lost.
    pub id: WorkerId,
    /// Host name.
    pub host: String,
    /// Process id.
    pub pid: u32,
    /// rota's version.
    pub version: String,
    /// The queues it serves.
    pub queues: Vec<QueueName>,
    /// Its labels.
    pub labels: Object,
    /// Processes it runs at a time.
    pub slots: u32,
    /// How long its lease lasts from each beat.
    pub lease: Duration,
}

/// A heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Beat {
    /// The worker.
    pub worker: WorkerId,
    /// Which life.
    pub incarnation: Incarnation,
    /// Attempts it runs now.
    pub running: u32,
    /// `Live`, `Draining` or, as the last beat, `Gone`.
    pub state: WorkerState,
    /// What keeps it from starting tasks now, in words. It claims none meanwhile.
    pub trouble: Option<String>,
    /// How long the lease lasts from now.
    pub lease: Duration,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BeatReply {
    /// The lease was extended. These attempts of this incarnation are to be ended.
    Live {
        /// Running attempts with a cancel request.
        cancel: Vec<AttemptKey>,
        /// Whether a person wants this life to claim nothing more.
        drain: bool,
    },
    /// The incarnation is dead to the others: end all tasks now, then start as a new one.
    Fenced,
}

/// Capacity that workers offer to one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueCapacity {
    /// The queue.
    pub queue: QueueName,
    /// Slots of all live workers that serve it.
    pub slots: u32,
    /// Those workers.
    pub workers: u32,
}

/// What a look for dead workers found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reaped {
    /// Workers declared dead by this call.
    pub dead: Vec<WorkerId>,
    /// All attempts that are `running` on an incarnation that is dead or gone: lost. The same ones are named again until
    /// a batch has dealt with them.
    pub lost: Vec<AttemptKey>,
    /// What live workers offer.
    pub capacity: Vec<QueueCapacity>,
}

/// What the leader does about workers.
#[async_trait]
pub trait WorkerPlans: Send + Sync {
    /// Marks workers whose lease ran out as dead, and names what was lost.
    async fn workers_reap(&self, epoch: Epoch) -> StoreResult<Reaped>;
}

/// What a worker says of itself.
#[async_trait]
pub trait WorkerFacts: Send + Sync {
    /// Registers a new incarnation, live at once.
    async fn worker_register(&self, hello: &WorkerHello) -> StoreResult<Incarnation>;
    /// Extends a lease and hears of cancels. `Gone` gives it up in good order.
    async fn worker_beat(&self, beat: &Beat) -> StoreResult<BeatReply>;
}

/// What pages read of workers.
#[async_trait]
pub trait WorkerViews: Send + Sync {
    /// Worker incarnations that are live or draining, and others seen within the last day, by id, newest first.
    async fn view_workers(&self) -> StoreResult<Vec<WorkerRow>>;
}

/// What people do to workers.
#[async_trait]
pub trait WorkerIntents: Send + Sync {
    /// Asks the current life of a worker to claim nothing more and to finish what it has; it hears of it with its next
    /// heartbeat. A new start of the worker ends that. `NotFound` if no such worker lives. Returns whether that changed
    /// anything.
    async fn worker_drain(&self, worker: &WorkerId, actor: &Actor) -> StoreResult<bool>;
}
