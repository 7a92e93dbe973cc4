//! Finds failures that would not show in the end of their run. A run ends as its leaf tasks end; a task whose trigger rule
//! lets it run, or skips it, after a failure does not pass that failure on. Such a file is valid, and in Airflow means the
//! same; it gets a remark.

use crate::id::TaskNo;
use crate::state::TaskState;

use super::model::{Graph, Task};
use super::read::Reader;
use super::yaml::MapEntry;

/// Most tasks that one remark names.
const NAMES_MAX: usize = 3;

/// Remarks on each task that is the last to know of a failure above it. `entries` are the tasks in the file.
pub(super) fn remark(reader: &mut Reader<'_>, tasks: &[Task], graph: &Graph, entries: &[MapEntry<'_>]) {
    let fallible = fallible(tasks, graph);
    let loud = Loud::of(tasks, graph);
    for (no, task) in tasks.iter().enumerate() {
        let above = &graph.up[no];
        let is_quiet = |up: &&TaskNo| {
            let up = up.place();
            let fails = tasks[up].action.can_fail() && !loud.failed[up];
            let hears = fallible[up] && !loud.upstream_failed[up];
            fails && !task.trigger_rule.passes_on(TaskState::Failed, above.len())
                || hears && !task.trigger_rule.passes_on(TaskState::UpstreamFailed, above.len())
        };
        let quiet: Vec<&str> =
            above.iter().filter(is_quiet).map(|up| tasks[up.place()].name.as_str()).collect();
        if !quiet.is_empty() {
            let (message, hint) = words(task, &quiet);
            reader.remarks.push(entries[no].key_pos, message, Some(hint));
        }
    }
}

fn words(task: &Task, quiet: &[&str]) -> (String, String) {
    let mut names: Vec<String> = quiet.iter().take(NAMES_MAX).map(|name| format!("`{name}`")).collect();
    if quiet.len() > NAMES_MAX {
        names.push(format!("{} more", quiet.len() - NAMES_MAX));
    }
    let names = match names.as_slice() {
        [init @ .., last] if !init.is_empty() => format!("{} or {last}", init.join(", ")),
        _ => names.concat(),
    };
    let message = format!(
        "a run can succeed although {names} failed: `{}` ends such a run without passing the failure on \
         (`trigger_rule: {}`)",
        task.name,
        task.trigger_rule.as_str()
    );
    let listed: Vec<&str> = quiet.iter().take(NAMES_MAX).copied().collect();
    let more = if quiet.len() > NAMES_MAX { ", ..." } else { "" };
    let hint = format!(
        "if it should fail, add a last task that needs {}: `outcome: {{noop: true, needs: [{}{more}]}}`",
        if quiet.len() == 1 { "it" } else { "them" },
        listed.join(", ")
    );
    (message, hint)
}

/// Per task, whether it can be upstream_failed: something above it can fail.
fn fallible(tasks: &[Task], graph: &Graph) -> Vec<bool> {
    let mut fallible = vec![false; tasks.len()];
    for task in &graph.order {
        let above = graph.up_of(*task);
        fallible[task.place()] =
            above.iter().any(|up| fallible[up.place()] || tasks[up.place()].action.can_fail());
    }
    fallible
}

/// Per task, whether its failure is sure to reach a leaf, and so to fail the run.
struct Loud {
    failed: Vec<bool>,
    upstream_failed: Vec<bool>,
}

impl Loud {
    fn of(tasks: &[Task], graph: &Graph) -> Self {
        let mut loud = Self { failed: vec![false; tasks.len()], upstream_failed: vec![false; tasks.len()] };
        for no in graph.order.iter().rev().map(|task| task.place()) {
            loud.failed[no] = loud.reaches(tasks, graph, (no, TaskState::Failed));
            loud.upstream_failed[no] = loud.reaches(tasks, graph, (no, TaskState::UpstreamFailed));
        }
        loud
    }

    fn reaches(&self, tasks: &[Task], graph: &Graph, (no, end): (usize, TaskState)) -> bool {
        let below = &graph.down[no];
        below.is_empty()
            || below.iter().map(|down| down.place()).any(|down| {
                self.upstream_failed[down] && tasks[down].trigger_rule.passes_on(end, graph.up[down].len())
            })
    }
}
