//! Decides which slots between the persisted cursor and now fire and which are missed: deadline and catch-up. `plan::ledger` makes
//! entries of the answer; slots that an edit of the file leaves undecided are told by [`passed`].

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Catchup, Schedule, ceil_secs, floor_secs, instant};

/// Most slots that one call walks to count what was missed, where they cannot be counted by arithmetic.
const WALK_MAX: u64 = 100_000;

/// What to do with the slots that became due since the cursor. Each of them is in exactly one of `fire` and `missed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Slots that get a run, ascending; at most the `limit` that was given.
    pub fire: Vec<DateTime<Utc>>,
    /// Slots that get none because they are past their deadline: at most one range, earlier than all in `fire`.
    pub missed: Vec<MissedRange>,
    /// The last slot decided, to be stored with the decision; the cursor as given if nothing was due.
    pub cursor: DateTime<Utc>,
    /// Slots that are due are left: store this decision and call again, with the same `now`, from its cursor.
    pub more: bool,
}

/// Slots of an outage, as one entry. No slot of the schedule lies between `from` and `to` that is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissedRange {
    /// The first slot missed.
    pub from: DateTime<Utc>,
    /// The last slot missed (it may be the first).
    pub to: DateTime<Utc>,
    /// How many slots, these two included.
    pub count: u64,
}

/// Decides every slot after `cursor` that is due at `now` (by [`Schedule::due_at`], so jitter counts as not due yet).
///
/// - Slots whose due time is at most `deadline` ago fire, each of them.
/// - Of the older ones, catch-up `none` misses all; `latest` fires the newest and misses the others (in addition to
///   slots within the deadline, if there are any); `all` fires all, oldest first.
///
/// At most `limit` slots (at least 1) fire per call; the rest is left for the next call, told by `more`. An outage of
/// any length costs one range and little time: a single rule's slots are counted by arithmetic, per day; those of a
/// union are walked, at most 100,000 per call. `now` before the cursor decides nothing, so the cursor never goes back.
pub fn decide(schedule: &Schedule, cursor: DateTime<Utc>, now: DateTime<Utc>, limit: usize) -> Decision {
    let spec = schedule.spec();
    let newest_due = earlier(now, schedule.0.jitter);
    let due = Window {
        schedule,
        after: floor_secs(cursor),
        on_time: ceil_secs(earlier(newest_due, spec.deadline)),
        until: floor_secs(newest_due),
    };
    let mut decision = Decision { fire: Vec::new(), missed: Vec::new(), cursor, more: false };
    let first_to_fire = match spec.catchup {
        Catchup::All => due.after + 1,
        Catchup::None => due.on_time,
        Catchup::Latest => due.newest_late().unwrap_or(due.on_time),
    };
    let mut decided = due.after;
    if let Some(missed) = due.missed_before(first_to_fire) {
        decided = missed.last;
        decision.more = missed.is_cut;
        decision.missed.extend(missed.range());
    }
    if !decision.more {
        let mut slots = due.from(first_to_fire.max(due.after + 1));
        decision.fire.extend(slots.by_ref().take(limit.max(1)).filter_map(|slot| {
            decided = slot;
            instant(slot)
        }));
        decision.more = slots.next().is_some();
    }
    if decided > due.after {
        decision.cursor = instant(decided).unwrap_or(cursor);
    }
    decision
}

/// All slots after `cursor` up to `now`, as one range: what is left undecided of a schedule that ends now. Slots that
/// jitter would have delayed are among them, because nobody will come back for them.
pub fn passed(schedule: &Schedule, cursor: DateTime<Utc>, now: DateTime<Utc>) -> Option<MissedRange> {
    let until = floor_secs(now);
    let mut window = Window { schedule, after: floor_secs(cursor), on_time: until, until };
    let mut passed: Option<MissedRange> = None;
    while let Some(missed) = window.missed_before(until + 1) {
        let range = missed.range()?;
        let (from, count) = passed.map_or((range.from, 0), |all| (all.from, all.count));
        passed = Some(MissedRange { from, to: range.to, count: count + range.count });
        window.after = missed.last;
    }
    passed
}

/// Where the cursor of a DAG that is new at `now` starts. Only `catchup: all` looks back, to `start:`.
pub fn first_cursor(schedule: &Schedule, now: DateTime<Utc>) -> DateTime<Utc> {
    let spec = schedule.spec();
    let looks_back = spec.catchup == Catchup::All;
    // It stands just before `start`, so that a slot at `start` itself is still to be decided.
    let before = |start: DateTime<Utc>| start - TimeDelta::microseconds(1);
    spec.start.filter(|start| looks_back && *start < now).map_or(now, before)
}

/// Slots that all fire as soon as the file of a DAG is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// At least so many.
    pub count: u64,
    /// Whether there are more, which were not counted.
    pub has_more: bool,
}

/// What a DAG that is new at `now` has to catch up with: nothing, but for `catchup: all` with a `start` in the past.
/// Bounded work: at most 100,000 slots are walked where they cannot be counted by arithmetic.
pub fn backlog(schedule: &Schedule, now: DateTime<Utc>) -> Backlog {
    let (after, until) = (floor_secs(first_cursor(schedule, now)), floor_secs(now));
    let passed = Window { schedule, after, on_time: until, until }.missed_before(until + 1);
    passed.map_or(Backlog { count: 0, has_more: false }, |passed| Backlog {
        count: passed.count,
        has_more: passed.is_cut,
    })
}

/// The slots to decide, in seconds: after `after`, up to `until` inclusive; those before `on_time` are late.
struct Window<'a> {
    schedule: &'a Schedule,
    after: i64,
    on_time: i64,
    until: i64,
}

/// Missed slots, in seconds.
struct Missed {
    first: i64,
    last: i64,
    count: u64,
    /// There are more than one call may walk.
    is_cut: bool,
}

impl Window<'_> {
    fn newest_late(&self) -> Option<i64> {
        self.schedule.previous_secs(self.on_time).filter(|slot| *slot > self.after)
    }

    /// The slots from `first` on.
    fn from(&self, first: i64) -> impl Iterator<Item = i64> {
        let next = |after: i64| self.schedule.next_secs(after).filter(|slot| *slot <= self.until);
        std::iter::successors(next(first - 1), move |slot| next(*slot))
    }

    /// The slots of the window before `until`.
    fn missed_before(&self, until: i64) -> Option<Missed> {
        let first = self.schedule.next_secs(self.after).filter(|slot| *slot < until)?;
        if let Some(count) = self.schedule.count_secs(first, until) {
            let last = self.schedule.previous_secs(until).unwrap_or(first);
            return Some(Missed { first, last, count, is_cut: false });
        }
        let mut missed = Missed { first, last: first, count: 1, is_cut: false };
        while let Some(slot) = self.schedule.next_secs(missed.last).filter(|slot| *slot < until) {
            if missed.count == WALK_MAX {
                missed.is_cut = true;
                break;
            }
            missed.last = slot;
            missed.count += 1;
        }
        Some(missed)
    }
}

impl Missed {
    fn range(&self) -> Option<MissedRange> {
        Some(MissedRange { from: instant(self.first)?, to: instant(self.last)?, count: self.count })
    }
}

fn earlier(time: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(by)
        .ok()
        .and_then(|by| time.checked_sub_signed(by))
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
}
