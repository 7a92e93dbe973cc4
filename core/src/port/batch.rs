//! What one look of the leader comes to, and the transaction that commits it.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{
    CursorMove, Ending, NewRun, PlannedRetry, QueuedTask, RunTransition, SettledTask, SlotRow, StoreResult,
    TaskRow,
};
use crate::id::{AttemptKey, Epoch, IntentId, RunId, TaskKey, WorkerId};
use crate::state::TaskState;

/// One fenced transaction of the leader: all of it or nothing. Guards that do not hold make it a `Conflict`.
/// Applied in the order of the fields.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// New scheduled runs.
    pub runs: Vec<NewRun>,
    /// Ledger entries of slots without a run.
    pub slots: Vec<SlotRow>,
    /// Cursors moved forward.
    pub cursors: Vec<CursorMove>,
    /// Runs that change state.
    pub run_transitions: Vec<RunTransition>,
    /// Runs that are to end once their tasks have: guard: running, not ending yet.
    pub end_requests: Vec<(RunId, Ending)>,
    /// Tasks whose rows are taken back for another go (a person's retry): guard: the attempt's row is terminal or
    /// `up_for_retry`. The
    /// attempt moves to the history (unless it is attempt 0 or there already); the row stays, in state `waiting`, with the number of
    /// that attempt and everything else reset, so that the next attempt has the next number.
    pub clears: Vec<AttemptKey>,
    /// First attempts of waiting tasks (insert), or the next attempts of cleared ones (update; guard: `waiting`).
    pub queues: Vec<QueuedTask>,
    /// Waiting tasks that end without an attempt (insert, or update of a cleared row; guard: `waiting`).
    pub ends_without_attempt: Vec<SettledTask>,
    /// Failed or lost attempts that will be followed by another: guard: that attempt, `failed` or `running`.
    pub retries: Vec<PlannedRetry>,
    /// Waits that are over: up_for_retry -> queued with the next attempt. The old attempt moves to the history.
    pub requeues: Vec<QueuedTask>,
    /// Lost attempts that will not be followed by another, with the reason: guard: that attempt, `running`. The row
    /// becomes `failed` and its `losses` grow by one, which tells it from a failure that may be retried.
    pub lost_for_good: Vec<(AttemptKey, String)>,
    /// Tasks to cancel: queued and up_for_retry end at once, running ones get a cancel request. No guard: the resulting
    /// rows are returned.
    pub cancels: Vec<(TaskKey, String)>,
    /// Intents that were carried out, with what came of them in words.
    pub intents_done: Vec<(IntentId, String)>,
}

impl Batch {
    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a batch came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Committed {
    /// The ids of `runs`, in their order.
    pub runs: Vec<RunId>,
    /// The rows of `cancels` as they are now (tasks without a row are left out).
    pub cancelled: Vec<TaskRow>,
}

impl Committed {
    /// The workers that run attempts which are to be cancelled, each once: told at once, they need not wait for their next
    /// heartbeat to hear of it.
    pub fn workers_to_tell(&self) -> Vec<WorkerId> {
        let mut workers: Vec<WorkerId> = Vec::new();
        let running = self.cancelled.iter().filter(|row| row.state == TaskState::Running);
        for worker in running.filter_map(|row| row.worker.as_ref()) {
            if !workers.contains(worker) {
                workers.push(worker.clone());
            }
        }
        workers
    }
}

/// The leader's transaction.
#[async_trait]
pub trait BatchPlans: Send + Sync {
    /// The store's clock, the one that due times and leases compare with.
    async fn now(&self) -> StoreResult<DateTime<Utc>>;
    /// Commits a batch under the fence.
    async fn batch_commit(&self, epoch: Epoch, batch: &Batch) -> StoreResult<Committed>;
}
