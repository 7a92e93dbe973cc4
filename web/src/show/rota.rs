//! The rota: one row per DAG with its last runs, now, and its next 24 hours.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use rota_core::dag::Dag;
use rota_core::id::DagId;
use rota_core::port::{DagRow, RunRow};
use rota_core::state::RunState;

use super::axis::{AxisShape, Drawing, Pct, TimeStretch, floor_hour};
use super::look::{FAILED, MISSED, PAUSED, StateStyle};
use super::runs::{RunBars, took, typical};
use super::slots::{ScheduleWords, thinned};
use super::time::{LocalClock, Stamp};

/// How far a row looks ahead.
const AHEAD: TimeDelta = TimeDelta::hours(24);
/// Ticks nearer than this are one.
const BUCKET: TimeDelta = TimeDelta::minutes(10);
/// More ticks than this are drawn small.
const OFTEN: usize = 48;

/// A DAG with all that its row needs.
#[derive(Clone)]
pub(crate) struct DagEntry {
    pub(crate) row: DagRow,
    pub(crate) dag: Option<Arc<Dag>>,
    /// Its newest run.
    pub(crate) newest: Option<RunRow>,
    /// Whether a slot of it was missed within a day.
    pub(crate) missed: bool,
}

/// What a list of DAGs may be narrowed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DagHealth {
    Failed,
    Missed,
    Running,
    Well,
    Paused,
}

/// A row.
pub(crate) struct DagLine {
    pub(crate) dag: String,
    /// What is wrong with it, if something is.
    pub(crate) look: Option<StateStyle>,
    pub(crate) under: String,
    pub(crate) says: Option<ScheduleWords>,
    pub(crate) runs: RunBars,
    pub(crate) ahead: Drawing,
    pub(crate) next: Option<Stamp>,
    pub(crate) next_word: &'static str,
    pub(crate) next_under: String,
    pub(crate) scheduled: bool,
    pub(crate) paused: bool,
    pub(crate) present: bool,
}

impl DagHealth {
    /// The word in addresses.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "failed" => Some(Self::Failed),
            "missed" => Some(Self::Missed),
            "running" => Some(Self::Running),
            "paused" => Some(Self::Paused),
            _ => None,
        }
    }
}

impl DagEntry {
    /// Where it belongs when trouble sorts first.
    pub(crate) fn plight(&self) -> DagHealth {
        let newest = self.newest.as_ref().map(|run| run.state);
        match newest {
            _ if self.row.paused => DagHealth::Paused,
            Some(RunState::Failed) => DagHealth::Failed,
            _ if self.missed => DagHealth::Missed,
            Some(RunState::Queued | RunState::Running) => DagHealth::Running,
            Some(RunState::Success | RunState::Cancelled) | None => DagHealth::Well,
        }
    }

    /// Whether its name, owner, tags or description hold this text (lower case).
    pub(crate) fn matches(&self, text: &str) -> bool {
        let holds = |field: &str| field.to_lowercase().contains(text);
        let said = self.dag.as_ref().is_some_and(|dag| {
            dag.owner.as_deref().is_some_and(holds)
                || dag.description.as_deref().is_some_and(holds)
                || dag.tags.iter().any(|tag| holds(tag))
        });
        said || holds(self.row.dag.as_str())
    }

    /// Whether it has this tag.
    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.dag.as_ref().is_some_and(|dag| dag.tags.iter().any(|known| known == tag))
    }
}

/// The rows of these entries. `recent` holds the last runs of each, newest first.
pub(crate) fn rows(
    moment: &LocalClock,
    entries: &[DagEntry],
    recent: &HashMap<DagId, Vec<RunRow>>,
) -> Vec<DagLine> {
    let none = Vec::new();
    entries.iter().map(|entry| row(moment, entry, recent.get(&entry.row.dag).unwrap_or(&none))).collect()
}

fn row(moment: &LocalClock, entry: &DagEntry, runs: &[RunRow]) -> DagLine {
    let dag = entry.dag.as_deref();
    let schedule = dag.and_then(|dag| dag.schedule.as_ref());
    let (scheduled, paused, present) = (schedule.is_some(), entry.row.paused, entry.row.present);
    let next = entry.row.next_slot.filter(|_| scheduled && !paused && present);
    let look = match entry.plight() {
        DagHealth::Failed => Some(FAILED),
        DagHealth::Missed => Some(MISSED),
        DagHealth::Paused => Some(PAUSED),
        DagHealth::Running | DagHealth::Well => None,
    };
    let next_word = match (present, paused, scheduled) {
        (false, _, _) => "file is gone",
        (true, true, _) => "paused",
        (true, false, false) => "manual",
        (true, false, true) => "",
    };
    let owner_tags = dag.into_iter().flat_map(|dag| dag.owner.iter().chain(&dag.tags)).map(String::as_str);
    DagLine {
        dag: entry.row.dag.to_string(),
        look,
        under: owner_tags.collect::<Vec<_>>().join(" · "),
        says: schedule.map(ScheduleWords::of),
        runs: RunBars::new(runs, moment.now),
        ahead: ahead(moment, entry, runs),
        next: next.map(|at| moment.slot(at)),
        next_word,
        next_under: next.map(|at| moment.until(at)).unwrap_or_default(),
        scheduled,
        paused,
        present,
    }
}

/// The hours of the axis above the rows and through them.
pub(crate) fn axis(moment: &LocalClock) -> Drawing {
    let shapes = hours(moment)
        .into_iter()
        .map(|(x, at)| {
            let local = at.with_timezone(&moment.zone);
            let (class, text) = match local.hour() {
                0 => ("rail-day", local.format("%a").to_string()),
                hour if hour % 6 == 0 => ("", moment.hours(at)),
                _ => ("rail-minor", moment.hours(at)),
            };
            AxisShape::Text { class, x, dx: 0, y: 15, anchor: "middle", text }
        })
        .collect();
    Drawing { class: "ahead-axis", height: 0, label: String::new(), shapes }
}

/// Every third hour of the next 24.
fn hours(moment: &LocalClock) -> Vec<(Pct, DateTime<Utc>)> {
    let stretch = TimeStretch { from: moment.now, to: moment.now + AHEAD };
    let first = floor_hour(moment.now);
    (1..=24)
        .map(|hour| first + TimeDelta::hours(hour))
        .filter(|at| at.with_timezone(&moment.zone).hour().is_multiple_of(3))
        .map(|at| (stretch.at(at), at))
        .filter(|(x, _)| (2.0..97.0).contains(&x.0))
        .collect()
}

fn ahead(moment: &LocalClock, entry: &DagEntry, runs: &[RunRow]) -> Drawing {
    let stretch = TimeStretch { from: moment.now, to: moment.now + AHEAD };
    let mut shapes: Vec<AxisShape> = hours(moment)
        .into_iter()
        .map(|(x, at)| {
            let midnight = at.with_timezone(&moment.zone).hour() == 0;
            let class = if midnight { "ahead-day" } else { "ahead-hour" };
            AxisShape::Tick { class, x, y1: 0, y2: 52 }
        })
        .collect();
    shapes.extend(until_about(moment, stretch, runs));
    let schedule = entry.dag.as_ref().and_then(|dag| dag.schedule.as_ref());
    match schedule {
        _ if entry.row.paused || !entry.row.present => {
            shapes.push(AxisShape::Box {
                class: "ahead-off",
                x: Pct(0.0),
                width: Pct(100.0),
                y: 25.5,
                height: 0.0,
            });
        }
        Some(schedule) => {
            let slots = thinned(schedule, stretch, BUCKET, 150);
            let often = slots.len() > OFTEN;
            shapes.extend(
                slots.into_iter().enumerate().map(|(place, slot)| tick(place, stretch.at(slot), often)),
            );
        }
        None => {}
    }
    Drawing { class: "ahead", height: 0, label: String::new(), shapes }
}

fn tick(place: usize, x: Pct, often: bool) -> AxisShape {
    match (place, often) {
        (0, _) => AxisShape::Tick { class: "ahead-tick is-first", x, y1: 18, y2: 34 },
        (_, false) => AxisShape::Tick { class: "ahead-tick", x, y1: 20, y2: 32 },
        (_, true) => AxisShape::Tick { class: "ahead-tick is-often", x, y1: 22, y2: 30 },
    }
}

/// A box from now to when the active run is likely to end.
fn until_about(moment: &LocalClock, stretch: TimeStretch, runs: &[RunRow]) -> Option<AxisShape> {
    let run = runs.first().filter(|run| run.state == RunState::Running)?;
    let left = typical(runs, moment.now).map_or(TimeDelta::zero(), |typical| typical - took(run, moment.now));
    let (x, width) = stretch.between(moment.now, moment.now + left.max(TimeDelta::zero()));
    Some(AxisShape::Box { class: "ahead-run", x, width: Pct(width.0.max(0.5)), y: 20.0, height: 12.0 })
}
