//! The tasks of a run in time: a table whose one column is the time axis.

use chrono::{DateTime, TimeDelta, Utc};
use rota_core::port::{RunRow, TaskRow};
use rota_core::state::TaskState;

use super::axis::{AxisShape, Drawing, Pct, TimeStretch, mark_text, marks, scale};
use super::look::StateStyle;
use super::time::{LocalClock, span};
use crate::tasks::TaskNow;

/// A run shorter than this has an axis of milliseconds.
const SHORT_MS: i64 = 5_000;

/// A task's line.
#[derive(Debug)]
pub(crate) struct GanttLine {
    pub(crate) name: String,
    pub(crate) href: String,
    pub(crate) look: StateStyle,
    /// Why it waits, failed or was skipped.
    pub(crate) why: String,
    pub(crate) track: Drawing,
    pub(crate) attempt: String,
    pub(crate) queued: String,
    pub(crate) ran: String,
    pub(crate) worker: String,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Gantt {
    pub(crate) axis: Drawing,
    pub(crate) said: String,
    pub(crate) lines: Vec<GanttLine>,
}

/// What all lines share.
struct GanttSheet {
    now: DateTime<Utc>,
    stretch: TimeStretch,
    /// Where the axis has its marks, and their words.
    ticks: Vec<(Pct, String)>,
    /// Where now is, while the run goes on.
    hand: Option<Pct>,
}

/// Attempts of a task, oldest first; only tasks with more than one attempt need their history.
pub(crate) type History = std::collections::HashMap<rota_core::id::TaskNo, Vec<TaskRow>>;

/// The table of a run's tasks.
pub(crate) fn gantt(moment: &LocalClock, run: &RunRow, tasks: &[TaskNow], history: &History) -> Gantt {
    let stretch = stretch(moment.now, run);
    let ticks = ticks(moment, stretch);
    let hand = (!run.state.is_terminal()).then(|| stretch.at(moment.now));
    let sheet = GanttSheet { now: moment.now, stretch, ticks, hand };
    let lines = tasks.iter().map(|task| {
        let attempts = history.get(&task.no).map(Vec::as_slice).unwrap_or_default();
        line(moment, run, task, track(&sheet, task, attempts))
    });
    let (from, to) = (moment.event(stretch.from).text, moment.event(stretch.to).text_clock());
    Gantt {
        axis: scale(&sheet.ticks, sheet.hand),
        said: format!("Time, {from} to {to}"),
        lines: lines.collect(),
    }
}

/// From the run's start to its end, or a little past now.
fn stretch(now: DateTime<Utc>, run: &RunRow) -> TimeStretch {
    let from = run.started_at.unwrap_or(run.created_at);
    match run.finished_at {
        Some(end) => TimeStretch { from, to: end.max(from + TimeDelta::milliseconds(50)) },
        None => TimeStretch { from, to: now + ((now - from) / 5).max(TimeDelta::seconds(2)) },
    }
}

/// Round times of day; within a few seconds, round distances from the start.
fn ticks(moment: &LocalClock, stretch: TimeStretch) -> Vec<(Pct, String)> {
    let whole_ms = (stretch.to - stretch.from).num_milliseconds();
    if whole_ms >= SHORT_MS {
        return marks(moment, stretch, 6)
            .into_iter()
            .map(|at| (stretch.at(at), mark_text(moment, at)))
            .collect();
    }
    let steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
    let step = steps.into_iter().find(|step| whole_ms / step <= 6).unwrap_or(1000);
    let tick = |n: i64| {
        let after = TimeDelta::milliseconds(n * step);
        (stretch.at(stretch.from + after), if n == 0 { "0".to_owned() } else { format!("+{}", span(after)) })
    };
    (0..=whole_ms / step).map(tick).collect()
}

fn track(sheet: &GanttSheet, task: &TaskNow, earlier: &[TaskRow]) -> Drawing {
    let mut shapes: Vec<AxisShape> =
        sheet.ticks.iter().map(|(x, _)| AxisShape::Through { class: "track-grid", x: *x }).collect();
    let current = task.row.iter().filter(|row| earlier.iter().all(|known| known.attempt != row.attempt));
    for row in earlier.iter().chain(current) {
        shapes.extend(bars(sheet.now, sheet.stretch, row));
    }
    shapes.extend(sheet.hand.map(|x| AxisShape::Through { class: "rail-hand", x }));
    let label = format!("{}: {}", task.name, StateStyle::task(task.state).word);
    Drawing { class: "track", height: 0, label, shapes }
}

/// In queue, then the attempt, then the wait for the next one.
fn bars(now: DateTime<Utc>, stretch: TimeStretch, row: &TaskRow) -> Vec<AxisShape> {
    let mut shapes = Vec::new();
    let over = row.state.is_terminal() || row.state == TaskState::UpForRetry;
    if let Some(queued) = row.queued_at {
        let until = row.started_at.or(row.finished_at).unwrap_or(now);
        if until - queued > TimeDelta::milliseconds(1) && row.state != TaskState::Skipped {
            let (x, width) = stretch.between(queued, until);
            shapes.push(AxisShape::Box { class: "track-wait is-queued", x, width, y: 15.0, height: 6.0 });
        }
    }
    if let Some(started) = row.started_at {
        let (x, width) =
            stretch.between(started, row.finished_at.unwrap_or(if over { started } else { now }));
        let state = if row.state == TaskState::UpForRetry { TaskState::Failed } else { row.state };
        shapes.push(AxisShape::Box { class: StateStyle::task(state).class, x, width, y: 11.0, height: 14.0 });
    }
    if let (TaskState::UpForRetry, Some(from), Some(until)) = (row.state, row.finished_at, row.retry_at) {
        let (x, width) = stretch.between(from, until);
        shapes.push(AxisShape::Box { class: "track-held is-retry", x, width, y: 11.0, height: 14.0 });
    }
    shapes
}

fn line(moment: &LocalClock, run: &RunRow, task: &TaskNow, track: Drawing) -> GanttLine {
    let row = task.row.as_ref();
    let error = row.and_then(|row| row.error.clone());
    let why = match (&task.why, error) {
        (Some(why), Some(error)) => format!("{why}. Attempt {}: {error}", row.map_or(0, |row| row.attempt)),
        (Some(why), None) => why.clone(),
        (None, error) => error.unwrap_or_default(),
    };
    let queued = row.and_then(|row| Some(row.started_at? - row.queued_at?));
    let ran = row.and_then(|row| {
        let over = row.finished_at.or((row.state == TaskState::Running).then_some(moment.now));
        Some(over? - row.started_at?)
    });
    GanttLine {
        name: task.name.to_string(),
        href: format!("/runs/{}/tasks/{}", run.id, task.name),
        look: StateStyle::task(task.state),
        why,
        track,
        attempt: row.filter(|row| row.attempt > 0).map(|row| row.attempt.to_string()).unwrap_or_default(),
        queued: queued.map(span).unwrap_or_default(),
        ran: ran.map(span).unwrap_or_default(),
        worker: row.and_then(|row| row.worker.as_ref().map(ToString::to_string)).unwrap_or_default(),
    }
}
