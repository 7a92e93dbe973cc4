//! The attempts of a task: side by side, and in time.

use chrono::TimeDelta;
use rota_core::port::TaskRow;
use rota_core::state::TaskState;

use super::axis::{AxisShape, Drawing, TimeStretch, mark_text, marks};
use super::home::sentence;
use super::look::StateStyle;
use super::time::{LocalClock, span};

/// An attempt.
#[derive(Debug)]
pub(crate) struct AttemptLine {
    pub(crate) number: u32,
    pub(crate) chosen: bool,
    pub(crate) look: StateStyle,
    pub(crate) pill: String,
    pub(crate) text: String,
    pub(crate) pairs: Vec<(&'static str, String)>,
}

/// The attempts as columns.
pub(crate) fn attempts(moment: &LocalClock, rows: &[TaskRow], chosen: u32) -> Vec<AttemptLine> {
    rows.iter().map(|row| attempt(moment, row, row.attempt == chosen)).collect()
}

/// How an attempt ended, or stands. A row up for retry is the attempt that failed before.
pub(crate) fn attempt_state(row: &TaskRow) -> TaskState {
    if row.state == TaskState::UpForRetry { TaskState::Failed } else { row.state }
}

fn attempt(moment: &LocalClock, row: &TaskRow, chosen: bool) -> AttemptLine {
    let state = attempt_state(row);
    let look = StateStyle::task(state);
    let ended = row.exit_code.filter(|code| *code != 0).map(|code| format!("exit code {code}"));
    let signalled = row.signal.map(|signal| format!("signal {signal}"));
    let ran = row.started_at.map(|from| row.finished_at.unwrap_or(moment.now) - from);
    let pill = match state {
        TaskState::Running => format!("running, {}", ran.map(span).unwrap_or_default()),
        _ => signalled.or(ended).unwrap_or_else(|| look.word.to_owned()),
    };
    let mut pairs = Vec::new();
    let mut pair = |name, value: Option<String>| pairs.extend(value.map(|value| (name, value)));
    pair("Worker", row.worker.as_ref().map(ToString::to_string));
    pair("Queued", row.queued_at.map(|at| moment.event(at).text));
    pair("Began", row.started_at.map(|at| moment.event(at).text));
    pair(
        "In queue",
        row.queued_at.zip(row.started_at).map(|(from, to)| format!("{} in {}", span(to - from), row.queue)),
    );
    pair(if state == TaskState::Running { "Runs" } else { "Ran" }, ran.map(span));
    pair("Exit code", row.exit_code.map(|code| code.to_string()));
    let text = match (&row.error, row.cancel_requested && state == TaskState::Running) {
        (_, true) => "It is being ended.".to_owned(),
        (Some(error), _) => sentence(error),
        (None, _) => String::new(),
    };
    AttemptLine { number: row.attempt, chosen, look, pill, text, pairs }
}

/// The attempts as bars; `None` before the first one started.
pub(crate) fn rail(moment: &LocalClock, rows: &[TaskRow]) -> Option<Drawing> {
    let from = rows.iter().filter_map(|row| row.queued_at.or(row.started_at)).min()?;
    let last = rows.last()?;
    let open = !last.state.is_terminal();
    let end = rows.iter().filter_map(|row| row.retry_at.or(row.finished_at)).max().unwrap_or(from);
    let end = if open { end.max(moment.now) } else { end };
    let margin = ((end - from) / 20).max(TimeDelta::milliseconds(100));
    let stretch = TimeStretch { from: from - margin, to: end + margin * 2 };
    let mut shapes = Vec::new();
    for at in marks(moment, stretch, 8) {
        let x = stretch.at(at);
        shapes.push(AxisShape::Tick { class: "rail-hour", x, y1: 14, y2: 46 });
        let anchor = if x.0 < 3.0 {
            "start"
        } else if x.0 > 97.0 {
            "end"
        } else {
            "middle"
        };
        shapes.push(AxisShape::Text { class: "", x, dx: 0, y: 62, anchor, text: mark_text(moment, at) });
    }
    for row in rows {
        bar(&mut shapes, moment, stretch, row);
    }
    if open {
        shapes.push(AxisShape::Hand { x: stretch.at(moment.now), y1: 6, y2: 46 });
    }
    let said: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {}", row.attempt, StateStyle::task(attempt_state(row)).word))
        .collect();
    Some(Drawing {
        class: "rail",
        height: 66,
        label: format!("Attempts in time: {}", said.join(", ")),
        shapes,
    })
}

fn bar(shapes: &mut Vec<AxisShape>, moment: &LocalClock, stretch: TimeStretch, row: &TaskRow) {
    if let (Some(queued), until) = (row.queued_at, row.started_at.or(row.finished_at).unwrap_or(moment.now)) {
        let (x, width) = stretch.between(queued, until);
        shapes.push(AxisShape::Box { class: "rail-wait", x, width, y: 30.0, height: 6.0 });
    }
    if let Some(started) = row.started_at {
        let (x, width) = stretch.between(started, row.finished_at.unwrap_or(moment.now));
        shapes.push(AxisShape::Box { class: bar_class(attempt_state(row)), x, width, y: 26.0, height: 14.0 });
        if width.0 > 2.0 {
            let class = if row.state == TaskState::Running { "" } else { "rail-on" };
            shapes.push(AxisShape::Text {
                class,
                x,
                dx: 6,
                y: 37,
                anchor: "start",
                text: row.attempt.to_string(),
            });
        }
    }
    if let (TaskState::UpForRetry, Some(from), Some(until)) = (row.state, row.finished_at, row.retry_at) {
        let (x, width) = stretch.between(from, until);
        shapes.push(AxisShape::Box { class: "rail-held is-retry", x, width, y: 26.0, height: 14.0 });
    }
}

const fn bar_class(state: TaskState) -> &'static str {
    match state {
        TaskState::Success => "rail-bar is-success",
        TaskState::Running => "rail-bar is-running",
        TaskState::Failed => "rail-bar is-failed",
        TaskState::Cancelled => "rail-bar is-cancelled",
        TaskState::Waiting
        | TaskState::Queued
        | TaskState::Deferred
        | TaskState::UpForRetry
        | TaskState::UpstreamFailed
        | TaskState::Skipped => "rail-bar is-queued",
    }
}
