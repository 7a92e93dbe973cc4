//! Times and spans as people read them: `10:17`, `Fri 23 Oct 10:17`, `12 m 33 s`. Units keep to their number by a
//! no-break space. Never reads a clock.

use askama::Template;
use chrono::{DateTime, Datelike, LocalResult, TimeDelta, TimeZone as _, Timelike, Utc};
use rota_core::schedule::Zone;

/// Keeps a number and its unit on one line.
const NBSP: char = '\u{a0}';

/// The instant a page is drawn at, and the zone it is drawn in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalClock {
    /// Now.
    pub(crate) now: DateTime<Utc>,
    /// The zone of all times on the page that do not say otherwise.
    pub(crate) zone: Zone,
}

/// An instant as a `<time>` element.
#[derive(Debug, Clone, Template)]
#[template(path = "parts/stamp.html")]
pub(crate) struct Stamp {
    /// RFC 3339 with the zone's offset.
    pub(crate) iso: String,
    /// What is shown.
    pub(crate) text: String,
    /// The whole date and the UTC time.
    pub(crate) title: String,
}

impl askama::filters::HtmlSafe for Stamp {}

/// How fine a stamp is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StampGrain {
    /// To the minute, and to the second where the instant has seconds: for slots.
    Slot,
    /// To the second: for what happened.
    Second,
}

impl Stamp {
    /// The same, to the minute.
    pub(crate) fn without_seconds(self) -> Self {
        let clock = self.text_clock();
        let short = clock.get(..5).unwrap_or(&clock);
        Self { text: self.text.replace(&clock, short), ..self }
    }

    /// Only the time of day, without the day's name.
    pub(crate) fn text_clock(&self) -> String {
        self.text.rsplit(' ').next().unwrap_or(&self.text).to_owned()
    }
}

impl LocalClock {
    /// The zone whose times stand beside this one's: a schedule's own, else UTC; `None` where that would be the same again.
    pub(crate) fn beside(&self, schedule: Option<Zone>) -> Option<Zone> {
        let differs = |zone: &Zone| zone_name(*zone) != zone_name(self.zone);
        schedule.filter(differs).or(Some(Zone::UTC).filter(differs))
    }

    /// A slot: `10:30` today, else with its day.
    pub(crate) fn slot(&self, at: DateTime<Utc>) -> Stamp {
        self.stamp(at, StampGrain::Slot)
    }

    /// Something that happened: `10:30:12` today, else with its day.
    pub(crate) fn event(&self, at: DateTime<Utc>) -> Stamp {
        self.stamp(at, StampGrain::Second)
    }

    /// `slot` in a sentence that names the day in any case: `Fri 23 Oct 10:30`.
    pub(crate) fn slot_dated(&self, at: DateTime<Utc>) -> Stamp {
        let local = at.with_timezone(&self.zone);
        let text = format!("{} {}", self.day(at), hours(&local, StampGrain::Slot));
        Stamp { text, ..self.stamp(at, StampGrain::Slot) }
    }

    /// A slot so that no other is called the same: with its day and the zone, and where the clock was set back with the pass.
    pub(crate) fn slot_named(&self, at: DateTime<Utc>) -> String {
        let local = at.with_timezone(&self.zone);
        let twice = matches!(
            self.zone.from_local_datetime(&local.naive_local()),
            LocalResult::Ambiguous(first, second) if first != second
        );
        let pass = if twice { local.format(" %Z").to_string() } else { String::new() };
        format!("{}{pass} {}", self.slot_dated(at).text, zone_name(self.zone))
    }

    /// The day: `Fri 23 Oct`, with the year if it is not this one.
    pub(crate) fn day(&self, at: DateTime<Utc>) -> String {
        let (local, today) = (at.with_timezone(&self.zone), self.now.with_timezone(&self.zone));
        let year = if local.year() == today.year() { "" } else { " %Y" };
        local.format(&format!("%a %-d %b{year}")).to_string()
    }

    /// Hours and minutes only.
    pub(crate) fn hours(&self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%H:%M").to_string()
    }

    /// Hours, minutes and seconds only.
    pub(crate) fn seconds(&self, at: DateTime<Utc>) -> String {
        hours(&at.with_timezone(&self.zone), StampGrain::Second)
    }

    /// How long ago: `4 m 12 s`.
    pub(crate) fn since(&self, at: DateTime<Utc>) -> String {
        span(self.now - at)
    }

    /// How long until then, with its little word: `in 4 m`, or `due now`.
    pub(crate) fn until(&self, at: DateTime<Utc>) -> String {
        let left = at - self.now;
        if left < TimeDelta::seconds(1) { "due now".to_owned() } else { format!("in {}", span_short(left)) }
    }

    fn stamp(&self, at: DateTime<Utc>, grain: StampGrain) -> Stamp {
        let (local, today) = (at.with_timezone(&self.zone), self.now.with_timezone(&self.zone));
        let clock = hours(&local, grain);
        let text = if local.date_naive() == today.date_naive() {
            clock
        } else if (at - self.now).abs() < TimeDelta::days(6) {
            format!("{} {clock}", local.format("%a"))
        } else {
            format!("{} {clock}", self.day(at))
        };
        let whole = format!("{} {}", local.format("%a %-d %b %Y %H:%M:%S"), zone_name(self.zone));
        let title = if is_utc(self.zone) { whole } else { format!("{whole}, {} UTC", utc(at)) };
        Stamp { iso: local.to_rfc3339_opts(chrono::SecondsFormat::Secs, true), text, title }
    }
}

/// `Berlin` for `Europe/Berlin`.
pub(crate) fn zone_name(zone: Zone) -> String {
    let name = zone.name();
    name.rsplit('/').next().unwrap_or(name).replace('_', " ")
}

/// Whether its times are UTC's, so that these need not be said again.
pub(crate) fn is_utc(zone: Zone) -> bool {
    zone_name(zone) == zone_name(Zone::UTC)
}

/// `07:30`, or `07:30:10` where there are seconds, in UTC.
pub(crate) fn utc(at: DateTime<Utc>) -> String {
    hours(&at, StampGrain::Slot)
}

fn hours<Z: chrono::TimeZone>(at: &DateTime<Z>, grain: StampGrain) -> String
where
    Z::Offset: std::fmt::Display,
{
    let seconds = grain == StampGrain::Second || at.second() != 0;
    at.format(if seconds { "%H:%M:%S" } else { "%H:%M" }).to_string()
}

/// A span in its two largest units: `38 ms`, `0.4 s`, `32 s`, `12 m 33 s`, `1 h 11 m`, `3 d 4 h`. Negative is zero.
pub(crate) fn span(delta: TimeDelta) -> String {
    let ms = delta.num_milliseconds().max(0);
    let s = ms / 1000;
    match s {
        0 if ms < 100 => format!("{ms}{NBSP}ms"),
        0..10 => format!("{}.{}{NBSP}s", s, ms % 1000 / 100),
        10..60 => format!("{s}{NBSP}s"),
        60..3_600 => format!("{}{NBSP}m{NBSP}{:02}{NBSP}s", s / 60, s % 60),
        3_600..86_400 => format!("{}{NBSP}h{NBSP}{:02}{NBSP}m", s / 3_600, s / 60 % 60),
        86_400..864_000 => format!("{}{NBSP}d{NBSP}{}{NBSP}h", s / 86_400, s / 3_600 % 24),
        _ => format!("{}{NBSP}d", s / 86_400),
    }
}

/// A span without its seconds where it has minutes, for what need not tick: `32 s`, `12 m`, `1 h 11 m`.
pub(crate) fn span_short(delta: TimeDelta) -> String {
    let s = delta.num_seconds().max(0);
    match s {
        0..60 => format!("{s}{NBSP}s"),
        60..3_600 => format!("{}{NBSP}m", s / 60),
        _ => span(delta),
    }
}

/// A number with commas between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 slot`, `2 slots`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = match noun {
        "entry" => "entries",
        _ if number == 1 => return format!("1{NBSP}{noun}"),
        _ => return format!("{}{NBSP}{noun}s", grouped(number)),
    };
    if number == 1 { format!("1{NBSP}{noun}") } else { format!("{}{NBSP}{plural}", grouped(number)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        text.replace(NBSP, " ")
    }

    #[test]
    fn spans_name_their_two_largest_units() {
        for (ms, text) in [
            (38, "38 ms"),
            (400, "0.4 s"),
            (32_900, "32 s"),
            (753_000, "12 m 33 s"),
            (4_260_000, "1 h 11 m"),
            (273_600_000, "3 d 4 h"),
            (-5, "0 ms"),
        ] {
            assert_eq!(plain(&span(TimeDelta::milliseconds(ms))), text);
        }
    }

    #[test]
    fn a_stamp_names_its_day_only_when_it_is_not_today() {
        let now: DateTime<Utc> = "2026-10-23T08:17:34Z".parse().expect("valid");
        let moment = LocalClock { now, zone: Zone::named("Europe/Berlin").expect("a zone") };
        let at = |text: &str| moment.slot(text.parse().expect("valid")).text;
        assert_eq!(at("2026-10-23T08:30:00Z"), "10:30");
        assert_eq!(at("2026-10-23T08:30:10Z"), "10:30:10");
        assert_eq!(at("2026-10-24T00:30:00Z"), "Sat 02:30");
        assert_eq!(at("2026-12-24T17:00:00Z"), "Thu 24 Dec 18:00");
        assert_eq!(at("2027-01-01T17:00:00Z"), "Fri 1 Jan 2027 18:00");
    }

    #[test]
    fn slots_of_an_hour_that_comes_twice_have_two_names() {
        let now: DateTime<Utc> = "2026-10-24T08:17:34Z".parse().expect("valid");
        let moment = LocalClock { now, zone: Zone::named("Europe/Berlin").expect("a zone") };
        let name = |text: &str| moment.slot_named(text.parse().expect("valid"));
        assert_eq!(name("2026-10-24T07:30:00Z"), "Sat 24 Oct 09:30 Berlin");
        assert_eq!(name("2026-10-25T00:30:00Z"), "Sun 25 Oct 02:30 CEST Berlin");
        assert_eq!(name("2026-10-25T01:30:00Z"), "Sun 25 Oct 02:30 CET Berlin");
    }

    #[test]
    fn no_zone_stands_beside_itself() {
        let moment = |zone| LocalClock { now: DateTime::UNIX_EPOCH, zone };
        let (berlin, tokyo) =
            (Zone::named("Europe/Berlin").expect("a zone"), Zone::named("Asia/Tokyo").expect("a zone"));
        for (page, schedule, beside) in [
            (Zone::UTC, Some(Zone::UTC), None),
            (Zone::UTC, None, None),
            (Zone::named("Etc/UTC").expect("a zone"), Some(Zone::UTC), None),
            (Zone::UTC, Some(berlin), Some(berlin)),
            (berlin, Some(berlin), Some(Zone::UTC)),
            (berlin, Some(Zone::UTC), Some(Zone::UTC)),
            (berlin, Some(tokyo), Some(tokyo)),
        ] {
            assert_eq!(moment(page).beside(schedule), beside, "{page} and {schedule:?}");
        }
        let stamp = moment(Zone::UTC).slot(DateTime::UNIX_EPOCH);
        assert_eq!(stamp.title.matches("UTC").count(), 1, "{}", stamp.title);
    }

    #[test]
    fn counts_agree_with_their_noun() {
        assert_eq!(plain(&count(1, "slot")), "1 slot");
        assert_eq!(plain(&count(1_204_418, "row")), "1,204,418 rows");
        assert_eq!(plain(&count(2, "entry")), "2 entries");
    }
}
