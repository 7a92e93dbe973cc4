//! How the run ended: a table for people, one JSON object for programs.

use std::collections::HashMap;

use chrono::TimeDelta;
use rota_core::dag::Dag;
use rota_core::id::TaskNo;
use rota_core::port::{RunRow, TaskRow};
use rota_core::state::{RunState, TaskState};
use serde_json::{Value, json};

use crate::output::{Table, print_json, print_line};
use crate::{text, time};

/// A run that is over, with its rows.
pub(super) struct EndedRun {
    /// The run.
    pub(super) run: RunRow,
    /// Its tasks' rows; those that never got one are left out.
    pub(super) tasks: Vec<TaskRow>,
}

/// What is told of it.
pub(super) struct Report {
    dag: String,
    state: RunState,
    took: Option<TimeDelta>,
    reason: Option<String>,
    lines: Vec<ReportLine>,
}

/// A task, with its row if it has one.
struct ReportLine {
    name: String,
    row: Option<TaskRow>,
}

impl Report {
    /// Of the chosen tasks of `dag`, in the order of the file.
    pub(super) fn new(dag: &Dag, chosen: &[bool], target: Option<TaskNo>, ended: EndedRun) -> Self {
        let mut rows: HashMap<TaskNo, TaskRow> =
            ended.tasks.into_iter().map(|row| (row.key.task, row)).collect();
        let state = match target {
            Some(target) => state_of_target(ended.run.state, rows.get(&target)),
            None => ended.run.state,
        };
        let took = ended.run.started_at.zip(ended.run.finished_at).map(|(from, to)| to - from);
        let lines = dag
            .task_nos()
            .filter(|task| chosen[task.0 as usize])
            .map(|task| ReportLine { name: dag.task(task).name.to_string(), row: rows.remove(&task) })
            .collect();
        Self { dag: dag.id.to_string(), state, took, reason: ended.run.reason, lines }
    }

    /// Whether the run did what it should.
    pub(super) fn is_success(&self) -> bool {
        self.state == RunState::Success
    }

    /// Prints the one JSON object.
    pub(super) fn print_json(&self) -> anyhow::Result<()> {
        let tasks: Vec<Value> = self.lines.iter().map(ReportLine::json).collect();
        print_json(&json!({"dag": self.dag, "state": self.state.as_str(), "tasks": tasks}))
    }

    /// Prints the table, with the outcome below it, where it is read first.
    pub(super) fn print(&self) -> anyhow::Result<()> {
        print_line("")?;
        let mut table = Table::new(&["TASK", "STATE", "ATTEMPT", "TOOK", "EXIT", "WHY"]);
        for line in &self.lines {
            table.row(line.cells());
        }
        table.print("no tasks")?;
        let took = self.took.map(|took| format!(" after {}", time::duration(took))).unwrap_or_default();
        let reason =
            self.reason.as_ref().map(|reason| format!(": {}", text::clean(reason))).unwrap_or_default();
        print_line(&format!("\n{}: {}{took}{reason}", self.dag, self.state))
    }
}

/// With one task asked for, its end is what counts: those after it were left out on purpose.
fn state_of_target(run: RunState, row: Option<&TaskRow>) -> RunState {
    match row.map(|row| row.state) {
        Some(TaskState::Success | TaskState::Skipped) => RunState::Success,
        Some(TaskState::Cancelled) => RunState::Cancelled,
        Some(TaskState::Failed | TaskState::UpstreamFailed) => RunState::Failed,
        _ => run,
    }
}

impl ReportLine {
    fn state(&self) -> TaskState {
        self.row.as_ref().map_or(TaskState::Waiting, |row| row.state)
    }

    fn json(&self) -> Value {
        let row = self.row.as_ref();
        json!({
            "task": self.name,
            "index": row.map_or(0, |row| row.key.index),
            "state": self.state().as_str(),
            "attempt": row.map_or(0, |row| row.attempt),
            "exit_code": row.and_then(|row| row.exit_code),
            "outputs": row.and_then(|row| row.outputs.clone()).unwrap_or_default(),
        })
    }

    fn cells(&self) -> Vec<String> {
        let row = self.row.as_ref();
        let took = row
            .and_then(|row| row.started_at.zip(row.finished_at))
            .map(|(from, to)| time::duration(to - from));
        let attempt = row.map(|row| row.attempt).filter(|&attempt| attempt > 0);
        vec![
            self.name.clone(),
            self.state().to_string(),
            attempt.map(|attempt| attempt.to_string()).unwrap_or_default(),
            took.unwrap_or_default(),
            row.and_then(|row| row.exit_code).map(|code| code.to_string()).unwrap_or_default(),
            row.and_then(|row| row.error.clone()).unwrap_or_default(),
        ]
    }
}
