//! From wall-clock times to instants, and what a change of the clock does to them.

use super::zone::{Wall, Zone};
use super::{Fold, Gap};

/// A set of wall-clock times, in seconds since 1970-01-01T00:00:00 local. Every answer comes in bounded time.
pub(super) trait Times {
    /// The first time at or after `from`.
    fn first_from(&self, from: i64) -> Option<i64>;
    /// The last time before `until`.
    fn last_before(&self, until: i64) -> Option<i64>;
    /// How many times lie in `from..until`; 0 when that is empty.
    fn count(&self, from: i64, until: i64) -> u64;
}

/// What gaps and overlaps do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) gap: Gap,
    pub(super) overlap: Fold,
}

impl Policy {
    /// The wall-clock times of this stretch that have a slot.
    fn span(self, wall: &Wall) -> (i64, i64) {
        match self.overlap {
            Fold::Both => (wall.from, wall.until),
            Fold::First => (wall.from.max(wall.left_off), wall.until),
            Fold::Second => (wall.from, wall.until.min(wall.resumes)),
        }
    }

    /// The wall-clock times jumped over just before this stretch, if they have a slot together.
    fn gap(self, wall: &Wall) -> Option<(i64, i64)> {
        (self.gap == Gap::After && wall.left_off < wall.from).then_some((wall.left_off, wall.from))
    }
}

/// The first slot after the instant `after`.
pub(super) fn next(times: &impl Times, zone: Zone, policy: Policy, after: i64) -> Option<i64> {
    let mut memo = Forward { times, known: None };
    (zone.place(after + 1)..zone.len()).find_map(|place| {
        let wall = zone.wall(place);
        let jumped = policy.gap(&wall).filter(|_| wall.starts > after);
        if jumped.is_some_and(|(from, until)| memo.first_from(from).is_some_and(|time| time < until)) {
            return Some(wall.starts);
        }
        let (from, until) = policy.span(&wall);
        let from = from.max(after + 1 + wall.offset);
        memo.first_from(from).filter(|time| *time < until).map(|time| time - wall.offset)
    })
}

/// The last slot before the instant `before`.
pub(super) fn previous(times: &impl Times, zone: Zone, policy: Policy, before: i64) -> Option<i64> {
    let mut memo = Backward { times, known: None };
    (0..=zone.place(before - 1)).rev().find_map(|place| {
        let wall = zone.wall(place);
        let (from, until) = policy.span(&wall);
        let until = until.min(before + wall.offset);
        if let Some(time) = memo.last_before(until).filter(|time| *time >= from) {
            return Some(time - wall.offset);
        }
        let (from, until) = policy.gap(&wall)?;
        memo.last_before(until).filter(|time| *time >= from).map(|_| wall.starts)
    })
}

/// How many slots lie in the instants `from..until`.
pub(super) fn count(times: &impl Times, zone: Zone, policy: Policy, from: i64, until: i64) -> u64 {
    (zone.place(from)..=zone.place(until - 1))
        .map(|place| {
            let wall = zone.wall(place);
            let span = policy.span(&wall);
            let within = times.count(span.0.max(from + wall.offset), span.1.min(until + wall.offset));
            let jumped = policy.gap(&wall).filter(|_| wall.starts >= from);
            let jumped = jumped.is_some_and(|(from, until)| {
                // A time that the clock shows at that very instant has been counted.
                times.first_from(from).is_some_and(|time| time < until)
                    && times.first_from(until) != Some(until)
            });
            within + u64::from(jumped)
        })
        .sum()
}

/// Asks for ever later times, and the source only when the last answer does not hold for the question.
struct Forward<'a, T> {
    times: &'a T,
    /// `(from, answer)`: there is no time in `from..answer`.
    known: Option<(i64, Option<i64>)>,
}

impl<T: Times> Forward<'_, T> {
    fn first_from(&mut self, from: i64) -> Option<i64> {
        if let Some((known_from, answer)) = self.known
            && known_from <= from
            && answer.is_none_or(|time| from <= time)
        {
            return answer;
        }
        let answer = self.times.first_from(from);
        self.known = Some((from, answer));
        answer
    }
}

/// As [`Forward`], for ever earlier times.
struct Backward<'a, T> {
    times: &'a T,
    /// `(until, answer)`: there is no time after `answer` and before `until`.
    known: Option<(i64, Option<i64>)>,
}

impl<T: Times> Backward<'_, T> {
    fn last_before(&mut self, until: i64) -> Option<i64> {
        if let Some((known_until, answer)) = self.known
            && until <= known_until
            && answer.is_none_or(|time| time < until)
        {
            return answer;
        }
        let answer = self.times.last_before(until);
        self.known = Some((until, answer));
        answer
    }
}
