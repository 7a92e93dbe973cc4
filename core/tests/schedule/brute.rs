//! The slots of a window by brute force: every minute or second of it is looked at.

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use rota_core::schedule::{Fold, Gap};

use crate::expression::Line;

/// A window of real time in a zone, and what changes of the clock mean in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) tz: Tz,
    /// Included.
    pub(crate) from: DateTime<Utc>,
    /// Excluded.
    pub(crate) until: DateTime<Utc>,
    pub(crate) gap: Gap,
    pub(crate) overlap: Fold,
    /// Both day fields must match.
    pub(crate) and: bool,
}

/// All slots of `line` in the window, which must start and end on whole hours.
pub(crate) fn slots(line: &Line, window: &Window) -> Vec<DateTime<Utc>> {
    let step = TimeDelta::seconds(if line.second.is_some() { 1 } else { 60 });
    let mut slots = Vec::new();
    let mut hour = window.from;
    while hour < window.until {
        let end = hour + TimeDelta::hours(1);
        let dates = [local(window.tz, hour - step).date(), local(window.tz, end).date()];
        let has_date = dates.iter().any(|date| line.has_date(*date, window.and));
        let changes = offset(window.tz, hour - step) != offset(window.tz, end);
        if has_date || changes {
            let mut time = hour;
            while time < end {
                if is_shown(line, window, time) || changes && is_made_up_for(line, window, time, step) {
                    slots.push(time);
                }
                time += step;
            }
        }
        hour = end;
    }
    slots
}

/// Whether the clock shows a time of the line, in a pass that counts.
fn is_shown(line: &Line, window: &Window, time: DateTime<Utc>) -> bool {
    let shown = local(window.tz, time);
    line.matches(shown, window.and)
        && match (window.tz.from_local_datetime(&shown), window.overlap) {
            (LocalResult::Ambiguous(first, _), Fold::First) => first == time,
            (LocalResult::Ambiguous(_, second), Fold::Second) => second == time,
            _ => true,
        }
}

/// Whether the clock has just jumped over a time of the line, and that counts.
fn is_made_up_for(line: &Line, window: &Window, time: DateTime<Utc>, step: TimeDelta) -> bool {
    let shown = local(window.tz, time);
    let mut jumped = local(window.tz, time - step) + step;
    while window.gap == Gap::After && jumped < shown {
        if line.matches(jumped, window.and) {
            return true;
        }
        jumped += step;
    }
    false
}

/// What the wall clock shows.
pub(crate) fn local(tz: Tz, time: DateTime<Utc>) -> NaiveDateTime {
    time.with_timezone(&tz).naive_local()
}

fn offset(tz: Tz, time: DateTime<Utc>) -> i32 {
    tz.offset_from_utc_datetime(&time.naive_utc()).fix().local_minus_utc()
}

/// The hours of a year in which the zone's offset changes.
pub(crate) fn changes(tz: Tz, year: i32) -> Vec<DateTime<Utc>> {
    let start = Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap();
    (0..366 * 24)
        .map(|hour| start + TimeDelta::hours(hour))
        .filter(|hour| offset(tz, *hour) != offset(tz, *hour + TimeDelta::hours(1)))
        .collect()
}
