//! How the end of one task lets others start or end: the trigger rules, applied along the edges.

use std::sync::Arc;

use super::RunWalk;
use crate::id::NodeId;
use crate::plan::draft::Draft;
use crate::plan::trigger_rule::{Verdict, verdict};
use crate::port::SettledTask;
use crate::state::{IllegalTransition, TaskEvent, TaskState};

impl RunWalk {
    /// Looks at every task that waits.
    pub(super) fn consider_waiting(&mut self, draft: &mut Draft<'_>) -> Result<(), IllegalTransition> {
        let waiting: Vec<NodeId> = self.nodes.in_state(TaskState::Waiting).collect();
        for id in waiting {
            if self.judge(id, draft)? {
                self.spread(id, draft)?;
            }
        }
        Ok(())
    }

    /// An attempt was the last of its task, which has just ended with it.
    pub(super) fn close(&mut self, id: NodeId, draft: &mut Draft<'_>) -> Result<(), IllegalTransition> {
        self.open -= 1;
        self.spread(id, draft)
    }

    /// Ends a waiting task without an attempt. Those below it are not told.
    pub(super) fn settle(
        &mut self,
        id: NodeId,
        event: TaskEvent,
        reason: String,
        draft: &mut Draft<'_>,
    ) -> Result<(), IllegalTransition> {
        self.step(id, event)?;
        self.open -= 1;
        let state = self.state(id);
        let name = self.dag.task(id.task).name.clone();
        if state == TaskState::Failed {
            self.failures.note(id, Some(draft.now), format!("task {name} failed: {reason}"));
        }
        draft.batch.ends_without_attempt.push(SettledTask {
            key: self.key(id),
            name,
            state,
            reason,
            at: draft.now,
        });
        Ok(())
    }

    /// The task may be queued as soon as there is room.
    pub(super) fn make_ready(&mut self, id: NodeId, draft: &mut Draft<'_>) {
        self.nodes[id].ready = true;
        draft.ready.push(self.key(id));
    }

    /// Tells the tasks below an ended one, and those below the ones that end because of it. A stack of its own, because a
    /// chain of tasks may be longer than the program's.
    pub(super) fn spread(&mut self, ended: NodeId, draft: &mut Draft<'_>) -> Result<(), IllegalTransition> {
        let dag = Arc::clone(&self.dag);
        let mut stack = vec![ended];
        while let Some(up) = stack.pop() {
            let state = self.state(up);
            for down in dag.graph.down_of(up.task) {
                let down = NodeId::single(*down);
                self.nodes[down].tally.count(state);
                if self.judge(down, draft)? {
                    stack.push(down);
                }
            }
            // Some of them may need no edge from it: their rule was met before, and only their `when` waited.
            for reader in self.inputs.readers_of(up.task) {
                let reader = NodeId::single(reader);
                if self.judge(reader, draft)? {
                    stack.push(reader);
                }
            }
        }
        Ok(())
    }

    /// Applies the trigger rule of a waiting task. Returns whether the task ended because of it.
    fn judge(&mut self, id: NodeId, draft: &mut Draft<'_>) -> Result<bool, IllegalTransition> {
        let node = &self.nodes[id];
        if node.state != TaskState::Waiting || node.ready || self.row.ending.is_some() {
            return Ok(false);
        }
        let task = self.dag.task(id.task);
        match verdict(task.trigger_rule, &node.tally) {
            Verdict::Wait => return Ok(false),
            Verdict::Run => {
                if task.when.is_none() {
                    self.make_ready(id, draft);
                } else if self.when_waits_for(task).is_none() {
                    draft.asks.push(self.key(id));
                }
                return Ok(false);
            }
            Verdict::Skip => {
                let reason = format!("trigger rule {} skips it", task.trigger_rule.as_str());
                self.settle(id, TaskEvent::Skip, reason, draft)?;
            }
            Verdict::UpstreamFailed => {
                self.settle(id, TaskEvent::FailUpstream, "an upstream task failed".to_owned(), draft)?;
            }
        }
        Ok(true)
    }
}
