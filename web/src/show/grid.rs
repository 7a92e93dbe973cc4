//! The grid of a DAG page: its last runs across, its tasks down, newest at the right.

use std::collections::HashMap;

use rota_core::dag::Dag;
use rota_core::id::RunId;
use rota_core::port::{RunRow, TaskRow};
use rota_core::state::{RunState, TaskState};

use super::look::StateStyle;
use super::name::{run_name, run_title};
use super::runs::took;
use super::time::{LocalClock, count};

/// Runs shown.
pub(crate) const RUNS_MAX: usize = 28;
/// Tasks shown.
pub(crate) const TASKS_MAX: usize = 60;
/// Columns that the word of a day needs.
const DAY_COLUMNS: usize = 3;

/// A run's column.
#[derive(Debug)]
pub(crate) struct GridColumn {
    pub(crate) run: RunId,
    pub(crate) class: &'static str,
    pub(crate) title: String,
    pub(crate) y: u32,
    pub(crate) height: u32,
    pub(crate) failed: bool,
}

/// A task of a run.
#[derive(Debug)]
pub(crate) struct GridCell {
    pub(crate) class: &'static str,
    /// `m-…`; empty: the cell shows none.
    pub(crate) glyph: &'static str,
    pub(crate) title: String,
    /// Empty: the run's version has no such task.
    pub(crate) href: String,
}

/// A task's row.
#[derive(Debug)]
pub(crate) struct TaskLine {
    pub(crate) name: String,
    pub(crate) cells: Vec<GridCell>,
}

/// The grid.
#[derive(Debug)]
pub(crate) struct Grid {
    /// The day over some columns, and how many.
    pub(crate) days: Vec<(String, usize)>,
    pub(crate) columns: Vec<GridColumn>,
    pub(crate) lines: Vec<TaskLine>,
    /// How many runs and tasks it shows.
    pub(crate) said: String,
}

/// `runs` newest first, `tasks` of all of them.
pub(crate) fn grid(moment: &LocalClock, dag: &Dag, runs: &[RunRow], tasks: &[TaskRow]) -> Grid {
    let runs: Vec<&RunRow> = runs.iter().take(RUNS_MAX).rev().collect();
    let longest = runs.iter().map(|run| took(run, moment.now).num_milliseconds()).max().unwrap_or(0).max(1);
    let rows: HashMap<(RunId, &str), &TaskRow> = tasks
        .iter()
        .filter(|row| row.key.index == 0)
        .map(|row| ((row.key.run, row.name.as_str()), row))
        .collect();
    let lines = dag.tasks.iter().take(TASKS_MAX).map(|task| TaskLine {
        name: task.name.to_string(),
        cells: runs.iter().map(|run| cell(moment, run, task.name.as_str(), &rows)).collect(),
    });
    let shown = count(dag.tasks.len().min(TASKS_MAX) as u64, "task");
    let of = if dag.tasks.len() > TASKS_MAX { format!(" of {}", dag.tasks.len()) } else { String::new() };
    let said = format!("{}, with {shown}{of}", runs.len());
    Grid {
        days: days(moment, &runs),
        columns: runs.iter().map(|run| column(moment, run, longest)).collect(),
        lines: lines.collect(),
        said,
    }
}

/// When a run belongs on the axis: its slot, else when it was made.
pub(crate) fn run_at(run: &RunRow) -> chrono::DateTime<chrono::Utc> {
    run.slot.unwrap_or(run.created_at)
}

fn column(moment: &LocalClock, run: &RunRow, longest_ms: i64) -> GridColumn {
    let part = took(run, moment.now).num_milliseconds() as f64 / longest_ms as f64;
    let height = (4.0 + part * 38.0).round() as u32;
    let look = StateStyle::run(run.state);
    GridColumn {
        run: run.id,
        class: look.class,
        title: format!("{}, {}", run_title(moment, run), look.word),
        y: 50 - height,
        height,
        failed: run.state == RunState::Failed,
    }
}

fn cell(moment: &LocalClock, run: &RunRow, task: &str, rows: &HashMap<(RunId, &str), &TaskRow>) -> GridCell {
    let state = rows.get(&(run.id, task)).map(|row| row.state);
    // A task without a row waits while its run goes on; in a finished run its version had no such task.
    let state = state.or((!run.state.is_terminal()).then_some(TaskState::Waiting));
    let Some(state) = state else {
        return GridCell { class: "is-none", glyph: "", title: String::new(), href: String::new() };
    };
    let look = StateStyle::task(state);
    GridCell {
        class: look.class,
        glyph: if state == TaskState::Success { "" } else { look.glyph },
        title: format!("{task}, {}, {}", run_name(moment, run), look.word),
        href: format!("/runs/{}/tasks/{task}", run.id),
    }
}

/// Days over the columns; a day with fewer columns than its word needs joins the one before.
fn days(moment: &LocalClock, runs: &[&RunRow]) -> Vec<(String, usize)> {
    let mut out: Vec<(String, usize)> = Vec::new();
    for run in runs {
        let day = run_at(run).with_timezone(&moment.zone).format("%-d %b").to_string();
        match out.last_mut() {
            Some((last, columns)) if *last == day || *columns < DAY_COLUMNS => *columns += 1,
            _ => out.push((day, 1)),
        }
    }
    out
}
