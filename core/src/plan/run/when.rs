//! `when`: whether a task whose trigger rule says "run" is to run, and the outputs that such questions read.

use std::collections::BTreeMap;

use serde_json::Value;

use super::RunWalk;
use crate::dag::{Answer, Dag, DefaultShell, Scope, Task, eval_when};
use crate::id::{NodeId, TaskNo};
use crate::plan::draft::Draft;
use crate::plan::trigger_rule::{Verdict, verdict};
use crate::port::TaskRow;
use crate::state::{IllegalTransition, TaskEvent, TaskState};

/// What the `when`s of a run read of its other tasks.
#[derive(Debug, Clone)]
pub(super) struct WhenInputs {
    /// Tasks whose outputs some `when` reads, and the tasks whose it is.
    readers: BTreeMap<TaskNo, Vec<TaskNo>>,
    /// What those of them wrote that have succeeded, by name.
    outputs: BTreeMap<String, Value>,
}

impl WhenInputs {
    /// None is there yet.
    pub(super) fn of(dag: &Dag) -> Self {
        let mut readers: BTreeMap<TaskNo, Vec<TaskNo>> = BTreeMap::new();
        for reader in dag.task_nos() {
            for read in &dag.task(reader).when_reads_outputs_of {
                readers.entry(*read).or_default().push(reader);
            }
        }
        Self { readers, outputs: BTreeMap::new() }
    }

    /// The tasks whose `when` reads the outputs of this one.
    pub(super) fn readers_of(&self, task: TaskNo) -> Vec<TaskNo> {
        self.readers.get(&task).cloned().unwrap_or_default()
    }

    /// Keeps the outputs of a task that succeeded, if some `when` reads them: they are most of what a run weighs.
    pub(super) fn keep(&mut self, row: &TaskRow) {
        if row.state == TaskState::Success && self.readers.contains_key(&row.key.task) {
            let outputs = row.outputs.clone().unwrap_or_default();
            self.outputs.insert(row.name.to_string(), Value::Object(outputs));
        }
    }

    /// A task is to run again.
    pub(super) fn forget(&mut self, task: &Task) {
        self.outputs.remove(task.name.as_str());
    }
}

impl RunWalk {
    /// Evaluates the `when` of a task that asked; one that does not ask (any more) stays as it is. Returns how many steps it
    /// took.
    pub(in crate::plan) fn answer(
        &mut self,
        id: NodeId,
        draft: &mut Draft<'_>,
    ) -> Result<u64, IllegalTransition> {
        let node = &self.nodes[id];
        let task = self.dag.task(id.task);
        let asks = node.state == TaskState::Waiting
            && !node.ready
            && self.row.ending.is_none()
            && verdict(task.trigger_rule, &node.tally) == Verdict::Run
            && self.when_waits_for(task).is_none();
        if !asks {
            return Ok(0);
        }
        let answer = self.evaluate(task);
        let (event, reason) = match answer.holds {
            Ok(true) => {
                self.make_ready(id, draft);
                return Ok(answer.steps);
            }
            Ok(false) => (TaskEvent::Skip, "`when` is false".to_owned()),
            Err(error) => (TaskEvent::Abort, format!("`when` cannot be evaluated: {error}")),
        };
        self.settle(id, event, reason, draft)?;
        self.spread(id, draft)?;
        Ok(answer.steps)
    }

    /// A task whose outputs a task's `when` reads and that has not ended: the answer would depend on when it is asked.
    pub(in crate::plan) fn when_waits_for(&self, task: &Task) -> Option<TaskNo> {
        let mut read = task.when_reads_outputs_of.iter().copied();
        read.find(|read| !self.state(NodeId::single(*read)).is_terminal())
    }

    /// Evaluates a task's `when` with the run's parameters and the outputs of tasks above it. It is looked at before the
    /// first attempt, so `attempt` is 1 in it.
    fn evaluate(&self, task: &Task) -> Answer {
        let scope = Scope {
            run: self.row.id,
            run_state: self.row.state,
            slot: self.row.slot,
            interval_start: self.row.interval_start,
            created_at: self.row.created_at,
            params: &self.row.params,
            index: 0,
            attempt: 1,
            outputs: &self.inputs.outputs,
            shell: DefaultShell::default(),
        };
        eval_when(&self.dag, task, &scope)
    }
}
