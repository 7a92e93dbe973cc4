//! The ready tasks of one queue, in the order in which they are let into it: by priority, then in turn among runs, so that
//! one wide run never holds up the others.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::id::{NodeId, RunId, TaskKey};

/// Ready tasks of one queue and how many of its tasks are out already.
#[derive(Debug, Default)]
pub(super) struct ReadyQueue {
    levels: BTreeMap<Reverse<i32>, RunTurns>,
    /// Attempts that are queued or running.
    pub(super) outstanding: u32,
    /// Most attempts that may be outstanding.
    pub(super) window: u32,
}

/// Runs take turns.
#[derive(Debug, Default)]
struct RunTurns {
    order: VecDeque<RunId>,
    tasks: HashMap<RunId, VecDeque<NodeId>>,
}

impl ReadyQueue {
    /// An empty one.
    pub(super) fn new(window: u32) -> Self {
        Self { window, ..Self::default() }
    }

    /// Adds a ready task.
    pub(super) fn push(&mut self, priority: i32, task: TaskKey) {
        let turns = self.levels.entry(Reverse(priority)).or_default();
        let tasks = turns.tasks.entry(task.run).or_default();
        if tasks.is_empty() {
            turns.order.push_back(task.run);
        }
        tasks.push_back(task.node());
    }

    /// The next ready task, whether or not there is room.
    pub(super) fn pop(&mut self) -> Option<TaskKey> {
        let mut level = self.levels.first_entry()?;
        let turns = level.get_mut();
        let run = turns.order.pop_front()?;
        let tasks = turns.tasks.get_mut(&run)?;
        let task = tasks.pop_front()?;
        if tasks.is_empty() {
            turns.tasks.remove(&run);
        } else {
            turns.order.push_back(run);
        }
        if turns.order.is_empty() {
            level.remove();
        }
        Some(task.of(run))
    }

    /// Whether another task may be let in.
    pub(super) fn has_room(&self) -> bool {
        self.outstanding < self.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TaskNo;

    #[test]
    fn higher_priority_goes_first_and_runs_take_turns() {
        let mut queue = ReadyQueue::default();
        for task in 0..3 {
            queue.push(0, TaskKey::single(RunId(1), TaskNo(task)));
        }
        queue.push(0, TaskKey::single(RunId(2), TaskNo(0)));
        queue.push(5, TaskKey::single(RunId(3), TaskNo(0)));
        let order: Vec<(i64, u32)> =
            std::iter::from_fn(|| queue.pop()).map(|key| (key.run.0, key.task.0)).collect();
        assert_eq!(order, [(3, 0), (1, 0), (2, 0), (1, 1), (1, 2)]);
    }

    #[test]
    fn instances_of_one_task_come_out_as_they_went_in() {
        let mut queue = ReadyQueue::default();
        let keys: Vec<TaskKey> =
            (0..3).map(|index| TaskKey { index, ..TaskKey::single(RunId(1), TaskNo(7)) }).collect();
        keys.iter().for_each(|key| queue.push(0, *key));
        assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), keys);
    }
}
