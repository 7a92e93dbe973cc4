//! One compiled rule, and the checks that need no text: bounds, order of start and end, jitter.

use std::time::Duration;

use chrono::Timelike;
use sha2::{Digest, Sha256};

use super::crontab::Line;
use super::error::{Part, ScheduleError, ScheduleFault};
use super::wall::{self, Policy, Times};
use super::zone::{FIRST, LAST, Zone};
use super::{Dst, EVERY_MAX, Fold, Gap, RULES_MAX, Rule, Spec, TIMES_MAX, ceil_secs};

/// A rule that can be asked for its slots. All times are in seconds since the epoch.
#[derive(Debug)]
pub(super) enum Compiled {
    /// A crontab line.
    Line(Line, Policy),
    /// Wall-clock times.
    At(Moments, Policy),
    /// Real instants `anchor + n * step`, for any whole `n`.
    Every { anchor: i64, step: i64 },
}

/// Wall-clock times, ascending, each once.
#[derive(Debug)]
pub(super) struct Moments(Vec<i64>);

impl Compiled {
    /// Checks and compiles one rule of `spec`.
    pub(super) fn new(rule: &Rule, spec: &Spec) -> Result<Self, ScheduleFault> {
        match rule {
            Rule::Cron(text) => {
                let line = Line::parse(text, spec.days)?;
                let policy = policy(spec.dst, line.has_fixed_times());
                Ok(Self::Line(line, policy))
            }
            Rule::At(times) => Ok(Self::At(moments(times)?, policy(spec.dst, true))),
            Rule::Every(step) => {
                let step = step_secs(*step)?;
                Ok(Self::Every { anchor: spec.start.map_or(0, ceil_secs), step })
            }
        }
    }

    /// The first slot after `after`.
    pub(super) fn next(&self, zone: Zone, after: i64) -> Option<i64> {
        match self {
            Self::Line(line, policy) => wall::next(line, zone, *policy, after),
            Self::At(moments, policy) => wall::next(moments, zone, *policy, after),
            Self::Every { anchor, step } => Some(anchor + ((after - anchor).div_euclid(*step) + 1) * step),
        }
    }

    /// The last slot before `before`.
    pub(super) fn previous(&self, zone: Zone, before: i64) -> Option<i64> {
        match self {
            Self::Line(line, policy) => wall::previous(line, zone, *policy, before),
            Self::At(moments, policy) => wall::previous(moments, zone, *policy, before),
            Self::Every { anchor, step } => Some(anchor + (before - 1 - anchor).div_euclid(*step) * step),
        }
    }

    /// How many slots lie in `from..until`, which must not be empty, in time that grows with the days between.
    pub(super) fn count(&self, zone: Zone, from: i64, until: i64) -> u64 {
        match self {
            Self::Line(line, policy) => wall::count(line, zone, *policy, from, until),
            Self::At(moments, policy) => wall::count(moments, zone, *policy, from, until),
            Self::Every { anchor, step } => {
                let up_to = |end: i64| (end - 1 - anchor).div_euclid(*step);
                (up_to(until) - up_to(from)).unsigned_abs()
            }
        }
    }
}

impl Times for Moments {
    fn first_from(&self, from: i64) -> Option<i64> {
        self.0.get(self.0.partition_point(|time| *time < from)).copied()
    }

    fn last_before(&self, until: i64) -> Option<i64> {
        self.0.partition_point(|time| *time < until).checked_sub(1).map(|place| self.0[place])
    }

    fn count(&self, from: i64, until: i64) -> u64 {
        let below = |bound: i64| self.0.partition_point(|time| *time < bound);
        below(until).saturating_sub(below(from)) as u64
    }
}

/// Refuses no rules, too many rules, and an end before the start.
pub(super) fn check_bounds(spec: &Spec) -> Result<(), ScheduleError> {
    let fail = |part, message: String| Err(ScheduleError { part, message });
    if spec.rules.is_empty() {
        return fail(Part::Rules, "a schedule needs a rule: `cron`, `every` or `at`".to_owned());
    }
    if spec.rules.len() > RULES_MAX {
        return fail(Part::Rules, format!("{} rules, at most {RULES_MAX} are allowed", spec.rules.len()));
    }
    match (spec.start, spec.end) {
        (Some(start), Some(end)) if end < start => {
            fail(Part::End, format!("end {} is before start {}", end.to_rfc3339(), start.to_rfc3339()))
        }
        _ => Ok(()),
    }
}

/// The part of `jitter` that belongs to `seed`, in whole milliseconds: the first 8 bytes of SHA-256 scaled to it.
pub(super) fn jitter_part(jitter: Duration, seed: &str) -> Duration {
    let digest = Sha256::digest(seed.as_bytes());
    let draw = digest.iter().take(8).fold(0u64, |draw, byte| draw << 8 | u64::from(*byte));
    let jitter_ms = u64::try_from(jitter.as_millis()).unwrap_or(u64::MAX);
    let part_ms = (u128::from(draw) * u128::from(jitter_ms)) >> 64;
    Duration::from_millis(u64::try_from(part_ms).unwrap_or(0))
}

fn policy(dst: Dst, has_fixed_times: bool) -> Policy {
    let (gap, overlap) = if has_fixed_times { (Gap::After, Fold::First) } else { (Gap::Skip, Fold::Both) };
    Policy { gap: dst.gap.unwrap_or(gap), overlap: dst.overlap.unwrap_or(overlap) }
}

fn step_secs(step: Duration) -> Result<i64, ScheduleFault> {
    let given = super::format_duration(step);
    if step > EVERY_MAX {
        return Err(ScheduleFault::new(0, format!("every {given} is too long: at most 36500d")));
    }
    if step.as_secs() == 0 || step.subsec_nanos() != 0 {
        return Err(ScheduleFault::new(0, format!("every {given}: expected whole seconds, at least `1s`")));
    }
    Ok(i64::try_from(step.as_secs()).unwrap_or(i64::MAX))
}

fn moments(times: &[chrono::NaiveDateTime]) -> Result<Moments, ScheduleFault> {
    if times.is_empty() || times.len() > TIMES_MAX {
        let message = format!("`at` has {} times, expected 1 to {TIMES_MAX}", times.len());
        return Err(ScheduleFault::new(0, message));
    }
    let mut moments = Vec::with_capacity(times.len());
    for (place, time) in times.iter().enumerate() {
        let secs = time.and_utc().timestamp();
        if time.nanosecond() != 0 || !(FIRST..=LAST).contains(&secs) {
            let message = format!("at {time}: expected a whole second between 1970 and 2100");
            return Err(ScheduleFault::new(place, message));
        }
        moments.push(secs);
    }
    moments.sort_unstable();
    moments.dedup();
    Ok(Moments(moments))
}
