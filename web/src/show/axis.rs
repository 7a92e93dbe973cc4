//! Drawings whose horizontal axis is time: positions in per cent of the width, so that the browser scales them.

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DateTime, TimeDelta, Timelike, Utc};

use super::time::LocalClock;

/// A position or width, in per cent of the drawing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pct(pub(crate) f64);

impl fmt::Display for Pct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.2}", self.0);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))?;
        f.write_str("%")
    }
}

impl HtmlSafe for Pct {}

/// The stretch of time that a drawing shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeStretch {
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
}

impl TimeStretch {
    /// Where an instant lies, unclamped.
    pub(crate) fn at(&self, at: DateTime<Utc>) -> Pct {
        let whole = (self.to - self.from).num_milliseconds().max(1) as f64;
        Pct((at - self.from).num_milliseconds() as f64 * 100.0 / whole)
    }

    /// Start and width of what lies between two instants, cut to the drawing and at least a hair wide.
    pub(crate) fn between(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> (Pct, Pct) {
        let start = self.at(from).0.clamp(0.0, 100.0);
        let end = self.at(to).0.clamp(0.0, 100.0);
        let width = (end - start).max(0.2);
        (Pct(start.min(100.0 - width)), Pct(width))
    }

    /// Whether an instant is shown.
    pub(crate) fn holds(&self, at: DateTime<Utc>) -> bool {
        self.from <= at && at <= self.to
    }
}

/// One shape. Classes come from fixed lists; `y` and heights are pixels.
#[derive(Debug, Clone)]
pub(crate) enum AxisShape {
    /// A vertical line.
    Tick { class: &'static str, x: Pct, y1: u32, y2: u32 },
    /// A vertical line through the whole height.
    Through { class: &'static str, x: Pct },
    /// A horizontal line across everything.
    Base { y: u32 },
    /// A box.
    Box { class: &'static str, x: Pct, width: Pct, y: f32, height: f32 },
    /// A box through the whole height.
    Band { class: &'static str, x: Pct, width: Pct },
    /// A word. `anchor`: start, middle or end.
    Text { class: &'static str, x: Pct, dx: i32, y: u32, anchor: &'static str, text: String },
    /// The hollow diamond of a missed slot.
    Diamond { x: Pct, y: u32 },
    /// The lit tick of something that runs.
    Lit { x: Pct, y: f32, height: f32 },
    /// The hand of now, with its head.
    Hand { x: Pct, y1: u32, y2: u32 },
}

/// A drawing.
#[derive(Debug, Clone, Template)]
#[template(path = "svg/drawing.html")]
pub(crate) struct Drawing {
    /// `rail`, `ahead`, `track`.
    pub(crate) class: &'static str,
    /// Pixels; 0: as the stylesheet says.
    pub(crate) height: u32,
    /// What it shows, in a sentence; empty: decoration.
    pub(crate) label: String,
    pub(crate) shapes: Vec<AxisShape>,
}

impl HtmlSafe for Drawing {}

/// Missed slots: a diamond for one; for a range a bar from the first to the last, and a diamond at each end that is shown.
pub(crate) fn missed(
    stretch: TimeStretch,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    y: u16,
) -> Vec<AxisShape> {
    if from > stretch.to || to < stretch.from {
        return Vec::new();
    }
    let mut shapes = Vec::new();
    if from < to {
        let (x, width) = stretch.between(from, to);
        shapes.push(AxisShape::Box { class: "rail-missed", x, width, y: f32::from(y) + 6.0, height: 4.0 });
    }
    let ends = [Some(from), (from < to).then_some(to)];
    let shown = ends.into_iter().flatten().filter(|at| stretch.holds(*at));
    shapes.extend(shown.map(|at| AxisShape::Diamond { x: stretch.at(at), y: u32::from(y) }));
    shapes
}

/// Steps between labels, from seconds to weeks.
const STEPS_S: &[i64] = &[
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400,
    172_800, 604_800,
];

/// Round instants within a stretch, about `wanted` of them, by the wall clock of the moment's zone.
pub(crate) fn marks(moment: &LocalClock, stretch: TimeStretch, wanted: i64) -> Vec<DateTime<Utc>> {
    let seconds = (stretch.to - stretch.from).num_seconds().max(1);
    let step = STEPS_S.iter().copied().find(|step| seconds / step <= wanted).unwrap_or(seconds / wanted + 1);
    let offset = {
        use chrono::Offset as _;
        i64::from(stretch.from.with_timezone(&moment.zone).offset().fix().local_minus_utc())
    };
    let first = (stretch.from.timestamp() + offset).div_euclid(step) * step + step - offset;
    let on_edge =
        (stretch.from.timestamp() + offset) % step == 0 && stretch.from.timestamp_subsec_nanos() == 0;
    let first = if on_edge { first - step } else { first };
    (0..=wanted + 1)
        .filter_map(|n| DateTime::from_timestamp(first + n * step, 0))
        .filter(|at| stretch.holds(*at))
        .collect()
}

/// The word under a mark: the day at midnight, else the time.
pub(crate) fn mark_text(moment: &LocalClock, at: DateTime<Utc>) -> String {
    let local = at.with_timezone(&moment.zone);
    if local.num_seconds_from_midnight() == 0 {
        local.format("%a %-d").to_string()
    } else {
        moment.slot(at).text_clock()
    }
}

/// The axis above a table: words at their marks, every other one only where there is room, and the head of the hand.
pub(crate) fn scale(ticks: &[(Pct, String)], hand: Option<Pct>) -> Drawing {
    let word = |(place, (x, text)): (usize, &(Pct, String))| {
        let anchor = match x.0 {
            x if x < 3.0 => "start",
            x if x > 97.0 => "end",
            _ => "middle",
        };
        let is_day = text.starts_with(|first: char| first.is_alphabetic());
        let class = match place % 2 {
            _ if is_day => "rail-day",
            1 => "rail-minor",
            _ => "",
        };
        AxisShape::Text { class, x: *x, dx: 0, y: 15, anchor, text: text.clone() }
    };
    let mut shapes: Vec<AxisShape> = ticks.iter().enumerate().map(word).collect();
    shapes.extend(hand.map(|x| AxisShape::Hand { x, y1: 19, y2: 24 }));
    Drawing { class: "ahead-axis", height: 0, label: String::new(), shapes }
}

/// The start of the hour that an instant is in.
pub(crate) fn floor_hour(at: DateTime<Utc>) -> DateTime<Utc> {
    at - TimeDelta::seconds(i64::from(at.minute()) * 60 + i64::from(at.second()))
        - TimeDelta::nanoseconds(i64::from(at.nanosecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("valid")
    }

    #[test]
    fn positions_are_short_and_stay_inside() {
        let stretch = TimeStretch { from: at("2026-10-23T10:00:00Z"), to: at("2026-10-23T11:00:00Z") };
        assert_eq!(stretch.at(at("2026-10-23T10:30:00Z")).to_string(), "50%");
        assert_eq!(stretch.at(at("2026-10-23T10:20:00Z")).to_string(), "33.33%");
        let (start, width) = stretch.between(at("2026-10-23T09:00:00Z"), at("2026-10-23T12:00:00Z"));
        assert_eq!((start.0, width.0), (0.0, 100.0));
        let (start, width) = stretch.between(at("2026-10-23T11:00:00Z"), at("2026-10-23T11:00:00Z"));
        assert!(start.0 + width.0 <= 100.0);
    }

    #[test]
    fn marks_fall_on_round_local_times() {
        let moment = LocalClock {
            now: at("2026-10-23T08:17:34Z"),
            zone: rota_core::schedule::Zone::named("Asia/Kolkata").expect("a zone"),
        };
        let stretch = TimeStretch { from: at("2026-10-23T08:00:00Z"), to: at("2026-10-23T13:00:00Z") };
        let texts: Vec<_> = marks(&moment, stretch, 6).into_iter().map(|at| mark_text(&moment, at)).collect();
        assert_eq!(texts, ["14:00", "15:00", "16:00", "17:00", "18:00"]);
    }
}
