//! Where each task of a run is. A node is one instance of a task and has an address in its run, [`NodeId`]. Every task has
//! exactly one instance, of index 0, as long as there is no `for_each`; only this file relies on that. An address that comes
//! from outside, with a row or a message, goes through [`Nodes::get`] and may turn out to be nobody's.

use std::ops::{Index, IndexMut};

use crate::dag::Dag;
use crate::id::{NodeId, TaskNo};
use crate::plan::trigger_rule::Tally;
use crate::port::TaskRow;
use crate::state::TaskState;

/// Why [`Nodes`] may be indexed.
const OF_THIS_RUN: &str = "the address was made from a task of the run's own DAG, or found by `get` before";

/// Where one task is, to the leader. It does not tell `queued` from `running`: both are `Queued` here.
#[derive(Debug, Clone, Copy)]
pub(super) struct TaskNode {
    pub(super) state: TaskState,
    /// It may be queued (again) and waits for room in its queue.
    pub(super) ready: bool,
    /// The number of its current or last attempt; 0 before the first.
    pub(super) attempt: u32,
    /// Attempts that failed.
    pub(super) failures: u32,
    /// Attempts that were lost with their worker.
    pub(super) losses: u32,
    /// How its upstream tasks ended.
    pub(super) tally: Tally,
}

impl TaskNode {
    const BLANK: Self = Self {
        state: TaskState::Waiting,
        ready: false,
        attempt: 0,
        failures: 0,
        losses: 0,
        tally: Tally { total: 0, success: 0, failed: 0, upstream_failed: 0, skipped: 0 },
    };

    /// Becomes what a row says.
    pub(super) fn adopt(&mut self, row: &TaskRow) {
        self.state = match row.state {
            TaskState::Running => TaskState::Queued,
            other => other,
        };
        (self.attempt, self.failures, self.losses) = (row.attempt, row.failures, row.losses);
    }
}

/// The nodes of one run.
#[derive(Debug, Clone)]
pub(super) struct Nodes {
    /// By task.
    list: Vec<TaskNode>,
}

impl Nodes {
    /// All tasks wait.
    pub(super) fn waiting(dag: &Dag) -> Self {
        Self { list: vec![TaskNode::BLANK; dag.tasks.len()] }
    }

    /// The node of that address, if there is one.
    pub(super) fn get(&self, id: NodeId) -> Option<&TaskNode> {
        if id.index == 0 { self.list.get(id.task.place()) } else { None }
    }

    /// The node of that address, if there is one.
    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut TaskNode> {
        if id.index == 0 { self.list.get_mut(id.task.place()) } else { None }
    }

    /// All addresses, in file order.
    pub(super) fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.list.len() as u32).map(|task| NodeId::single(TaskNo(task)))
    }

    /// The addresses of the nodes in that state, in file order.
    pub(super) fn in_state(&self, state: TaskState) -> impl Iterator<Item = NodeId> + '_ {
        self.ids().filter(move |id| self[*id].state == state)
    }

    /// How many have not ended.
    pub(super) fn open(&self) -> u32 {
        self.list.iter().filter(|node| !node.state.is_terminal()).count() as u32
    }

    /// Counts anew what follows from the states alone.
    pub(super) fn recount(&mut self, dag: &Dag) {
        for id in self.ids() {
            let total = dag.graph.up_of(id.task).len() as u32;
            self[id].tally = Tally { total, ..Tally::default() };
        }
        for up in self.ids() {
            let state = self[up].state;
            for down in dag.graph.down_of(up.task) {
                self[NodeId::single(*down)].tally.count(state);
            }
        }
    }
}

impl Index<NodeId> for Nodes {
    type Output = TaskNode;

    fn index(&self, id: NodeId) -> &TaskNode {
        self.get(id).expect(OF_THIS_RUN)
    }
}

impl IndexMut<NodeId> for Nodes {
    fn index_mut(&mut self, id: NodeId) -> &mut TaskNode {
        self.get_mut(id).expect(OF_THIS_RUN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_names_no_task_or_a_second_instance_is_nobodys() {
        let dag = crate::dag::parse("d.yaml", "dag: d\ntasks:\n  a: {noop: true}\n").expect("a valid file");
        let nodes = Nodes::waiting(&dag);
        let a = NodeId::single(TaskNo(0));
        assert_eq!(nodes.get(a).map(|node| node.state), Some(TaskState::Waiting));
        assert!(nodes.get(NodeId { index: 1, ..a }).is_none());
        assert!(nodes.get(NodeId::single(TaskNo(1))).is_none());
    }
}
