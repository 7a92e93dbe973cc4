//! A DAG's slots before and after now: the rail of its page, and the table of its next fire times.

use std::collections::HashMap;

use chrono::{DateTime, LocalResult, Offset, TimeDelta, TimeZone, Utc};
use rota_core::id::RunId;
use rota_core::port::{RunRow, SlotOutcome, SlotRow, TimeWindow};
use rota_core::schedule::{Schedule, Zone};
use rota_core::state::RunState;

use super::axis::{self, AxisShape, Drawing, TimeStretch, mark_text, marks};
use super::grid::run_at;
use super::look::StateStyle;
use super::slots::thinned;
use super::time::{LocalClock, Stamp};
use crate::slot_counts::part;

/// The word of now lies above all, what the clock does on a line of its own below it.
const CHANGE_LINE: u32 = 24;
const BASE: u32 = 60;
/// Slots that the rail shows before and after now, if they lie evenly.
const SLOTS_BEFORE: i32 = 16;
const SLOTS_AFTER: i32 = 9;
/// Fire times in the table.
const NEXT_MAX: usize = 10;

/// A fire time.
pub(crate) struct CourseFire {
    /// With its day.
    pub(crate) local: Stamp,
    /// In the zone beside it, with the day where that is another one.
    pub(crate) beside: String,
    pub(crate) until: String,
    /// What a change of the clock does to it; empty: nothing.
    pub(crate) remark: String,
}

/// What is known of a DAG's past.
#[derive(Clone, Copy)]
pub(crate) struct CoursePast<'a> {
    /// Its newest runs, newest first.
    pub(crate) runs: &'a [RunRow],
    /// Its newest ledger entries, newest first.
    pub(crate) slots: &'a [SlotRow],
    /// From when on these are all; `None`: there are no others.
    pub(crate) since: Option<DateTime<Utc>>,
}

/// Draws the rail; `None` when there is nothing to draw. It shows nothing of a time of which not all is known.
pub(crate) fn rail(
    moment: &LocalClock,
    schedule: Option<&Schedule>,
    known: CoursePast<'_>,
) -> Option<Drawing> {
    let mut stretch = stretch(moment.now, schedule, known.runs)?;
    stretch.from = known.since.map_or(stretch.from, |since| since.clamp(stretch.from, moment.now));
    let mut shapes = Vec::new();
    for at in marks(moment, stretch, 9) {
        let x = stretch.at(at);
        shapes.push(AxisShape::Tick { class: "rail-hour", x, y1: 28, y2: 68 });
        if x.0 < 96.0 {
            let class = if shapes.len() % 4 == 3 { "rail-minor" } else { "" };
            shapes.push(AxisShape::Text {
                class,
                x,
                dx: 4,
                y: 84,
                anchor: "start",
                text: mark_text(moment, at),
            });
        }
    }
    let failed = runs(&mut shapes, stretch, known.runs);
    let missed = not_fired(&mut shapes, stretch, schedule, known.slots);
    if let Some(schedule) = schedule {
        let ahead = TimeStretch { from: moment.now, ..stretch };
        for slot in thinned(schedule, ahead, (stretch.to - stretch.from) / 300, 300) {
            shapes.push(AxisShape::Tick {
                class: "rail-tick is-ahead",
                x: stretch.at(slot),
                y1: 44,
                y2: BASE,
            });
        }
        shapes.extend(clock_change(schedule.spec().timezone, stretch));
    }
    shapes.push(AxisShape::Base { y: BASE });
    let x = stretch.at(moment.now);
    shapes.push(AxisShape::Hand { x, y1: 6, y2: 74 });
    shapes.push(AxisShape::Text {
        class: "rail-now",
        x,
        dx: 10,
        y: 10,
        anchor: "start",
        text: "now".to_owned(),
    });
    let label = format!(
        "Slots from {} to {}: {failed} failed, {missed} missed",
        moment.slot_dated(stretch.from).text,
        moment.slot_dated(stretch.to).text
    );
    Some(Drawing { class: "rail", height: 88, label, shapes })
}

/// About so many slots to each side as the rail has room for; without a schedule, the last runs.
fn stretch(now: DateTime<Utc>, schedule: Option<&Schedule>, runs: &[RunRow]) -> Option<TimeStretch> {
    let Some(schedule) = schedule else {
        let oldest = runs.last().map(run_at)?;
        let whole = (now - oldest).max(TimeDelta::minutes(10));
        return Some(TimeStretch { from: now - whole - whole / 20, to: now + whole / 8 });
    };
    let ahead = schedule.upcoming(now, 8);
    let step = match ahead.as_slice() {
        [first, .., last] => (*last - *first) / i32::try_from(ahead.len() - 1).unwrap_or(1),
        [only] => *only - now,
        [] => runs.last().map(|oldest| (now - run_at(oldest)) / SLOTS_BEFORE)?,
    };
    let step = step.clamp(TimeDelta::seconds(5), TimeDelta::days(40));
    Some(TimeStretch { from: now - step * SLOTS_BEFORE, to: now + step * SLOTS_AFTER })
}

/// Draws the runs and counts those that failed.
fn runs(shapes: &mut Vec<AxisShape>, stretch: TimeStretch, runs: &[RunRow]) -> usize {
    let mut failed = 0;
    for run in runs.iter().filter(|run| stretch.holds(run_at(run))) {
        let x = stretch.at(run_at(run));
        match run.state {
            RunState::Running => shapes.push(AxisShape::Lit { x, y: 37.5, height: 22.0 }),
            RunState::Failed => {
                failed += 1;
                shapes.push(AxisShape::Tick { class: "rail-tick is-failed", x, y1: 38, y2: 74 });
            }
            RunState::Success => {
                shapes.push(AxisShape::Tick { class: "rail-tick is-success", x, y1: 38, y2: BASE })
            }
            RunState::Cancelled => {
                shapes.push(AxisShape::Tick { class: "rail-tick is-cancelled", x, y1: 38, y2: BASE })
            }
            RunState::Queued => {
                shapes.push(AxisShape::Tick { class: "rail-tick is-queued", x, y1: 38, y2: BASE })
            }
        }
    }
    failed
}

/// Draws the slots without a run, ranges from their first to their last, and counts those that were missed.
fn not_fired(
    shapes: &mut Vec<AxisShape>,
    stretch: TimeStretch,
    schedule: Option<&Schedule>,
    slots: &[SlotRow],
) -> u64 {
    let window = TimeWindow { from: stretch.from, until: stretch.to + TimeDelta::microseconds(1) };
    let mut missed = 0;
    for slot in slots.iter().filter(|slot| slot.slot <= stretch.to && slot.to >= stretch.from) {
        match slot.outcome {
            SlotOutcome::Missed => {
                missed += part(schedule, slot, &window);
                shapes.extend(axis::missed(stretch, (slot.slot, slot.to), 52));
            }
            SlotOutcome::Skipped if slot.count > 1 => {
                let (x, width) = stretch.between(slot.slot, slot.to);
                shapes.push(AxisShape::Box { class: "rail-skipped", x, width, y: 52.0, height: 8.0 });
            }
            SlotOutcome::Skipped => {
                let x = stretch.at(slot.slot);
                shapes.push(AxisShape::Tick { class: "rail-tick is-skipped rail-thin", x, y1: 50, y2: BASE });
            }
            SlotOutcome::Fired => {}
        }
    }
    missed
}

/// Where the zone's clock changes within the stretch.
fn clock_change(zone: Zone, stretch: TimeStretch) -> Vec<AxisShape> {
    let step = (stretch.to - stretch.from) / 200;
    let mut at = stretch.from;
    while at < stretch.to {
        let next = at + step;
        let moved = offset_s(zone, next) - offset_s(zone, at);
        if moved != 0 {
            let x = stretch.at(next);
            let text = if moved < 0 { "clock goes back" } else { "clock goes forward" }.to_owned();
            return vec![
                AxisShape::Tick { class: "rail-minor rail-base", x, y1: CHANGE_LINE + 4, y2: BASE },
                AxisShape::Text {
                    class: "rail-day rail-minor",
                    x,
                    dx: 0,
                    y: CHANGE_LINE,
                    anchor: "middle",
                    text,
                },
            ];
        }
        at = next;
    }
    Vec::new()
}

fn offset_s(zone: Zone, at: DateTime<Utc>) -> i32 {
    at.with_timezone(&zone).offset().fix().local_minus_utc()
}

/// The next fire times, and the same in the zone `beside`. What the clock does to them, it does in the schedule's own zone.
pub(crate) fn next(moment: &LocalClock, beside: Option<Zone>, schedule: &Schedule) -> Vec<CourseFire> {
    let mut before = moment.now;
    let other = LocalClock { zone: beside.unwrap_or(moment.zone), ..*moment };
    schedule
        .upcoming(moment.now, NEXT_MAX)
        .into_iter()
        .map(|slot| {
            let remark = remark(schedule.spec().timezone, before, slot);
            before = slot;
            let day = |moment: &LocalClock| slot.with_timezone(&moment.zone).date_naive();
            let clock = other.slot(slot).text_clock();
            let beside = if day(moment) == day(&other) {
                clock
            } else {
                format!("{} {clock}", day(&other).format("%a"))
            };
            CourseFire { local: moment.slot(slot), beside, until: moment.until(slot), remark }
        })
        .collect()
}

/// What a change of the clock since the slot before, or at this slot, means for it.
fn remark(zone: Zone, before: DateTime<Utc>, slot: DateTime<Utc>) -> String {
    let moved = offset_s(zone, slot) - offset_s(zone, before);
    if offset_s(zone, slot) > offset_s(zone, slot - TimeDelta::seconds(1)) {
        return "the clock jumps forward here; its time of day does not exist".to_owned();
    }
    if let LocalResult::Ambiguous(first, _) =
        zone.from_local_datetime(&slot.with_timezone(&zone).naive_local())
    {
        let which = if first.to_utc() == slot { "first" } else { "second" };
        return format!("this time of day comes twice; this is the {which}");
    }
    match moved {
        0 => String::new(),
        moved if moved > 0 => "first after the clock went forward".to_owned(),
        _ => "first after the clock went back".to_owned(),
    }
}

/// The runs of ledger entries, by number.
pub(crate) fn by_id(runs: &[RunRow]) -> HashMap<RunId, &RunRow> {
    runs.iter().map(|run| (run.id, run)).collect()
}

/// How a fired slot's run looks, if it is known.
pub(crate) fn slot_look(slot: &SlotRow, runs: &HashMap<RunId, &RunRow>) -> StateStyle {
    match slot.run.and_then(|run| runs.get(&run)) {
        Some(run) if run.state == RunState::Failed => {
            StateStyle { word: "fired, failed", ..StateStyle::run(run.state) }
        }
        Some(run) if run.state == RunState::Running => {
            StateStyle { word: "fired, running", ..StateStyle::run(run.state) }
        }
        _ => StateStyle::slot(slot.outcome),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rota_core::id::DagId;
    use rota_core::schedule::{Rule, Spec};

    #[test]
    fn a_range_of_missed_slots_is_drawn_from_its_first_to_its_last_and_counted() {
        let schedule =
            Schedule::compile(Spec::new(vec![Rule::Cron("* * * * *".into())]), "a").expect("valid");
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("valid");
        let moment = LocalClock { now: at("2026-10-23T12:00:30Z"), zone: Zone::UTC };
        let missed = SlotRow {
            dag: DagId::trusted("d"),
            slot: at("2026-10-20T00:00:00Z"),
            to: at("2026-10-23T11:54:00Z"),
            count: 5_035,
            outcome: SlotOutcome::Missed,
            reason: None,
            run: None,
            decided_at: at("2026-10-23T11:55:00Z"),
        };
        let draw = |since| {
            let past = CoursePast { runs: &[], slots: std::slice::from_ref(&missed), since };
            rail(&moment, Some(&schedule), past).expect("a rail")
        };
        let whole = draw(None);
        assert!(whole.label.ends_with("0 failed, 10 missed"), "{}", whole.label);
        assert_eq!(whole.shapes.iter().filter(|shape| matches!(shape, AxisShape::Diamond { .. })).count(), 1);
        assert!(
            whole.shapes.iter().any(|shape| matches!(shape, AxisShape::Box { class: "rail-missed", .. }))
        );
        let late = draw(Some(at("2026-10-23T11:50:00Z")));
        assert!(late.label.ends_with("0 failed, 5 missed"), "{}", late.label);
    }

    #[test]
    fn the_next_fire_times_say_what_the_clock_does_to_them() {
        let berlin = Zone::named("Europe/Berlin").expect("a zone");
        let spec = Spec { timezone: berlin, ..Spec::new(vec![Rule::Cron("30 2 * * *".into())]) };
        let schedule = Schedule::compile(spec, "a").expect("valid");
        let remarks = |now: &str| {
            let moment = LocalClock { now: now.parse().expect("valid"), zone: berlin };
            next(&moment, None, &schedule).into_iter().take(3).map(|fire| fire.remark).collect::<Vec<_>>()
        };
        let back = remarks("2026-10-23T12:00:00Z");
        assert_eq!(back[0], "");
        assert_eq!(back[1], "this time of day comes twice; this is the first");
        assert_eq!(back[2], "first after the clock went back");
        let forward = remarks("2026-03-28T12:00:00Z");
        assert_eq!(forward[0], "the clock jumps forward here; its time of day does not exist");
    }
}
