//! When a DAG is due: crontab lines, intervals and fixed times in a time zone, compiled once and asked often.
//!
//! A schedule is a set of **slots**, whole seconds between 1970 and 2100. A slot's identity is its UTC instant.
//! Jitter moves when a slot is *due*, never which slot it is. Nothing here reads a clock or waits: [`decide`] says
//! what to do with the slots between a persisted cursor and a given now.
//!
//! The parts: `field` reads one crontab field, `crontab` translates a line onto the `cron` crate (which then works
//! on wall-clock time only), `zone` knows when a zone changes its clock (`zones` finds
//! it, `tzif` reads it), `wall` maps wall-clock times to instants
//! under a daylight-saving policy, `rule` is the union of these with intervals, `decide` is catch-up.

mod crontab;
mod decide;
mod duration;
mod error;
mod field;
mod rule;
mod text;
mod tzif;
mod wall;
mod zone;
mod zones;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

pub use decide::{Backlog, Decision, MissedRange, backlog, decide, first_cursor, passed};
pub use duration::{DurationError, format_duration, parse_duration};
pub use error::{Part, ScheduleError};
pub use text::parse_schedule_text;
pub use tzif::ZONE_BYTES_MAX;
pub use zone::{Zone, ZoneOffset};
pub use zones::{ZoneData, ZoneError, ZoneFiles, zone_data, zones_from};

use rule::Compiled;

/// Most rules (crontab lines, intervals, lists of times) of one schedule.
pub const RULES_MAX: usize = 64;
/// Most times of one `at:` list.
pub const TIMES_MAX: usize = 1000;
/// Most bytes of one crontab line.
pub const LINE_BYTES_MAX: usize = 1024;
/// The longest `every:` (100 years of 365 days).
pub const EVERY_MAX: Duration = Duration::from_secs(36_500 * 86_400);

/// What a DAG file says under `schedule:`, before it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The slots are the union of all rules'.
    pub rules: Vec<Rule>,
    /// The zone whose wall clock `cron` and `at` speak of. Default UTC.
    pub timezone: Zone,
    /// No slot is earlier (a slot at this very instant counts); also the phase of `every`.
    pub start: Option<DateTime<Utc>>,
    /// No slot is later (a slot at this very instant counts).
    pub end: Option<DateTime<Utc>>,
    /// Slots are due later by a part of this that is fixed per DAG. Default zero.
    pub jitter: Duration,
    /// What a change of the clock does to `cron` and `at`. Default as Debian's cron.
    pub dst: Dst,
    /// How day-of-month and day-of-week combine when both are restricted. Default `or`.
    pub days: Days,
    /// A slot at most this late still fires. Default one minute.
    pub deadline: Duration,
    /// What becomes of slots that are later. Default `latest`.
    pub catchup: Catchup,
}

/// One source of slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// A crontab line of 5 fields, or 6 with leading seconds, or a nickname such as `@daily`.
    Cron(String),
    /// Every so often (whole seconds, at least one), counted from `start`, else from the Unix epoch.
    Every(Duration),
    /// At these times of the zone's wall clock.
    At(Vec<NaiveDateTime>),
}

/// `dst:`. What is unset follows Debian's cron: a rule with fixed times (neither its minute nor its hour starts with
/// `*`; also `at`) has gap `after` and overlap `first`; any other follows real instants (gap `skip`, overlap `both`).
/// What is set holds for every `cron` and `at` rule of the schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dst {
    /// For wall-clock times that do not exist.
    pub gap: Option<Gap>,
    /// For wall-clock times that exist twice.
    pub overlap: Option<Fold>,
}

/// What becomes of times that the clock jumps over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// All of them together are one slot at the first instant after the gap.
    After,
    /// They have no slot.
    Skip,
}

/// Which pass of a repeated hour has slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    /// The first only.
    First,
    /// The second only.
    Second,
    /// Each of the two.
    Both,
}

/// How day-of-month and day-of-week combine when neither field starts with `*`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Days {
    /// A day matches by either, as in crontab.
    #[default]
    Or,
    /// A day must match both.
    And,
}

/// What becomes of slots that are past their deadline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Catchup {
    /// All are missed.
    None,
    /// The newest of them fires, the others are missed.
    #[default]
    Latest,
    /// All fire, oldest first.
    All,
}

impl Spec {
    /// These rules in UTC, with every other field at its default.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self {
            rules,
            timezone: Zone::UTC,
            start: None,
            end: None,
            jitter: Duration::ZERO,
            dst: Dst::default(),
            days: Days::default(),
            deadline: Duration::from_secs(60),
            catchup: Catchup::default(),
        }
    }
}

/// A checked schedule. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Schedule(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    spec: Spec,
    rules: Vec<Compiled>,
    /// First and last second that can be a slot.
    first: i64,
    last: i64,
    jitter: Duration,
}

impl Schedule {
    /// Checks and compiles `spec`. `seed` (the DAG's id) chooses its part of the jitter: the same seed always the same.
    ///
    /// Fails with the rule, the place within its text, what was expected and the nearest valid spelling; also for
    /// lines whose date never comes, and beyond [`RULES_MAX`], [`TIMES_MAX`], [`LINE_BYTES_MAX`] and [`EVERY_MAX`].
    pub fn compile(spec: Spec, seed: &str) -> Result<Self, ScheduleError> {
        rule::check_bounds(&spec)?;
        let rules = spec
            .rules
            .iter()
            .enumerate()
            .map(|(index, rule)| Compiled::new(rule, &spec).map_err(|fault| fault.in_rule(index)))
            .collect::<Result<Vec<_>, _>>()?;
        let first = spec.start.map_or(zone::FIRST, ceil_secs).max(zone::FIRST);
        let last = spec.end.map_or(zone::LAST, floor_secs).min(zone::LAST);
        let jitter = rule::jitter_part(spec.jitter, seed);
        Ok(Self(Arc::new(Inner { spec, rules, first, last, jitter })))
    }

    /// What it was compiled from.
    pub fn spec(&self) -> &Spec {
        &self.0.spec
    }

    /// The first slot strictly after `after`, without jitter; `None` when there is none before the year 2101.
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.next_secs(floor_secs(after)).and_then(instant)
    }

    /// The last slot strictly before `before`, without jitter: where the data interval that ends at a slot begins.
    pub fn previous_before(&self, before: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.previous_secs(ceil_secs(before)).and_then(instant)
    }

    /// When `slot` is due: the slot, later by this DAG's constant part of `jitter` (at least zero, less than `jitter`).
    pub fn due_at(&self, slot: DateTime<Utc>) -> DateTime<Utc> {
        TimeDelta::from_std(self.0.jitter)
            .ok()
            .and_then(|part| slot.checked_add_signed(part))
            .unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// At most `count` slots after `after`, ascending.
    pub fn upcoming(&self, after: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
        std::iter::successors(self.next_after(after), |slot| self.next_after(*slot)).take(count).collect()
    }

    /// How many slots lie at or after `from` and before `until`. Those of several rules are walked: `None` if there are more
    /// than `walk_max` of them.
    pub fn count_between(&self, from: DateTime<Utc>, until: DateTime<Utc>, walk_max: u64) -> Option<u64> {
        let (from, until) = (ceil_secs(from), ceil_secs(until));
        if let Some(count) = self.count_secs(from, until) {
            return Some(count);
        }
        let next = |after: i64| self.next_secs(after).filter(|slot| *slot < until);
        let walked = std::iter::successors(next(from - 1), |slot| next(*slot));
        let count =
            walked.take(usize::try_from(walk_max).unwrap_or(usize::MAX).saturating_add(1)).count() as u64;
        (count <= walk_max).then_some(count)
    }

    /// One line for people: `0 6 * * 1-5, Europe/Berlin` or `every 15m`.
    pub fn describe(&self) -> String {
        text::describe(self.spec())
    }

    /// [`Self::next_after`] in seconds since the epoch.
    fn next_secs(&self, after: i64) -> Option<i64> {
        let inner = &*self.0;
        let after = after.max(inner.first - 1);
        if after >= inner.last {
            return None;
        }
        inner
            .rules
            .iter()
            .filter_map(|rule| rule.next(inner.spec.timezone, after))
            .min()
            .filter(|slot| *slot <= inner.last)
    }

    /// [`Self::previous_before`] in seconds since the epoch.
    fn previous_secs(&self, before: i64) -> Option<i64> {
        let inner = &*self.0;
        let before = before.min(inner.last + 1);
        if before <= inner.first {
            return None;
        }
        inner
            .rules
            .iter()
            .filter_map(|rule| rule.previous(inner.spec.timezone, before))
            .max()
            .filter(|slot| *slot >= inner.first)
    }

    /// How many slots lie in `from..until`, when that can be known without walking them (a single rule).
    fn count_secs(&self, from: i64, until: i64) -> Option<u64> {
        let inner = &*self.0;
        let (from, until) = (from.max(inner.first), until.min(inner.last + 1));
        match inner.rules.as_slice() {
            [rule] if from < until => Some(rule.count(inner.spec.timezone, from, until)),
            [_] => Some(0),
            _ => None,
        }
    }
}

/// The instant of a second within the range of slots.
fn instant(secs: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(secs, 0)
}

/// The second that `time` is in.
fn floor_secs(time: DateTime<Utc>) -> i64 {
    time.timestamp()
}

/// The first whole second that is not before `time`.
fn ceil_secs(time: DateTime<Utc>) -> i64 {
    time.timestamp() + i64::from(time.timestamp_subsec_nanos() > 0)
}
