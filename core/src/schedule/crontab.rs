//! A crontab line, translated onto the `cron` crate.
//!
//! The crate speaks Quartz: seconds first, 1 is Sunday, both day fields must match, no `L`, no `#`, and its own idea
//! of daylight saving. So a line becomes a union of its schedules, each of which says days as day-of-month *and*
//! weekday *and* (for ends of February) years, and all of which are asked on wall-clock time without a zone. `5#2` is
//! a Friday from the 8th to the 14th; `L` is a day number for each length of month.

use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use cron::TimeUnitSpec;

use super::error::{ScheduleFault, clip, did_you_mean};
use super::field::{Field, Values, span};
use super::text::{NICKNAMES, nickname};
use super::wall::Times;
use super::zone::{DAY, FIRST, LAST};
use super::{Days, LINE_BYTES_MAX};

const FIELDS: [Field; 6] =
    [Field::Second, Field::Minute, Field::Hour, Field::DayOfMonth, Field::Month, Field::DayOfWeek];
const ALL_WEEKDAYS: u64 = 0b111_1111;
const FEBRUARY: u64 = 1 << 2;
const MONTHS_OF_30: u64 = 1 << 4 | 1 << 6 | 1 << 9 | 1 << 11;
const MONTHS_OF_31: u64 = 1 << 1 | 1 << 3 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 12;

/// A compiled line: a set of wall-clock times.
#[derive(Debug)]
pub(super) struct Line {
    clauses: Vec<Clause>,
    has_fixed_times: bool,
    per_day: u64,
}

/// One schedule of the union. All of a line's share their times of day.
#[derive(Debug)]
struct Clause {
    schedule: cron::Schedule,
    years: Years,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Years {
    All,
    Leap,
    Common,
}

/// A set of days: these days of these months, where they fall on these weekdays.
#[derive(Debug, Clone, Copy)]
struct DaySet {
    days: u64,
    months: u64,
    weekdays: u64,
    years: Years,
}

impl Line {
    /// Reads 5 fields, 6 with leading seconds, or a nickname.
    pub(super) fn parse(text: &str, days: Days) -> Result<Self, ScheduleFault> {
        if text.len() > LINE_BYTES_MAX {
            let message =
                format!("a cron line of {} bytes, at most {LINE_BYTES_MAX} are allowed", text.len());
            return Err(ScheduleFault::new(0, message));
        }
        let text = if text.trim_start().starts_with('@') { nickname(text)? } else { text };
        let fields = split(text)?;
        let mut values = [Values { set: 1, ..Values::default() }; 6];
        for (place, (offset, field)) in (FIELDS.len() - fields.len()..).zip(&fields) {
            values[place] = FIELDS[place].parse(field, *offset)?;
        }
        let [second, minute, hour, ..] = values;
        let day_sets = day_sets(&values, days);
        if day_sets.is_empty() {
            return Err(never(&fields));
        }
        let clauses = day_sets.iter().map(|set| clause(&values, *set)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            clauses,
            has_fixed_times: !minute.star && !hour.star,
            per_day: [second, minute, hour].iter().map(|field| u64::from(field.set.count_ones())).product(),
        })
    }

    /// Whether neither the minute nor the hour starts with `*`: what Debian's cron calls a fixed-time job.
    pub(super) fn has_fixed_times(&self) -> bool {
        self.has_fixed_times
    }

    /// How many times the line has on that day (days since 1970-01-01).
    fn count_on(&self, day: i64) -> u64 {
        let Some(date) = DateTime::from_timestamp(day * DAY, 0).map(|time| time.date_naive()) else {
            return 0;
        };
        if self.clauses.iter().any(|clause| clause.has_day(date)) { self.per_day } else { 0 }
    }

    /// How many times the line has on that day before its second `until`.
    fn count_on_until(&self, day: i64, until: i64) -> u64 {
        let Some(clause) = self.clauses.first().filter(|_| until > 0 && self.count_on(day) > 0) else {
            return 0;
        };
        let until = u32::try_from(until).unwrap_or(0);
        let (hour, minute, second) = (until / 3600, until / 60 % 60, until % 60);
        let (hours, minutes, seconds) =
            (clause.schedule.hours(), clause.schedule.minutes(), clause.schedule.seconds());
        let per_hour = u64::from(minutes.count()) * u64::from(seconds.count());
        let mut count = hours.range(..hour).count() as u64 * per_hour;
        if hours.includes(hour) {
            count += minutes.range(..minute).count() as u64 * u64::from(seconds.count());
            if minutes.includes(minute) {
                count += seconds.range(..second).count() as u64;
            }
        }
        count
    }
}

impl Times for Line {
    fn first_from(&self, from: i64) -> Option<i64> {
        let after = wall_time(from.saturating_sub(1));
        let first = |clause: &Clause| clause.schedule.after(&after).next();
        self.clauses.iter().filter_map(first).min().map(|time| time.timestamp())
    }

    fn last_before(&self, until: i64) -> Option<i64> {
        let before = wall_time(until);
        self.clauses.iter().filter_map(|clause| clause.last_before(before)).max().map(|time| time.timestamp())
    }

    fn count(&self, from: i64, until: i64) -> u64 {
        let (from, until) = (from.max(FIRST), until.min(LAST + 1));
        if from >= until {
            return 0;
        }
        let (first_day, last_day) = (from.div_euclid(DAY), until.div_euclid(DAY));
        let days: u64 = (first_day..last_day).map(|day| self.count_on(day)).sum();
        let head = self.count_on_until(first_day, from.rem_euclid(DAY));
        let tail = self.count_on_until(last_day, until.rem_euclid(DAY));
        days + tail - head
    }
}

impl Clause {
    fn last_before(&self, before: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // Looking back, the crate starts in the month of `before` also when it begins in an earlier year.
        let mut year = before.year();
        while !self.years.has(year) {
            year -= 1;
        }
        let year_end = NaiveDate::from_ymd_opt(year + 1, 1, 1)?.and_hms_opt(0, 0, 0)?.and_utc();
        self.schedule.after(&before.min(year_end)).next_back()
    }

    fn has_day(&self, date: NaiveDate) -> bool {
        self.years.has(date.year())
            && self.schedule.months().includes(date.month())
            && self.schedule.days_of_month().includes(date.day())
            && self.schedule.days_of_week().includes(date.weekday().number_from_sunday())
    }
}

impl Years {
    /// Whether the year is one of these, among those the `cron` crate knows.
    fn has(self, year: i32) -> bool {
        let is_leap = NaiveDate::from_ymd_opt(year, 2, 29).is_some();
        match self {
            _ if year < 1970 => true,
            _ if year > 2100 => false,
            Self::All => true,
            Self::Leap => is_leap,
            Self::Common => !is_leap,
        }
    }

    fn expression(self) -> String {
        if self == Self::All {
            return "*".to_owned();
        }
        let years: Vec<String> =
            (1970..=2100).filter(|year| self.has(*year)).map(|year| year.to_string()).collect();
        years.join(",")
    }
}

/// Wall-clock seconds as the `cron` crate takes them, kept within its years.
fn wall_time(secs: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(secs.clamp(FIRST - 1, LAST + 1), 0).unwrap_or_default()
}

/// The fields with their places in the line.
fn split(text: &str) -> Result<Vec<(usize, &str)>, ScheduleFault> {
    let start = text.as_ptr() as usize;
    let fields: Vec<_> =
        text.split_ascii_whitespace().map(|field| (field.as_ptr() as usize - start, field)).collect();
    if matches!(fields.len(), 5 | 6) {
        return Ok(fields);
    }
    if let Some((offset, _)) = fields.iter().find(|(_, field)| field.contains('=')) {
        let message = format!("`{}`: a zone is not part of the line, use `timezone:`", clip(text));
        return Err(ScheduleFault::new(*offset, message));
    }
    let hint = match fields.as_slice() {
        [(_, word)] => did_you_mean(&format!("@{word}"), &NICKNAMES),
        _ => String::new(),
    };
    let message = format!(
        "`{}` has {} {}, expected 5 (minute hour day-of-month month day-of-week) or 6 with leading seconds{hint}",
        clip(text),
        fields.len(),
        if fields.len() == 1 { "field" } else { "fields" },
    );
    Err(ScheduleFault::new(fields.get(6).map_or(0, |(offset, _)| *offset), message))
}

/// The days of a line, as a union. Empty when none ever comes.
fn day_sets(values: &[Values; 6], days: Days) -> Vec<DaySet> {
    let [_, _, _, day_of_month, month, day_of_week] = values;
    let must_match_both = days == Days::And || day_of_month.star || day_of_week.star;
    let mut sets = Vec::new();
    for (months, length, years) in month_groups(values) {
        let months = months & month.set;
        let last = if day_of_month.last_day { 1 << length } else { 0 };
        let by_date = (day_of_month.set | last) & span(1, length, 1);
        let mut by_weekday = vec![(span(1, length, 1), day_of_week.set)];
        by_weekday.push((span(length - 6, length, 1), day_of_week.last_weekdays));
        for (place, weekdays) in (0..).zip(day_of_week.nth_weekdays) {
            by_weekday.push((span(7 * place + 1, (7 * place + 7).min(length), 1), weekdays));
        }
        if must_match_both {
            by_weekday.iter_mut().for_each(|(days, _)| *days &= by_date);
        } else {
            by_weekday.push((by_date, ALL_WEEKDAYS));
        }
        sets.extend(by_weekday.iter().map(|(days, weekdays)| DaySet {
            days: *days,
            months,
            weekdays: *weekdays,
            years,
        }));
    }
    sets.retain(|set| set.days != 0 && set.months != 0 && set.weekdays != 0);
    sets
}

/// Months that are treated alike, with their length: all together, unless the line asks where a month ends.
fn month_groups(values: &[Values; 6]) -> Vec<(u64, u32, Years)> {
    let [_, _, _, day_of_month, month, day_of_week] = values;
    if day_of_month.last_day || day_of_week.last_weekdays != 0 {
        return vec![
            (MONTHS_OF_31, 31, Years::All),
            (MONTHS_OF_30, 30, Years::All),
            (FEBRUARY, 28, Years::Common),
            (FEBRUARY, 29, Years::Leap),
        ];
    }
    let longest = match month.set {
        months if months & MONTHS_OF_31 != 0 => 31,
        months if months & MONTHS_OF_30 != 0 => 30,
        _ => 29,
    };
    vec![(u64::MAX, longest, Years::All)]
}

fn clause(values: &[Values; 6], set: DaySet) -> Result<Clause, ScheduleFault> {
    let [second, minute, hour, ..] = values;
    let expression = format!(
        "{} {} {} {} {} {} {}",
        list(second.set, 0, 59),
        list(minute.set, 0, 59),
        list(hour.set, 0, 23),
        list(set.days, 1, 31),
        list(set.months, 1, 12),
        list(set.weekdays << 1, 1, 7),
        set.years.expression()
    );
    let schedule = cron::Schedule::from_str(&expression).map_err(|error| {
        ScheduleFault::new(0, format!("`{expression}` was refused by the cron library: {error}"))
    })?;
    Ok(Clause { schedule, years: set.years })
}

/// The values of a mask between `min` and `max`, as the `cron` crate reads them.
fn list(set: u64, min: u32, max: u32) -> String {
    let all = span(min, max, 1);
    if set & all == all {
        return "*".to_owned();
    }
    let values: Vec<String> =
        (min..=max).filter(|value| set & (1 << value) != 0).map(|value| value.to_string()).collect();
    values.join(",")
}

fn never(fields: &[(usize, &str)]) -> ScheduleFault {
    let tail = &fields[fields.len() - 3..];
    let message = format!(
        "day-of-month `{}`, month `{}` and day-of-week `{}` never come together in any year",
        clip(tail[0].1),
        clip(tail[1].1),
        clip(tail[2].1),
    );
    ScheduleFault::new(tail[0].0, message)
}
