//! The dependencies as a graph: order, cycles, layers and a drawing in text. Nothing here recurses over tasks.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::fmt::Write;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::id::TaskNo;

use super::model::{Dag, Graph, TriggerRule};

/// Most task names in the text of a cycle.
const CYCLE_NAMES_MAX: usize = 12;

/// The graph of tasks that need the tasks in `up`.
///
/// # Errors
/// One cycle per knot of tasks that need each other, each from its first task in file order, ascending.
pub(super) fn build(up: Vec<Vec<TaskNo>>) -> Result<Graph, Vec<Vec<TaskNo>>> {
    let mut down = vec![Vec::new(); up.len()];
    for (task, needs) in up.iter().enumerate() {
        for need in needs {
            down[need.place()].push(TaskNo(task as u32));
        }
    }
    let order = order(&up, &down);
    if order.len() < up.len() {
        return Err(cycles(&up, &down));
    }
    Ok(Graph { up, down, order })
}

/// Upstream first, file order among equals. Tasks in or below a cycle are missing.
fn order(up: &[Vec<TaskNo>], down: &[Vec<TaskNo>]) -> Vec<TaskNo> {
    let mut missing: Vec<usize> = up.iter().map(Vec::len).collect();
    let free = missing.iter().enumerate().filter(|(_, needs)| **needs == 0);
    let mut ready: BinaryHeap<Reverse<TaskNo>> = free.map(|(no, _)| Reverse(TaskNo(no as u32))).collect();
    let mut order = Vec::with_capacity(up.len());
    while let Some(Reverse(task)) = ready.pop() {
        order.push(task);
        for next in &down[task.place()] {
            missing[next.place()] -= 1;
            if missing[next.place()] == 0 {
                ready.push(Reverse(*next));
            }
        }
    }
    order
}

fn cycles(up: &[Vec<TaskNo>], down: &[Vec<TaskNo>]) -> Vec<Vec<TaskNo>> {
    let edges = down.iter().enumerate().flat_map(|(from, to)| to.iter().map(move |to| (from as u32, to.0)));
    let graph: DiGraph<(), ()> = DiGraph::from_edges(edges);
    let mut knots: Vec<Vec<NodeIndex>> =
        kosaraju_scc(&graph).into_iter().filter(|knot| knot.len() > 1).collect();
    knots.iter_mut().for_each(|knot| knot.sort_unstable());
    knots.sort_unstable();
    let mut knot_of = vec![usize::MAX; up.len()];
    for (no, knot) in knots.iter().enumerate() {
        for task in knot {
            knot_of[task.index()] = no;
        }
    }
    knots.iter().map(|knot| cycle(knot[0].index(), up, &knot_of)).collect()
}

/// A shortest way from `start` over what it needs back to itself, inside its knot.
fn cycle(start: usize, up: &[Vec<TaskNo>], knot_of: &[usize]) -> Vec<TaskNo> {
    let mut came_from: HashMap<usize, usize> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(task) = queue.pop_front() {
        for need in up[task].iter().map(|need| need.place()) {
            if need == start {
                let mut path = vec![TaskNo(task as u32)];
                let mut at = task;
                while let Some(before) = came_from.get(&at) {
                    at = *before;
                    path.push(TaskNo(at as u32));
                }
                path.reverse();
                return path;
            }
            if knot_of[need] == knot_of[start] && !came_from.contains_key(&need) {
                came_from.insert(need, task);
                queue.push_back(need);
            }
        }
    }
    vec![TaskNo(start as u32)]
}

/// `a -> b -> c -> a`, where `a` needs `b`; the middle of a long one is left out.
pub(super) fn cycle_text(cycle: &[TaskNo], name: impl Fn(TaskNo) -> String) -> String {
    let mut names: Vec<String> = cycle.iter().map(|task| name(*task)).collect();
    names.extend(cycle.first().map(|task| name(*task)));
    if names.len() > CYCLE_NAMES_MAX {
        let dropped = names.len() - CYCLE_NAMES_MAX;
        let tail = names.split_off(names.len() - CYCLE_NAMES_MAX / 2);
        names.truncate(CYCLE_NAMES_MAX / 2);
        names.push(format!("({dropped} more)"));
        names.extend(tail);
    }
    names.join(" -> ")
}

/// The tasks by their longest distance from a task that needs nothing, file order within a layer.
pub fn layers(dag: &Dag) -> Vec<Vec<TaskNo>> {
    let mut depth = vec![0_usize; dag.tasks.len()];
    for task in &dag.graph.order {
        let needs = dag.graph.up_of(*task);
        depth[task.place()] = needs.iter().map(|need| depth[need.place()] + 1).max().unwrap_or(0);
    }
    let count = depth.iter().max().map_or(0, |deepest| deepest + 1);
    let mut layers = vec![Vec::new(); count];
    for task in dag.task_nos() {
        layers[depth[task.place()]].push(task);
    }
    layers
}

/// The graph as text: a block per layer, a line per task with what it does and what it needs.
pub fn render_graph(dag: &Dag) -> String {
    let layers = layers(dag);
    let mut text =
        format!("{}: {}, {}\n", dag.id, counted(dag.tasks.len(), "task"), counted(layers.len(), "layer"));
    let width = dag.tasks.iter().map(|task| task.name.as_str().len()).max().unwrap_or(0).min(32);
    for (depth, layer) in layers.iter().enumerate() {
        if depth > 0 {
            text.push_str("  |\n");
        }
        for task in layer {
            let line = task_line(dag, *task, width);
            text.push_str("  ");
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

fn task_line(dag: &Dag, task: TaskNo, width: usize) -> String {
    let needs = dag.graph.up_of(task);
    let task = dag.task(task);
    let mut line = format!("o {:width$}  {:7}", task.name.as_str(), task.action.word());
    if !needs.is_empty() {
        let names: Vec<&str> = needs.iter().take(8).map(|need| dag.task(*need).name.as_str()).collect();
        let more = needs.len().saturating_sub(8);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        _ = write!(line, "  <- {}{more}", names.join(", "));
    }
    if task.trigger_rule != TriggerRule::AllSuccess {
        _ = write!(line, "  ({})", task.trigger_rule.as_str());
    }
    if let Some(when) = &task.when {
        _ = write!(line, "  when {}", super::error::cut(when));
    }
    line
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
