//! The rail of the day: what came due in the last hours, now, and what will.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use rota_core::id::DagId;
use rota_core::port::{Outage, SlotStep, StepFilter, TimeWindow};
use rota_core::schedule::Schedule;

use super::axis::{self, AxisShape, Drawing, Pct, TimeStretch, floor_hour};
use super::slots::thinned;
use super::time::{LocalClock, count};

/// Slots nearer than this are one tick.
const BUCKET: TimeDelta = TimeDelta::minutes(5);
/// A DAG that fires more often than this is drawn low, whatever else fires.
const HUM: TimeDelta = TimeDelta::minutes(15);
/// How much of the past is shown.
pub(crate) const PAST: TimeDelta = TimeDelta::hours(9);
/// How much of what comes is shown.
const AHEAD: TimeDelta = TimeDelta::hours(24);
/// Where the base line lies, in pixels.
const BASE: u32 = 78;
/// Where missed slots lie.
const MISSED: u16 = 70;
/// The word of now lies above all, days on a line of their own below it, so that none ever lies over it.
const NOW_LINE: u32 = 10;
const DAY_LINE: u32 = 26;

/// What is drawn.
pub(crate) struct Day<'a> {
    /// What became of the slots of the last hours, as [`past`] asks for it.
    pub(crate) steps: &'a [SlotStep],
    pub(crate) outages: &'a [Outage],
    /// How many slots were missed within the last day.
    pub(crate) missed: u64,
    /// Of all DAGs that are not paused.
    pub(crate) schedules: &'a [(DagId, Schedule)],
}

/// What lies in one bucket. DAGs that fire all the time are not counted: they would drown the others.
#[derive(Debug, Default, Clone, Copy)]
struct SlotHeap {
    fired: u64,
    failed: u64,
    running: u64,
    ahead: u64,
    /// Some DAG that hums fires within the bucket.
    hums: bool,
}

/// The stretch that the rail shows, on whole hours.
pub(crate) fn stretch(now: DateTime<Utc>) -> TimeStretch {
    TimeStretch { from: floor_hour(now - PAST), to: floor_hour(now + AHEAD) + TimeDelta::hours(1) }
}

/// What is to be known of the past: all of it that is shown, by steps as wide as what is drawn as one.
pub(crate) fn past(now: DateTime<Utc>, schedules: &[(DagId, Schedule)]) -> StepFilter {
    let TimeStretch { from, to } = stretch(now);
    let often = schedules.iter().filter(|(_, schedule)| hums(schedule, now)).map(|(dag, _)| dag.clone());
    StepFilter { window: TimeWindow { from, until: to }, step: BUCKET, often: often.collect() }
}

/// Draws it.
pub(crate) fn rail(moment: &LocalClock, day: &Day<'_>) -> Drawing {
    let stretch = stretch(moment.now);
    let heaps = heaps(moment.now, stretch, day);
    let mut shapes = scale(moment, stretch);
    let weight = DayWeight { thin: heaps.len() > 150, now: stretch.at(moment.now).0 };
    for (bucket, heap) in &heaps {
        let x = stretch.at(stretch.from + BUCKET * *bucket);
        ticks(&mut shapes, x, heap, weight);
    }
    shapes.push(AxisShape::Base { y: BASE });
    let missed =
        day.outages.iter().flat_map(|outage| axis::missed(stretch, (outage.from, outage.to), MISSED));
    shapes.extend(missed);
    let x = stretch.at(moment.now);
    shapes.push(AxisShape::Hand { x, y1: 6, y2: 94 });
    let text = moment.hours(moment.now);
    shapes.push(AxisShape::Text { class: "rail-now", x, dx: 10, y: NOW_LINE, anchor: "start", text });
    Drawing { class: "rail", height: 116, label: label(&heaps, day.missed), shapes }
}

/// How ticks are drawn: thin where they lie close, and as past up to `now`.
#[derive(Clone, Copy)]
struct DayWeight {
    thin: bool,
    now: f64,
}

fn heaps(now: DateTime<Utc>, stretch: TimeStretch, day: &Day<'_>) -> BTreeMap<i32, SlotHeap> {
    let mut heaps: BTreeMap<i32, SlotHeap> = BTreeMap::new();
    let bucket = |at: DateTime<Utc>| {
        i32::try_from((at - stretch.from).num_seconds().max(0) / BUCKET.num_seconds()).unwrap_or(i32::MAX)
    };
    for step in day.steps {
        let heap = heaps.entry(i32::try_from(step.step).unwrap_or(i32::MAX)).or_default();
        heap.fired += step.fired;
        heap.failed += step.failed;
        heap.running += step.active;
        heap.hums |= step.often > 0;
    }
    let ahead = TimeStretch { from: now, ..stretch };
    for (_, schedule) in day.schedules {
        let hums = hums(schedule, now);
        for slot in thinned(schedule, ahead, BUCKET, 400) {
            let heap = heaps.entry(bucket(slot)).or_default();
            heap.ahead += u64::from(!hums);
            heap.hums |= hums;
        }
    }
    heaps.retain(|_, heap| heap.hums || heap.fired + heap.failed + heap.running + heap.ahead > 0);
    heaps
}

/// Whether it fires so often that its slots are a hum, not events.
fn hums(schedule: &Schedule, now: DateTime<Utc>) -> bool {
    matches!(schedule.upcoming(now, 2).as_slice(), [first, second] if *second - *first < HUM)
}

fn scale(moment: &LocalClock, stretch: TimeStretch) -> Vec<AxisShape> {
    let mut shapes = Vec::new();
    let hours = (stretch.to - stretch.from).num_hours();
    for at in (0..=hours).map(|hour| stretch.from + TimeDelta::hours(hour)) {
        let local = at.with_timezone(&moment.zone);
        let x = stretch.at(at);
        let long = local.hour() % 3 == 0;
        shapes.push(AxisShape::Tick {
            class: "rail-hour",
            x,
            y1: BASE,
            y2: if long { BASE + 6 } else { BASE + 3 },
        });
        if local.hour() == 0 {
            shapes.push(AxisShape::Tick { class: "rail-base", x, y1: DAY_LINE + 4, y2: BASE + 6 });
            let text = local.format("%a %-d %b").to_string();
            shapes.push(AxisShape::Text { class: "rail-day", x, dx: 6, y: DAY_LINE, anchor: "start", text });
        }
        if long && (1.5..98.5).contains(&x.0) {
            let class = if local.hour() % 6 == 3 { "rail-minor" } else { "" };
            shapes.push(AxisShape::Text {
                class,
                x,
                dx: 0,
                y: 112,
                anchor: "middle",
                text: moment.hours(at),
            });
        }
    }
    shapes
}

fn ticks(shapes: &mut Vec<AxisShape>, x: Pct, heap: &SlotHeap, weight: DayWeight) {
    let past = heap.fired + heap.failed + heap.running;
    let height = match past.max(heap.ahead) {
        0 => 6,
        dags => 14 + (dags.min(40) as f64).log2().mul_add(5.0, 4.0) as u32,
    };
    let top = BASE - height;
    if heap.running > 0 {
        shapes.push(AxisShape::Lit { x, y: top as f32 + 0.5, height: (BASE - top) as f32 - 1.0 });
    } else if past > 0 || (heap.hums && x.0 < weight.now) {
        let class = if weight.thin { "rail-tick is-success rail-thin" } else { "rail-tick is-success" };
        shapes.push(AxisShape::Tick { class, x, y1: top, y2: BASE });
    } else if heap.ahead > 0 || heap.hums {
        shapes.push(AxisShape::Tick { class: "rail-tick is-ahead", x, y1: top, y2: BASE });
    }
    if heap.failed > 0 {
        shapes.push(AxisShape::Tick { class: "rail-tick is-failed", x, y1: BASE - 6, y2: BASE + 16 });
    }
}

fn label(heaps: &BTreeMap<i32, SlotHeap>, missed: u64) -> String {
    let sum = |of: fn(&SlotHeap) -> u64| heaps.values().map(of).sum::<u64>();
    let fired = sum(|heap| heap.fired + heap.failed + heap.running);
    format!(
        "Slots of all DAGs, the last 9 hours and the next 24. Drawn: {}, of which {} failed and {} not over. Missed in the last day: {missed}.",
        count(fired, "slot"),
        sum(|heap| heap.failed),
        sum(|heap| heap.running),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_now_shares_its_line_with_no_other_at_any_time_of_day() {
        for zone in [
            rota_core::schedule::Zone::UTC,
            rota_core::schedule::Zone::named("Europe/Berlin").expect("a zone"),
            rota_core::schedule::Zone::named("Asia/Kolkata").expect("a zone"),
        ] {
            for minute in (0..24 * 60).step_by(7) {
                let now = DateTime::UNIX_EPOCH + TimeDelta::minutes(minute);
                let day = Day { steps: &[], outages: &[], missed: 0, schedules: &[] };
                let words: Vec<(&str, u32)> = rail(&LocalClock { now, zone }, &day)
                    .shapes
                    .iter()
                    .filter_map(|shape| match shape {
                        AxisShape::Text { class, y, .. } => Some((*class, *y)),
                        _ => None,
                    })
                    .collect();
                let (now_line, others): (Vec<_>, Vec<_>) =
                    words.into_iter().partition(|(class, _)| *class == "rail-now");
                assert_eq!(now_line.len(), 1);
                assert!(
                    others.iter().all(|(_, y)| y.abs_diff(now_line[0].1) >= 14),
                    "{zone} {minute}: {others:?}"
                );
                assert!(others.iter().any(|(class, _)| *class == "rail-day"), "{zone} {minute}");
            }
        }
    }
}
