//! The last runs of a DAG as bars: height is how long they took, colour and shape how they ended.

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DateTime, TimeDelta, Utc};
use rota_core::port::RunRow;
use rota_core::state::RunState;

use super::look::StateStyle;
use super::time::count;

/// Runs shown.
pub(crate) const RUNS_MAX: usize = 25;
/// Highest bar, above the base line.
const HEIGHT_MAX: f64 = 24.0;
const HEIGHT_MIN: f64 = 4.0;
const BASE: f64 = 27.0;

/// One bar.
#[derive(Debug, Clone)]
pub(crate) struct RunBar {
    pub(crate) class: &'static str,
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// Whether it hangs below the base line too.
    pub(crate) failed: bool,
}

/// The bars.
#[derive(Debug, Clone, Template)]
#[template(path = "svg/runs.html")]
pub(crate) struct RunBars {
    pub(crate) label: String,
    pub(crate) bars: Vec<RunBar>,
}

impl HtmlSafe for RunBars {}

/// How long a run took, or takes so far.
pub(crate) fn took(run: &RunRow, now: DateTime<Utc>) -> TimeDelta {
    let from = run.started_at.unwrap_or(run.created_at);
    (run.finished_at.unwrap_or(now) - from).max(TimeDelta::zero())
}

/// The middle duration of runs that succeeded; `None` without any.
pub(crate) fn typical(runs: &[RunRow], now: DateTime<Utc>) -> Option<TimeDelta> {
    let mut spans: Vec<_> =
        runs.iter().filter(|run| run.state == RunState::Success).map(|run| took(run, now)).collect();
    spans.sort_unstable();
    spans.get(spans.len() / 2).copied()
}

impl RunBars {
    /// `runs` newest first; the newest is drawn at the right.
    pub(crate) fn new(runs: &[RunRow], now: DateTime<Utc>) -> Self {
        let runs = &runs[..runs.len().min(RUNS_MAX)];
        let longest = runs.iter().map(|run| took(run, now).num_milliseconds()).max().unwrap_or(0);
        let bars =
            runs.iter().enumerate().map(|(place, run)| bar(place, run, height(run, longest, now))).collect();
        Self { label: label(runs), bars }
    }
}

fn height(run: &RunRow, longest_ms: i64, now: DateTime<Utc>) -> f64 {
    let part = took(run, now).num_milliseconds() as f64 / longest_ms.max(1) as f64;
    (HEIGHT_MIN + part * (HEIGHT_MAX - HEIGHT_MIN)).round()
}

fn bar(place: usize, run: &RunRow, height: f64) -> RunBar {
    let left = 169.0 - 7.0 * place as f64;
    let class = StateStyle::run(run.state).class;
    let failed = run.state == RunState::Failed;
    // Hollow and edged bars are drawn on half pixels, so that their edge is sharp.
    let edged = matches!(run.state, RunState::Queued | RunState::Running | RunState::Cancelled);
    let height = if run.state == RunState::Queued { HEIGHT_MIN } else { height };
    if edged {
        RunBar { class, x: left + 0.5, y: BASE - height + 0.5, width: 4.0, height: height - 1.0, failed }
    } else {
        RunBar { class, x: left, y: BASE - height, width: 5.0, height, failed }
    }
}

fn label(runs: &[RunRow]) -> String {
    if runs.is_empty() {
        return "no run yet".to_owned();
    }
    let of = |state| runs.iter().filter(|run| run.state == state).count();
    let said: Vec<String> = RunState::ALL
        .iter()
        .map(|state| (of(*state), StateStyle::run(*state).word))
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    format!(
        "{}: {}; the last {}",
        count(runs.len() as u64, "run"),
        said.join(", "),
        StateStyle::run(runs[0].state).word
    )
}
