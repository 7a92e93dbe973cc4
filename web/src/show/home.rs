//! The lists of the home page: what failed, what was missed, what runs, what comes.

use std::collections::HashMap;

use chrono::TimeDelta;
use rota_core::id::{DagId, RunId};
use rota_core::port::{RunRow, SlotRow, TaskRow};
use rota_core::state::{RunState, TaskState, Trigger};

use super::look::Look;
use super::rota::Entry;
use super::runs::{took, typical};
use super::slots::Says;
use super::time::{Moment, Stamp, count, span_short};
use crate::app::Ctx;
use crate::error::Outcome;
use crate::tasks::join;

/// Entries of each list.
const SHOWN_MAX: usize = 5;
const BOARD_MAX: usize = 9;
/// Runs of a DAG among which a success after a failure is looked for.
const LOOK_BACK: usize = 10;
/// Tasks drawn one by one in a progress bar.
const PROGRESS_MAX: usize = 60;

/// The newest failed run of a DAG.
pub(crate) struct Failure {
    pub(crate) run: RunId,
    pub(crate) dag: String,
    /// The first task that failed.
    pub(crate) task: Option<String>,
    pub(crate) why: String,
    pub(crate) at: Stamp,
    /// How many more of its runs failed within the day.
    pub(crate) more: usize,
    /// Whether a later run of its DAG succeeded.
    pub(crate) recovered: bool,
}

/// A missed slot.
pub(crate) struct Missed {
    pub(crate) dag: String,
    pub(crate) why: String,
    pub(crate) at: Stamp,
}

/// An active run.
pub(crate) struct Now {
    pub(crate) run: RunId,
    pub(crate) dag: String,
    pub(crate) look: Look,
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) bars: Vec<Part>,
    pub(crate) label: String,
    pub(crate) took: String,
    pub(crate) of_about: String,
}

/// A part of a progress bar, in per cent.
pub(crate) struct Part {
    pub(crate) class: &'static str,
    pub(crate) x: super::axis::Pct,
    pub(crate) width: super::axis::Pct,
}

/// A departure.
pub(crate) struct Board {
    pub(crate) dag: String,
    pub(crate) at: Stamp,
    pub(crate) under: String,
    pub(crate) until: String,
}

/// One entry per DAG: those that still fail first, then by time. `failed` newest first.
pub(crate) async fn failures(ctx: &Ctx, failed: &[RunRow]) -> Outcome<Vec<Failure>> {
    let mut newest: Vec<(&RunRow, usize)> = Vec::new();
    for run in failed {
        match newest.iter_mut().find(|(known, _)| known.dag == run.dag) {
            Some((_, more)) => *more += 1,
            None => newest.push((run, 0)),
        }
    }
    let store = &*ctx.app.ports.store;
    let dags: Vec<DagId> = newest.iter().map(|(run, _)| run.dag.clone()).collect();
    let recent = store.view_recent_runs(&dags, LOOK_BACK).await?;
    let recovered = |run: &RunRow| {
        let later = recent.iter().filter(|other| other.dag == run.dag && other.id > run.id);
        later.into_iter().any(|other| other.state == RunState::Success)
    };
    newest.sort_by_key(|(run, _)| recovered(run));
    let ids: Vec<RunId> = newest.iter().take(SHOWN_MAX).map(|(run, _)| run.id).collect();
    let tasks = store.view_tasks(&ids).await?;
    let one = |(run, more): (&RunRow, usize)| {
        let known = failure(&ctx.moment, run, more, &tasks);
        Failure { recovered: recovered(run), ..known }
    };
    Ok(newest.into_iter().map(one).collect())
}

fn failure(moment: &Moment, run: &RunRow, more: usize, tasks: &[TaskRow]) -> Failure {
    let of_run =
        |state: TaskState| tasks.iter().filter(move |task| task.key.run == run.id && task.state == state);
    let task = of_run(TaskState::Failed).next();
    let after = of_run(TaskState::UpstreamFailed).count() as u64;
    let error = task.and_then(|task| task.error.clone()).or_else(|| run.reason.clone());
    let mut why = sentence(&error.unwrap_or_else(|| "no reason was recorded".to_owned()));
    if after > 0 {
        why.push_str(&format!(" {} after it did not run.", count(after, "task")));
    }
    Failure {
        run: run.id,
        dag: run.dag.to_string(),
        task: task.map(|task| task.name.to_string()),
        why,
        at: moment.slot(run.finished_at.unwrap_or(run.created_at)).without_seconds(),
        more,
        recovered: false,
    }
}

/// With a capital and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// The newest missed slots.
pub(crate) fn missed(moment: &Moment, slots: &[SlotRow]) -> Vec<Missed> {
    let one = |slot: &SlotRow| {
        let reason = sentence(slot.reason.as_deref().unwrap_or("no reason was recorded"));
        let why = match slot.count {
            0 | 1 => reason,
            many => format!("{} up to {}. {reason}", count(many, "slot"), moment.slot(slot.to).text),
        };
        Missed { dag: slot.dag.to_string(), why, at: moment.slot(slot.slot) }
    };
    slots.iter().take(SHOWN_MAX).map(one).collect()
}

/// The active runs that began first, with how far they are.
pub(crate) async fn now(ctx: &Ctx, active: &[RunRow]) -> Outcome<Vec<Now>> {
    let shown: Vec<&RunRow> = active.iter().rev().take(SHOWN_MAX).collect();
    let ids: Vec<RunId> = shown.iter().map(|run| run.id).collect();
    let mut rows: HashMap<RunId, Vec<TaskRow>> = HashMap::new();
    for row in ctx.app.ports.store.view_tasks(&ids).await? {
        rows.entry(row.key.run).or_default().push(row);
    }
    let mut out = Vec::with_capacity(shown.len());
    for run in shown {
        let dag = ctx.version(run).await?;
        let recent = ctx.app.ports.store.view_recent_runs(std::slice::from_ref(&run.dag), 25).await?;
        let tasks = join(dag.as_deref(), rows.remove(&run.id).unwrap_or_default());
        let states: Vec<TaskState> = tasks.iter().map(|task| task.state).collect();
        out.push(active_run(&ctx.moment, run, &states, typical(&recent, ctx.moment.now)));
    }
    Ok(out)
}

fn active_run(moment: &Moment, run: &RunRow, states: &[TaskState], typical: Option<TimeDelta>) -> Now {
    let done = states.iter().filter(|state| state.is_terminal()).count();
    let retrying = states.iter().filter(|state| **state == TaskState::UpForRetry).count() as u64;
    let why = match (run.state, retrying) {
        (RunState::Queued, _) => "Waits for its turn among the active runs.".to_owned(),
        (_, 0) => run.ending.as_ref().map(|ending| sentence(&ending.reason)).unwrap_or_default(),
        (_, retrying) => format!("{} up for retry.", count(retrying, "task")),
    };
    Now {
        run: run.id,
        dag: run.dag.to_string(),
        look: Look::run(run.state),
        what: what(moment, run),
        why,
        bars: parts(states),
        label: format!("{done} of {} done", count(states.len() as u64, "task")),
        took: span_short(took(run, moment.now)),
        of_about: typical.map(|typical| format!("of about {}", span_short(typical))).unwrap_or_default(),
    }
}

/// `slot 09:30`, or who asked.
pub(crate) fn what(moment: &Moment, run: &RunRow) -> String {
    match (run.slot, run.trigger) {
        (Some(slot), _) => format!("slot {}", moment.slot(slot).text),
        (None, Trigger::Manual) => format!("manual, run {}", run.id),
        (None, trigger) => format!("{trigger}, run {}", run.id),
    }
}

fn parts(states: &[TaskState]) -> Vec<Part> {
    use super::axis::Pct;
    if states.len() > PROGRESS_MAX {
        let done = states.iter().filter(|state| state.is_terminal()).count();
        let width = done as f64 * 100.0 / states.len() as f64;
        let waiting = Look::task(TaskState::Waiting).class;
        return vec![
            Part { class: Look::task(TaskState::Success).class, x: Pct(0.0), width: Pct(width) },
            Part { class: waiting, x: Pct(width), width: Pct(100.0 - width) },
        ];
    }
    let mut sorted = states.to_vec();
    sorted.sort_by_key(|state| (!state.is_terminal(), *state == TaskState::Waiting, *state));
    let step = 100.0 / sorted.len().max(1) as f64;
    let part = |(place, state): (usize, &TaskState)| Part {
        class: Look::task(*state).class,
        x: Pct(place as f64 * step),
        width: Pct((step - 0.9).max(step * 0.8)),
    };
    sorted.iter().enumerate().map(part).collect()
}

/// The next slots, soonest first.
pub(crate) fn board(moment: &Moment, entries: &[Entry]) -> Vec<Board> {
    let mut next: Vec<_> = entries
        .iter()
        .filter(|entry| !entry.row.paused)
        .filter_map(|entry| Some((entry.row.next_slot?, entry)))
        .collect();
    next.sort_by_key(|(at, _)| *at);
    next.truncate(BOARD_MAX);
    let one = |(at, entry): (chrono::DateTime<chrono::Utc>, &Entry)| {
        let schedule = entry.dag.as_ref().and_then(|dag| dag.schedule.as_ref());
        let under = schedule.map(Says::of).map(|says| says.text).unwrap_or_default();
        Board { dag: entry.row.dag.to_string(), at: moment.slot(at), under, until: moment.until(at) }
    };
    next.into_iter().map(one).collect()
}
