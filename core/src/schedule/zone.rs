//! When a time zone changes its clock: stretches of constant UTC offset, from 1970 to 2100.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

/// The first second that can be a slot: 1970-01-01T00:00:00Z.
pub(super) const FIRST: i64 = 0;
/// The last second that can be a slot: 2100-12-31T23:59:59Z, as far as the `cron` crate goes.
pub(super) const LAST: i64 = 4_133_980_799;

/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;
/// Before and after all instants, and far enough from the ends of `i64` that offsets can be added.
const FAR: i64 = 1 << 60;

/// A zone's stretches of constant offset, ascending and without holes.
#[derive(Debug)]
pub(super) struct Zone {
    stretches: Vec<Stretch>,
}

/// One stretch, from `starts` to the next one's.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    /// The instant, in seconds since the epoch.
    starts: i64,
    /// Local time minus UTC, in seconds.
    offset: i64,
}

/// One stretch as the wall clock shows it. Wall times are seconds since 1970-01-01T00:00:00 local.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wall {
    /// The instant it starts at.
    pub(super) starts: i64,
    /// Local time minus UTC, in seconds.
    pub(super) offset: i64,
    /// Where the wall clock stood when the stretch before ended (it never showed this itself).
    pub(super) left_off: i64,
    /// What the wall clock shows first. More than `left_off`: a gap. Less: an overlap.
    pub(super) from: i64,
    /// Where the wall clock stands when this stretch ends.
    pub(super) until: i64,
    /// What the wall clock shows first in the stretch after this.
    pub(super) resumes: i64,
}

impl Zone {
    /// The stretches of `tz`, found once per process: the changes between two days are searched for, and chrono-tz
    /// has no list of them.
    pub(super) fn of(tz: Tz) -> Arc<Self> {
        static ZONES: LazyLock<Mutex<HashMap<Tz, Arc<Zone>>>> = LazyLock::new(Mutex::default);
        let found = ZONES.lock().unwrap_or_else(PoisonError::into_inner).get(&tz).cloned();
        found.unwrap_or_else(|| {
            let zone = Arc::new(Self::search(tz));
            ZONES.lock().unwrap_or_else(PoisonError::into_inner).insert(tz, zone.clone());
            zone
        })
    }

    /// The number of stretches.
    pub(super) fn len(&self) -> usize {
        self.stretches.len()
    }

    /// The place of the stretch that `instant` is in.
    pub(super) fn place(&self, instant: i64) -> usize {
        self.stretches.partition_point(|stretch| stretch.starts <= instant).saturating_sub(1)
    }

    /// The stretch at `place`, which must be less than [`Self::len`].
    pub(super) fn wall(&self, place: usize) -> Wall {
        let Stretch { starts, offset } = self.stretches[place];
        let before = if place == 0 { offset } else { self.stretches[place - 1].offset };
        let (ends, after) =
            self.stretches.get(place + 1).map_or((FAR, offset), |next| (next.starts, next.offset));
        Wall {
            starts,
            offset,
            left_off: starts + before,
            from: starts + offset,
            until: ends + offset,
            resumes: ends + after,
        }
    }

    fn search(tz: Tz) -> Self {
        let mut offset = offset_at(tz, FIRST - 3 * DAY);
        let mut stretches = vec![Stretch { starts: -FAR, offset }];
        let mut known = FIRST - 3 * DAY;
        while known < LAST + 3 * DAY {
            let probe = known + DAY;
            while offset_at(tz, probe) != offset {
                known = first_change(tz, known, probe, offset);
                offset = offset_at(tz, known);
                stretches.push(Stretch { starts: known, offset });
            }
            known = probe;
        }
        Self { stretches }
    }
}

/// The first second after `same` and at most `changed` where the offset is no longer `offset`.
fn first_change(tz: Tz, mut same: i64, mut changed: i64, offset: i64) -> i64 {
    while changed - same > 1 {
        let middle = same + (changed - same) / 2;
        if offset_at(tz, middle) == offset { same = middle } else { changed = middle }
    }
    changed
}

fn offset_at(tz: Tz, instant: i64) -> i64 {
    let utc = DateTime::from_timestamp(instant, 0).unwrap_or_default().naive_utc();
    i64::from(tz.offset_from_utc_datetime(&utc).fix().local_minus_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_second_is_the_last_of_2100() {
        assert_eq!(DateTime::from_timestamp(LAST, 0).unwrap().to_rfc3339(), "2100-12-31T23:59:59+00:00");
    }

    #[test]
    fn utc_has_one_stretch_and_berlin_two_a_year() {
        assert_eq!(Zone::of(Tz::UTC).len(), 1);
        let berlin = Zone::of(Tz::Europe__Berlin);
        let year = |y: i32| Tz::UTC.with_ymd_and_hms(y, 1, 1, 0, 0, 0).unwrap().timestamp();
        assert_eq!(berlin.place(year(2027)) - berlin.place(year(2026)), 2);
        let summer = berlin.wall(berlin.place(year(2026)) + 1);
        assert_eq!(summer.from - summer.left_off, 3600, "an hour is jumped over in spring");
        assert_eq!(summer.until - summer.resumes, 3600, "an hour is repeated in autumn");
    }

    #[test]
    fn every_zone_agrees_with_chrono_at_and_beside_each_change() {
        for tz in chrono_tz::TZ_VARIANTS {
            let zone = Zone::search(tz);
            for place in 1..zone.len() {
                let starts = zone.wall(place).starts;
                for instant in [starts - 1, starts, starts + 1, starts + 5 * 3600] {
                    let wall = zone.wall(zone.place(instant));
                    assert_eq!(wall.offset, offset_at(tz, instant), "{tz} at {instant}");
                }
            }
        }
    }
}
