//! Where the tasks of a DAG stand in a drawing: layers from left to right by what needs what, ordered so that edges
//! cross little, long edges led around the nodes between. Pure geometry in abstract places; bounded work.

use rota_core::dag::{Dag, layers};
use rota_core::id::TaskNo;

/// Passes over the layers that untangle edges.
const SWEEPS: usize = 8;
/// Height that a node takes in its column, and that a passing edge takes.
const NODE_HEIGHT: f64 = 60.0;
const PASS_HEIGHT: f64 = 24.0;

/// A place in a column: a task, or a bend of an edge that passes by.
#[derive(Debug, Clone)]
struct ColumnPlace {
    task: Option<TaskNo>,
    /// Places in the column before and after that it is joined with.
    left: Vec<usize>,
    right: Vec<usize>,
    y: f64,
}

/// A laid out DAG. `y` is the middle of a node, from 0.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Column and middle of each task.
    pub(crate) nodes: Vec<(usize, f64)>,
    /// Each edge with the middles of its bends: one per column passed.
    pub(crate) edges: Vec<LaidEdge>,
    pub(crate) columns: usize,
    pub(crate) height: f64,
}

/// An edge, from left to right.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LaidEdge {
    pub(crate) from: TaskNo,
    pub(crate) to: TaskNo,
    /// Where it passes the columns between.
    pub(crate) bends: Vec<f64>,
}

/// The places (column, index) that an edge goes through.
type Chain = Vec<(usize, usize)>;

struct LayoutBoard {
    columns: Vec<Vec<ColumnPlace>>,
    /// Column and index of each task.
    at: Vec<(usize, usize)>,
    /// Edges as chains of (column, index).
    chains: Vec<(TaskNo, TaskNo, Chain)>,
}

/// Lays the DAG out.
pub(crate) fn layout(dag: &Dag) -> Layout {
    let mut board = LayoutBoard::new(dag);
    let mut order: Vec<Vec<usize>> = board.columns.iter().map(|column| (0..column.len()).collect()).collect();
    for sweep in 0..SWEEPS {
        board.sweep(&mut order, sweep % 2 == 0);
    }
    board.settle(&order);
    board.finish(dag)
}

impl LayoutBoard {
    fn new(dag: &Dag) -> Self {
        let mut columns: Vec<Vec<ColumnPlace>> = Vec::new();
        let mut at = vec![(0, 0); dag.tasks.len()];
        for (number, layer) in layers(dag).into_iter().enumerate() {
            for (index, task) in layer.iter().enumerate() {
                at[task.0 as usize] = (number, index);
            }
            columns.push(layer.into_iter().map(|task| ColumnPlace::new(Some(task))).collect());
        }
        let mut board = Self { columns, at, chains: Vec::new() };
        for from in dag.task_nos() {
            for to in &dag.graph.down[from.0 as usize] {
                board.join(from, *to);
            }
        }
        board
    }

    /// Adds an edge, with a place in each column that it passes.
    fn join(&mut self, from: TaskNo, to: TaskNo) {
        let (start, end) = (self.at[from.0 as usize], self.at[to.0 as usize]);
        let mut chain = vec![start];
        for column in start.0 + 1..end.0 {
            self.columns[column].push(ColumnPlace::new(None));
            chain.push((column, self.columns[column].len() - 1));
        }
        chain.push(end);
        for pair in chain.windows(2) {
            self.columns[pair[0].0][pair[0].1].right.push(pair[1].1);
            self.columns[pair[1].0][pair[1].1].left.push(pair[0].1);
        }
        self.chains.push((from, to, chain));
    }

    /// Orders each column by the middle of its neighbours in the column before (or after).
    fn sweep(&self, order: &mut [Vec<usize>], forward: bool) {
        let columns: Vec<usize> = if forward {
            (1..order.len()).collect()
        } else {
            (0..order.len().saturating_sub(1)).rev().collect()
        };
        for column in columns {
            let beside = if forward { column - 1 } else { column + 1 };
            let mut rank = vec![0usize; self.columns[beside].len()];
            for (place, index) in order[beside].iter().enumerate() {
                rank[*index] = place;
            }
            let places = &self.columns[column];
            let mut keyed: Vec<(f64, usize)> = order[column]
                .iter()
                .enumerate()
                .map(|(old, index)| {
                    let near = if forward { &places[*index].left } else { &places[*index].right };
                    let sum: usize = near.iter().map(|index| rank[*index]).sum();
                    (if near.is_empty() { old as f64 } else { sum as f64 / near.len() as f64 }, *index)
                })
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            order[column] = keyed.into_iter().map(|(_, index)| index).collect();
        }
    }

    /// Gives every place its height: as near to its neighbours as the order in its column allows.
    fn settle(&mut self, order: &[Vec<usize>]) {
        for (column, places) in order.iter().zip(&mut self.columns) {
            let mut y = 0.0;
            for index in column {
                let half = places[*index].height() / 2.0;
                places[*index].y = y + half;
                y += half * 2.0;
            }
        }
        for pass in 0..SWEEPS {
            let forward = pass % 2 == 0;
            for step in 0..order.len() {
                let column = if forward { step } else { order.len() - 1 - step };
                let wanted = self.wanted(column);
                spread(&order[column], &wanted, &mut self.columns[column]);
            }
        }
        let top = |place: &ColumnPlace| place.y - place.height() / 2.0;
        let lowest = self.columns.iter().flatten().map(top).fold(f64::INFINITY, f64::min);
        self.columns.iter_mut().flatten().for_each(|place| place.y -= lowest);
    }

    /// The middle of each place's neighbours on both sides.
    fn wanted(&self, column: usize) -> Vec<f64> {
        let side = |near: &[usize], beside: Option<&Vec<ColumnPlace>>| -> Vec<f64> {
            beside.map(|places| near.iter().map(|index| places[*index].y).collect()).unwrap_or_default()
        };
        let (before, after) =
            (column.checked_sub(1).and_then(|n| self.columns.get(n)), self.columns.get(column + 1));
        self.columns[column]
            .iter()
            .map(|place| {
                let mut near = side(&place.left, before);
                near.extend(side(&place.right, after));
                if near.is_empty() { place.y } else { near.iter().sum::<f64>() / near.len() as f64 }
            })
            .collect()
    }

    fn finish(self, dag: &Dag) -> Layout {
        let y = |(column, index): (usize, usize)| self.columns[column][index].y;
        let nodes = dag.task_nos().map(|task| self.at[task.0 as usize]).map(|at| (at.0, y(at))).collect();
        let edges = self
            .chains
            .iter()
            .map(|(from, to, chain)| {
                let bends = chain[1..chain.len() - 1].iter().map(|at| y(*at)).collect();
                LaidEdge { from: *from, to: *to, bends }
            })
            .collect();
        let bottom = |place: &ColumnPlace| place.y + place.height() / 2.0;
        let height = self.columns.iter().flatten().map(bottom).fold(0.0, f64::max);
        Layout { nodes, edges, columns: self.columns.len(), height }
    }
}

impl ColumnPlace {
    fn new(task: Option<TaskNo>) -> Self {
        Self { task, left: Vec::new(), right: Vec::new(), y: 0.0 }
    }

    fn height(&self) -> f64 {
        if self.task.is_some() { NODE_HEIGHT } else { PASS_HEIGHT }
    }
}

/// Puts places where they want to be, in order and without overlap: groups that push each other share the mean of
/// their wishes (pool adjacent violators).
fn spread(order: &[usize], wanted: &[f64], places: &mut [ColumnPlace]) {
    // Each group: its members' offsets from its start, the sum of (wish - offset), and how many they are.
    struct Group {
        members: Vec<(usize, f64)>,
        height: f64,
        sum: f64,
    }
    let start = |group: &Group| group.sum / group.members.len() as f64;
    let mut groups: Vec<Group> = Vec::new();
    for index in order {
        let half = places[*index].height() / 2.0;
        let mut group =
            Group { members: vec![(*index, half)], height: half * 2.0, sum: wanted[*index] - half };
        while let Some(above) = groups.pop() {
            if start(&above) + above.height <= start(&group) {
                groups.push(above);
                break;
            }
            group = merged(above, group);
        }
        groups.push(group);
    }
    fn merged(above: Group, below: Group) -> Group {
        let offset = above.height;
        let sum = above.sum + below.sum - offset * below.members.len() as f64;
        let moved = below.members.into_iter().map(|(index, at)| (index, at + offset));
        let members = above.members.into_iter().chain(moved).collect();
        Group { members, height: offset + below.height, sum }
    }
    for group in &groups {
        let top = start(group);
        group.members.iter().for_each(|(index, offset)| places[*index].y = top + offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rota_core::dag::parse;

    fn dag(tasks: &str) -> Dag {
        parse("a.yaml", &format!("tasks:\n{tasks}")).expect("valid")
    }

    #[test]
    fn nodes_of_a_column_never_overlap() {
        let wide: String = (0..30).map(|n| format!("  t{n}: {{noop: {{}}, needs: [root]}}\n")).collect();
        let laid = layout(&dag(&format!("  root: {{noop: {{}}}}\n{wide}")));
        let mut column: Vec<f64> = laid.nodes.iter().filter(|(at, _)| *at == 1).map(|(_, y)| *y).collect();
        column.sort_by(f64::total_cmp);
        assert!(column.windows(2).all(|pair| pair[1] - pair[0] >= NODE_HEIGHT - 0.01));
        assert!(laid.nodes.iter().all(|(_, y)| *y >= 0.0 && *y <= laid.height));
    }

    #[test]
    fn a_long_edge_bends_once_per_column_that_it_passes() {
        let laid = layout(&dag(
            "  a: {noop: {}}\n  b: {noop: {}, needs: [a]}\n  c: {noop: {}, needs: [b]}\n  d: {noop: {}, needs: [a, c]}\n",
        ));
        let long =
            laid.edges.iter().find(|edge| edge.from == TaskNo(0) && edge.to == TaskNo(3)).expect("drawn");
        assert_eq!((laid.columns, long.bends.len()), (4, 2));
        let passed = laid.nodes[1].1;
        assert!((long.bends[0] - passed).abs() >= (NODE_HEIGHT + PASS_HEIGHT) / 2.0 - 0.01, "through a node");
    }

    #[test]
    fn a_chain_is_a_straight_line() {
        let laid =
            layout(&dag("  a: {noop: {}}\n  b: {noop: {}, needs: [a]}\n  c: {noop: {}, needs: [b]}\n"));
        assert!(laid.nodes.windows(2).all(|pair| (pair[0].1 - pair[1].1).abs() < 0.01));
    }
}
