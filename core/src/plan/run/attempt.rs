//! The attempts of a task: when one is queued, what its end or its loss leads to, and whether another follows.

use chrono::{DateTime, Utc};

use super::{Heard, RunWalk};
use crate::dag::{LOSSES_MAX, OnLost, Task};
use crate::failpoint;
use crate::id::{AttemptKey, NodeId};
use crate::plan::draft::Draft;
use crate::plan::retry_wait::retry_wait;
use crate::port::{PlannedRetry, QueuedTask, TaskRow};
use crate::state::{IllegalTransition, TaskEvent, TaskState};

impl RunWalk {
    /// Takes a ready task into its queue, with its next attempt. Returns false if it is no longer ready.
    pub(in crate::plan) fn queue(
        &mut self,
        id: NodeId,
        draft: &mut Draft<'_>,
    ) -> Result<bool, IllegalTransition> {
        let node = self.nodes[id];
        if !node.ready {
            return Ok(false);
        }
        let again = node.state == TaskState::UpForRetry;
        self.step(id, if again { TaskEvent::Requeue } else { TaskEvent::Queue })?;
        let attempt = node.attempt + 1;
        (self.nodes[id].ready, self.nodes[id].attempt) = (false, attempt);
        let task = self.dag.task(id.task);
        let queued = QueuedTask {
            key: self.key(id).attempt(attempt),
            name: task.name.clone(),
            queue: task.queue.clone(),
            priority: task.priority,
            at: draft.now,
        };
        let list = if again { &mut draft.batch.requeues } else { &mut draft.batch.queues };
        list.push(queued);
        Ok(true)
    }

    /// The time of a task's next attempt has come. Returns false if that is no longer so.
    pub(in crate::plan) fn retry_due(&mut self, key: AttemptKey) -> bool {
        let Some(node) = self.nodes.get_mut(key.task.node()) else { return false };
        let due = node.state == TaskState::UpForRetry && node.attempt == key.attempt && !node.ready;
        node.ready |= due;
        due
    }

    /// An attempt's worker is gone.
    pub(in crate::plan) fn lost(
        &mut self,
        key: AttemptKey,
        draft: &mut Draft<'_>,
    ) -> Result<Heard, IllegalTransition> {
        let id = key.task.node();
        let Some(node) = self.nodes.get(id).copied() else { return Ok(Heard::Nothing) };
        if node.state != TaskState::Queued || key.attempt != node.attempt {
            return Ok(Heard::Nothing);
        }
        self.step(id, TaskEvent::Claim)?;
        let losses = node.losses + 1;
        let again = self.row.ending.is_none() && losses <= losses_allowed(self.dag.task(id.task));
        if again {
            self.step(id, TaskEvent::Retry)?;
            self.nodes[id].losses = losses;
            let error = Some("the worker was lost; on_lost: retry starts it again".to_owned());
            let (retry_at, failures) = (draft.now, node.failures);
            draft.batch.retries.push(PlannedRetry { key, retry_at, failures, losses, error });
            return Ok(self.room(id));
        }
        self.step(id, TaskEvent::Abort)?;
        let reason = self.loss_reason(id, losses);
        let words = format!("task {} failed: {reason}", self.dag.task(id.task).name);
        self.failures.note(id, Some(draft.now), words);
        draft.batch.lost_for_good.push((key, reason));
        self.close(id, draft)?;
        Ok(self.room(id))
    }

    /// A row of an attempt that is queued or runs: whether it has ended, and what follows.
    pub(super) fn attempt_ended(
        &mut self,
        row: &TaskRow,
        draft: &mut Draft<'_>,
    ) -> Result<Heard, IllegalTransition> {
        let id = row.key.node();
        let event = match row.state {
            TaskState::Success => TaskEvent::Succeed,
            TaskState::Running if failpoint::is_on("downstream-early") => TaskEvent::Succeed,
            TaskState::Failed => TaskEvent::Fail,
            TaskState::Cancelled => TaskEvent::Cancel,
            TaskState::Waiting
            | TaskState::Queued
            | TaskState::Running
            | TaskState::Deferred
            | TaskState::UpForRetry
            | TaskState::UpstreamFailed
            | TaskState::Skipped => return Ok(Heard::Nothing),
        };
        // A claim is not heard of by itself. One that was cancelled may never have been claimed.
        if event != TaskEvent::Cancel {
            self.step(id, TaskEvent::Claim)?;
        }
        self.step(id, event)?;
        self.inputs.keep(row);
        if row.state == TaskState::Failed && self.plan_retry(row, draft)? {
            return Ok(self.room(id));
        }
        self.note_failure(row);
        self.close(id, draft)?;
        Ok(self.room(id))
    }

    /// Plans another attempt after a failure, if the task has one left. The count of failures alone decides, so a leader
    /// that reads the same row after a crash decides the same.
    pub(super) fn plan_retry(
        &mut self,
        row: &TaskRow,
        draft: &mut Draft<'_>,
    ) -> Result<bool, IllegalTransition> {
        let id = row.key.node();
        if self.nodes.get(id).is_none() {
            return Ok(false);
        }
        let task = self.dag.task(id.task);
        // What failed before the run was last started, a person has seen and not asked for. A row that was never queued
        // ended without an attempt, even if a cleared task's last number stands in it.
        let is_old = row.finished_at.zip(self.row.started_at).is_some_and(|(ended, started)| ended < started);
        let final_already = is_old || row.queued_at.is_none() || row.losses > losses_allowed(task);
        if self.row.ending.is_some() || final_already || row.failures >= task.retries {
            return Ok(false);
        }
        let (key, failures, losses) = (row.attempt_key(), row.failures + 1, row.losses);
        let wait = chrono::Duration::from_std(retry_wait(&task.backoff, failures, key));
        let wait = wait.unwrap_or(chrono::Duration::MAX);
        let retry_at = draft.now.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC);
        self.step(id, TaskEvent::Retry)?;
        self.nodes[id].failures = failures;
        draft.batch.retries.push(PlannedRetry { key, retry_at, failures, losses, error: None });
        Ok(true)
    }

    fn room(&self, id: NodeId) -> Heard {
        Heard::RoomInQueue(self.dag.task(id.task).queue.clone())
    }

    /// Why no other attempt follows the one that was lost as the `losses`-th.
    fn loss_reason(&self, id: NodeId, losses: u32) -> String {
        match self.dag.task(id.task).on_lost {
            _ if self.row.ending.is_some() => "the worker was lost while the run was being ended".to_owned(),
            OnLost::Fail => "the worker was lost; on_lost: fail forbids another attempt".to_owned(),
            OnLost::Retry => {
                format!("the worker was lost {losses} times; {LOSSES_MAX} is the most rota goes along with")
            }
        }
    }
}

fn losses_allowed(task: &Task) -> u32 {
    match task.on_lost {
        OnLost::Fail if !failpoint::is_on("on-lost-ignored") => 0,
        OnLost::Fail | OnLost::Retry => LOSSES_MAX,
    }
}
