//! A person's retry: tasks that have ended are taken back for another go, with all that is downstream of them.

use super::RunWalk;
use crate::id::{NodeId, TaskName, TaskNo};
use crate::plan::draft::Draft;
use crate::port::RetrySelection;
use crate::state::{IllegalTransition, RunEvent, RunState, TaskEvent, TaskState};

/// What a retry finds among the selected tasks and all below them, each in topological order.
#[derive(Debug, Default)]
struct Downstream {
    /// Have ended, or wait for an attempt after a failure: they start over.
    over: Vec<NodeId>,
    /// Wait for their first start: they wait for those that start over.
    waiting: Vec<NodeId>,
}

impl RunWalk {
    /// Takes tasks back for another go: the selected ones and all downstream of them. A finished run is queued again.
    /// Returns how many tasks.
    pub(in crate::plan) fn clear(
        &mut self,
        selection: &RetrySelection,
        draft: &mut Draft<'_>,
    ) -> Result<usize, IllegalTransition> {
        let Downstream { over, waiting } = self.downstream_of(&self.selected(selection));
        for id in waiting {
            self.nodes[id].ready = false;
        }
        for id in &over {
            self.start_over(*id, draft)?;
        }
        if over.is_empty() {
            return Ok(0);
        }
        self.failures.forget(&over);
        self.recount();
        if self.row.state == RunState::Running {
            self.consider_waiting(draft)?;
        } else {
            self.transition(RunEvent::Restart, None, draft)?;
            (self.row.state, self.row.finished_at) = (RunState::Queued, None);
            (self.row.ending, self.row.reason) = (None, None);
        }
        Ok(over.len())
    }

    fn start_over(&mut self, id: NodeId, draft: &mut Draft<'_>) -> Result<(), IllegalTransition> {
        draft.batch.clears.push(self.key(id).attempt(self.nodes[id].attempt));
        self.step(id, TaskEvent::Clear)?;
        let node = &mut self.nodes[id];
        (node.failures, node.losses, node.ready) = (0, 0, false);
        self.inputs.forget(self.dag.task(id.task));
        Ok(())
    }

    fn selected(&self, selection: &RetrySelection) -> Vec<TaskNo> {
        match selection {
            RetrySelection::Tasks(names) => {
                names.iter().filter_map(|name: &TaskName| self.dag.task_no(name.as_str())).collect()
            }
            RetrySelection::Failed => {
                let failed = self.nodes.ids().filter(|id| self.state(*id).ended_badly());
                failed.map(|id| id.task).collect()
            }
        }
    }

    fn downstream_of(&self, selected: &[TaskNo]) -> Downstream {
        let mut marked = vec![false; self.dag.tasks.len()];
        for task in selected {
            marked[task.place()] = true;
        }
        let mut found = Downstream::default();
        // In topological order one pass marks all: nobody is looked at before those above it.
        for task in &self.dag.graph.order {
            if !marked[task.place()] {
                continue;
            }
            for down in self.dag.graph.down_of(*task) {
                marked[down.place()] = true;
            }
            let id = NodeId::single(*task);
            let state = self.state(id);
            if state.is_terminal() || state == TaskState::UpForRetry {
                found.over.push(id);
            } else if state == TaskState::Waiting {
                found.waiting.push(id);
            }
        }
        found
    }
}
