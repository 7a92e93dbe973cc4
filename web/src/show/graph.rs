//! A DAG as a drawing: nodes with state and one note, edges by what became of them.

use std::fmt::Write as _;

use askama::Template;
use askama::filters::HtmlSafe;
use rota_core::dag::Dag;
use rota_core::state::TaskState;

use super::layout::{LaidEdge, layout};
use super::look::StateStyle;
use super::time::count;

/// More tasks than this are listed, not drawn: nobody can read such a drawing, and it would be megabytes.
pub(crate) const TASKS_MAX: usize = 300;
const NODE_WIDTH: f64 = 200.0;
const NODE_HEIGHT: f64 = 48.0;
/// From column to column; long graphs are drawn closer, so that five columns fit a common screen.
const PITCH_WIDE: f64 = 280.0;
const PITCH_CLOSE: f64 = 248.0;
const MARGIN: f64 = 24.0;
/// Characters that fit into a node.
const NAME_CHARS: usize = 21;
const NOTE_CHARS: usize = 26;

/// What is known of a task, in the DAG's order.
#[derive(Debug, Clone)]
pub(crate) struct NodeState {
    /// `None` on a page that shows no run.
    pub(crate) state: Option<TaskState>,
    /// One line: how long it took, or why it waits.
    pub(crate) note: String,
    /// Where a click leads; empty: nowhere.
    pub(crate) href: String,
}

/// A node.
#[derive(Debug)]
pub(crate) struct GraphNode {
    pub(crate) class: &'static str,
    pub(crate) glyph: &'static str,
    pub(crate) word: &'static str,
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) name: String,
    pub(crate) short: String,
    pub(crate) note: String,
    pub(crate) href: String,
}

/// An edge: its path and how it looks.
#[derive(Debug)]
pub(crate) struct GraphEdge {
    pub(crate) class: &'static str,
    pub(crate) path: String,
}

/// The drawing.
#[derive(Debug, Template)]
#[template(path = "svg/graph.html")]
pub(crate) struct Graph {
    pub(crate) label: String,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) lines: Vec<GraphEdge>,
    pub(crate) nodes: Vec<GraphNode>,
}

impl HtmlSafe for Graph {}

/// Draws the DAG; `None` if it has too many tasks. `states` is in the DAG's order.
pub(crate) fn graph(dag: &Dag, states: &[NodeState]) -> Option<Graph> {
    if dag.tasks.len() > TASKS_MAX || states.len() != dag.tasks.len() {
        return None;
    }
    let laid = layout(dag);
    let pitch = if laid.columns > 4 { PITCH_CLOSE } else { PITCH_WIDE };
    let nodes = dag.tasks.iter().zip(states).zip(&laid.nodes).map(|((task, state), (column, middle))| {
        let look =
            state.state.map_or(StateStyle { class: "is-none", glyph: "waiting", word: "" }, StateStyle::task);
        GraphNode {
            class: look.class,
            glyph: look.glyph,
            word: look.word,
            x: left(pitch, *column),
            y: (MARGIN + middle - NODE_HEIGHT / 2.0).round(),
            name: task.name.to_string(),
            short: cut(task.name.as_str(), NAME_CHARS),
            note: cut(&short_note(&state.note), NOTE_CHARS),
            href: state.href.clone(),
        }
    });
    let lines = laid.edges.iter().map(|edge| {
        let ends = (states[edge.from.0 as usize].state, states[edge.to.0 as usize].state);
        GraphEdge { class: edge_class(ends.0, ends.1), path: path(pitch, edge, &laid.nodes) }
    });
    Some(Graph {
        label: format!("Graph of {}", count(dag.tasks.len() as u64, "task")),
        width: 2.0 * MARGIN + NODE_WIDTH + pitch * (laid.columns.max(1) - 1) as f64,
        height: (2.0 * MARGIN + laid.height).round(),
        lines: lines.collect(),
        nodes: nodes.collect(),
    })
}

fn left(pitch: f64, column: usize) -> f64 {
    MARGIN + pitch * column as f64
}

/// `for load_payments` where the reason is a long form of it; without backticks, which a drawing cannot show.
fn short_note(note: &str) -> String {
    let short = note.strip_prefix("waits for task ").or_else(|| note.strip_prefix("waits for "));
    short.map_or_else(|| note.to_owned(), |rest| format!("for {rest}")).replace('`', "")
}

/// Cut to `max` characters.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let short: String = text.chars().take(max - 1).collect();
    format!("{}…", short.trim_end())
}

fn edge_class(from: Option<TaskState>, to: Option<TaskState>) -> &'static str {
    match (from, to) {
        (None, _) | (_, None) => "graph-edge",
        (Some(TaskState::Success), Some(to)) if to != TaskState::Waiting => "graph-edge is-done",
        (Some(TaskState::Failed | TaskState::UpstreamFailed), Some(TaskState::UpstreamFailed)) => {
            "graph-edge is-broken"
        }
        (Some(from), Some(_)) if from.is_terminal() && from != TaskState::Success => "graph-edge is-held",
        (Some(_), Some(_)) => "graph-edge is-held",
    }
}

/// A curve from the right side of one node to the left side of the other, level where it passes other columns.
fn path(pitch: f64, edge: &LaidEdge, nodes: &[(usize, f64)]) -> String {
    let (from, to) = (nodes[edge.from.0 as usize], nodes[edge.to.0 as usize]);
    let y = |middle: f64| (MARGIN + middle).round();
    let left = |column: usize| left(pitch, column);
    let mut out = format!("M{} {}", left(from.0) + NODE_WIDTH, y(from.1));
    let mut at = y(from.1);
    for (passed, bend) in edge.bends.iter().enumerate() {
        let column = left(from.0 + 1 + passed);
        curve(&mut out, column - pitch + NODE_WIDTH, at, column, y(*bend));
        // Writing into a String cannot fail.
        let _ = write!(out, "H{}", column + NODE_WIDTH);
        at = y(*bend);
    }
    let end = left(to.0) - 2.0;
    curve(&mut out, left(to.0) - pitch + NODE_WIDTH, at, end, y(to.1));
    out
}

fn curve(out: &mut String, x1: f64, y1: f64, x2: f64, y2: f64) {
    let middle = ((x1 + x2) / 2.0).round();
    // Writing into a String cannot fail.
    let _ = if (y1 - y2).abs() < 0.5 {
        write!(out, "H{x2}")
    } else {
        write!(out, "C{middle} {y1} {middle} {y2} {x2} {y2}")
    };
}
