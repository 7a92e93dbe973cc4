//! A time zone as the schedules see it: stretches of constant UTC offset, and chrono's way to ask for them.
//!
//! A [`Zone`] is a name that was found once; it keeps what it means for the life of the process, whatever becomes of the
//! files it came from. `zones` finds it, `tzif` reads it.

use std::fmt;
use std::hash::{Hash, Hasher};

use chrono::{FixedOffset, LocalResult, NaiveDate, NaiveDateTime, Offset, TimeZone};

/// The first second that can be a slot: 1970-01-01T00:00:00Z.
pub(super) const FIRST: i64 = 0;
/// The last second that can be a slot: 2100-12-31T23:59:59Z, as far as the `cron` crate goes.
pub(super) const LAST: i64 = 4_133_980_799;

/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;
/// Before and after all instants, and far enough from the ends of `i64` that offsets can be added.
pub(super) const FAR: i64 = 1 << 60;

/// A time zone by its IANA name. Copying shares it; two are equal if their names are.
#[derive(Clone, Copy)]
pub struct Zone(&'static Clock);

/// What a zone's clocks do.
#[derive(Debug)]
pub(super) struct Clock {
    pub(super) name: &'static str,
    /// Ascending and without holes; the first starts before all instants.
    pub(super) stretches: &'static [Stretch],
}

/// One stretch, from `starts` to the next one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The instant, in seconds since the epoch.
    pub(super) starts: i64,
    /// Local time minus UTC, in seconds; less than a day either way.
    pub(super) offset: i64,
    /// What people call it, such as `CEST`.
    pub(super) abbreviation: &'static str,
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

/// A zone's offset at some instant. Displays as its abbreviation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ZoneOffset {
    zone: Zone,
    place: usize,
}

impl Zone {
    /// Coordinated universal time. Needs no data.
    pub const UTC: Self =
        Self(&Clock { name: "UTC", stretches: &[Stretch { starts: -FAR, offset: 0, abbreviation: "UTC" }] });

    /// Its IANA name.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Keeps `clock` for the life of the process: called once per name, by `zones`.
    pub(super) fn keep(clock: Clock) -> Self {
        Self(Box::leak(Box::new(clock)))
    }

    /// The number of stretches.
    pub(super) fn len(self) -> usize {
        self.0.stretches.len()
    }

    /// The place of the stretch that `instant` is in.
    pub(super) fn place(self, instant: i64) -> usize {
        self.0.stretches.partition_point(|stretch| stretch.starts <= instant).saturating_sub(1)
    }

    /// The stretch at `place`, which must be less than [`Self::len`].
    pub(super) fn wall(self, place: usize) -> Wall {
        let stretches = self.0.stretches;
        let Stretch { starts, offset, .. } = stretches[place];
        let before = if place == 0 { offset } else { stretches[place - 1].offset };
        let (ends, after) = stretches.get(place + 1).map_or((FAR, offset), |next| (next.starts, next.offset));
        Wall {
            starts,
            offset,
            left_off: starts + before,
            from: starts + offset,
            until: ends + offset,
            resumes: ends + after,
        }
    }

    /// The stretches in which the wall clock shows `local`: none in a gap, two where an hour is repeated.
    fn shows(self, local: i64) -> impl Iterator<Item = ZoneOffset> {
        (self.place(local - DAY)..=self.place(local + DAY))
            .filter(move |place| {
                let wall = self.wall(*place);
                (wall.from..wall.until).contains(&local)
            })
            .map(move |place| ZoneOffset { zone: self, place })
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl TimeZone for Zone {
    type Offset = ZoneOffset;

    fn from_offset(offset: &ZoneOffset) -> Self {
        offset.zone
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> LocalResult<ZoneOffset> {
        self.offset_from_local_datetime(&local.and_time(chrono::NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> LocalResult<ZoneOffset> {
        let mut shows = self.shows(local.and_utc().timestamp());
        match (shows.next(), shows.last()) {
            (None, _) => LocalResult::None,
            (Some(only), None) => LocalResult::Single(only),
            (Some(first), Some(second)) => LocalResult::Ambiguous(first, second),
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> ZoneOffset {
        self.offset_from_utc_datetime(&utc.and_time(chrono::NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> ZoneOffset {
        ZoneOffset { zone: *self, place: self.place(utc.and_utc().timestamp()) }
    }
}

impl ZoneOffset {
    fn stretch(self) -> Stretch {
        self.zone.0.stretches[self.place]
    }
}

impl Offset for ZoneOffset {
    fn fix(&self) -> FixedOffset {
        let offset = i32::try_from(self.stretch().offset).ok();
        offset.and_then(FixedOffset::east_opt).expect("an offset is less than a day")
    }
}

impl fmt::Display for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.stretch().abbreviation)
    }
}

impl fmt::Debug for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.fix(), self.stretch().abbreviation)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn berlin() -> Zone {
        Zone::named("Europe/Berlin").unwrap()
    }

    #[test]
    fn the_last_second_is_the_last_of_2100() {
        assert_eq!(DateTime::from_timestamp(LAST, 0).unwrap().to_rfc3339(), "2100-12-31T23:59:59+00:00");
    }

    #[test]
    fn utc_has_one_stretch_and_berlin_two_a_year() {
        assert_eq!(Zone::UTC.len(), 1);
        let year = |y: i32| Utc.with_ymd_and_hms(y, 1, 1, 0, 0, 0).unwrap().timestamp();
        assert_eq!(berlin().place(year(2027)) - berlin().place(year(2026)), 2);
        assert_eq!(berlin().place(year(2100)) - berlin().place(year(2099)), 2);
        let summer = berlin().wall(berlin().place(year(2026)) + 1);
        assert_eq!(summer.from - summer.left_off, 3600, "an hour is jumped over in spring");
        assert_eq!(summer.until - summer.resumes, 3600, "an hour is repeated in autumn");
    }

    /// The zones whose rules, or whose known past, have changed between the data of chrono-tz (2025b) and that which is built
    /// in (2026f).
    const CHANGED: [&str; 22] = [
        "Africa/Casablanca",
        "Africa/El_Aaiun",
        "America/Bogota",
        "America/Edmonton",
        "America/Ensenada",
        "America/Havana",
        "America/Inuvik",
        "America/Rainy_River",
        "America/Santa_Isabel",
        "America/Tijuana",
        "America/Vancouver",
        "America/Winnipeg",
        "America/Yellowknife",
        "Asia/Tehran",
        "Canada/Central",
        "Canada/Mountain",
        "Canada/Pacific",
        "Cuba",
        "Europe/Chisinau",
        "Europe/Tiraspol",
        "Iran",
        "Mexico/BajaNorte",
    ];
    /// 2099-01-01T00:00:00Z: chrono-tz has no changes after that year.
    const THEIR_END: i64 = 4_070_908_800;

    fn offsets(zone: Zone, tz: chrono_tz::Tz, instant: i64) -> (i32, i32) {
        let time = DateTime::from_timestamp(instant, 0).unwrap();
        let seconds = |offset: FixedOffset| offset.local_minus_utc();
        (seconds(time.with_timezone(&zone).offset().fix()), seconds(time.with_timezone(&tz).offset().fix()))
    }

    #[test]
    fn every_zone_agrees_with_chrono_tz_at_and_beside_each_change_but_where_rules_have_changed() {
        assert_eq!(chrono_tz::IANA_TZDB_VERSION, "2025b", "look at the list of changes anew");
        let mut changed = Vec::new();
        for tz in chrono_tz::TZ_VARIANTS {
            let zone = Zone::named(tz.name()).unwrap();
            let stretches = zone.0.stretches.iter().map(|stretch| stretch.starts);
            let beside = stretches
                .filter(|starts| (1..THEIR_END).contains(starts))
                .flat_map(|starts| [-1, 0, 1, 18_000].map(|by| starts + by));
            let fortnightly = (FIRST..THEIR_END).step_by(14 * 86_400);
            if beside.chain(fortnightly).any(|instant| {
                let (ours, theirs) = offsets(zone, tz, instant);
                ours != theirs
            }) {
                changed.push(tz.name());
            }
        }
        assert_eq!(changed, CHANGED);
    }

    #[test]
    fn british_columbia_stays_on_summer_time_from_2026_on() {
        let vancouver = Zone::named("America/Vancouver").unwrap();
        let noon: DateTime<Utc> = "2026-12-24T20:17:00Z".parse().unwrap();
        assert_eq!(noon.with_timezone(&vancouver).to_rfc3339(), "2026-12-24T13:17:00-07:00");
    }

    #[test]
    fn an_instant_has_one_local_time_and_its_abbreviation() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap().with_timezone(&berlin());
        assert_eq!(
            at("2026-07-01T12:00:00Z").format("%F %T %z %Z").to_string(),
            "2026-07-01 14:00:00 +0200 CEST"
        );
        assert_eq!(at("2026-12-01T12:00:00Z").to_rfc3339(), "2026-12-01T13:00:00+01:00");
        assert_eq!(at("2026-12-01T12:00:00Z").to_string(), "2026-12-01 13:00:00 CET");
    }

    #[test]
    fn a_local_time_has_no_instant_in_a_gap_and_two_in_an_overlap() {
        let local = |text: &str| {
            berlin().from_local_datetime(&text.parse().unwrap()).map(|time| time.to_utc().to_rfc3339())
        };
        assert_eq!(local("2026-03-29T02:30:00"), LocalResult::None);
        assert_eq!(local("2026-03-29T03:00:00"), LocalResult::Single("2026-03-29T01:00:00+00:00".into()));
        assert_eq!(
            local("2026-10-25T02:30:00"),
            LocalResult::Ambiguous("2026-10-25T00:30:00+00:00".into(), "2026-10-25T01:30:00+00:00".into())
        );
    }
}
