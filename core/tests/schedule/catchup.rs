//! Catch-up: every due slot is decided exactly once, whatever the cursor, the clock and the policy.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use rota_core::schedule::{Catchup, Decision, MissedRange, Rule, Schedule, Spec, decide, passed};

use crate::expression::{lines, lines_with_seconds};
use crate::{at, check, secs, zone};

fn schedule(line: &str, catchup: Catchup) -> Schedule {
    Schedule::compile(Spec { catchup, ..Spec::new(vec![Rule::Cron(line.into())]) }, "dag").unwrap()
}

fn range(from: &str, to: &str, count: u64) -> MissedRange {
    MissedRange { from: at(from), to: at(to), count }
}

/// Five minutes late for a job of every minute, with a deadline of one minute.
fn after_outage(catchup: Catchup) -> Decision {
    decide(&schedule("* * * * *", catchup), at("2026-01-01T00:00:00Z"), at("2026-01-01T00:05:30Z"), 100)
}

#[test]
fn catchup_none_misses_all_that_is_past_its_deadline() {
    let decision = after_outage(Catchup::None);
    assert_eq!(decision.fire, [at("2026-01-01T00:05:00Z")]);
    assert_eq!(decision.missed, [range("2026-01-01T00:01:00Z", "2026-01-01T00:04:00Z", 4)]);
    assert_eq!((decision.cursor, decision.more), (at("2026-01-01T00:05:00Z"), false));
}

#[test]
fn catchup_latest_fires_the_newest_late_slot_and_those_in_time() {
    let decision = after_outage(Catchup::Latest);
    assert_eq!(decision.fire, [at("2026-01-01T00:04:00Z"), at("2026-01-01T00:05:00Z")]);
    assert_eq!(decision.missed, [range("2026-01-01T00:01:00Z", "2026-01-01T00:03:00Z", 3)]);
}

#[test]
fn catchup_all_fires_all_oldest_first() {
    let decision = after_outage(Catchup::All);
    let minutes: Vec<_> = (1..=5).map(|minute| at(&format!("2026-01-01T00:0{minute}:00Z"))).collect();
    assert_eq!(decision.fire, minutes);
    assert_eq!(decision.missed, []);
}

#[test]
fn what_has_passed_is_one_range_whatever_the_policy_and_the_jitter() {
    let spec = Spec { jitter: Duration::from_secs(600), ..Spec::new(vec![Rule::Cron("* * * * *".into())]) };
    for catchup in [Catchup::None, Catchup::Latest, Catchup::All] {
        let job = Schedule::compile(Spec { catchup, ..spec.clone() }, "dag").unwrap();
        let passed = |from: &str, to: &str| passed(&job, at(from), at(to));
        let five = range("2026-01-01T00:01:00Z", "2026-01-01T00:05:00Z", 5);
        assert_eq!(passed("2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"), Some(five));
        assert_eq!(passed("2026-01-01T00:05:00Z", "2026-01-01T00:05:59Z"), None);
        assert_eq!(passed("2026-01-01T00:09:00Z", "2026-01-01T00:05:00Z"), None);
    }
    // Rules that are united are walked, in several steps if there are many slots.
    let rules = vec![Rule::Cron("* * * * * *".into()), Rule::Cron("30 0 * * * *".into())];
    let union = Schedule::compile(Spec::new(rules), "dag").unwrap();
    let two_days = range("2026-01-01T00:00:01Z", "2026-01-03T00:00:00Z", 172_800);
    assert_eq!(passed(&union, at("2026-01-01T00:00:00Z"), at("2026-01-03T00:00:00Z")), Some(two_days));
}

#[test]
fn a_slot_exactly_at_its_deadline_still_fires() {
    let job = schedule("0 * * * *", Catchup::None);
    let cursor = at("2026-01-01T00:30:00Z");
    let fires = |now: &str| decide(&job, cursor, at(now), 100).fire.len();
    assert_eq!(fires("2026-01-01T00:59:59.999Z"), 0);
    assert_eq!(fires("2026-01-01T01:00:00Z"), 1);
    assert_eq!(fires("2026-01-01T01:01:00Z"), 1);
    assert_eq!(fires("2026-01-01T01:01:00.001Z"), 0);
}

#[test]
fn nothing_due_leaves_the_cursor_alone_also_when_the_clock_went_back() {
    let job = schedule("* * * * *", Catchup::Latest);
    let cursor = at("2026-01-01T00:00:30.5Z");
    for now in ["2026-01-01T00:00:59Z", "2025-01-01T00:00:00Z"] {
        let decision = decide(&job, cursor, at(now), 100);
        assert_eq!(decision, Decision { fire: vec![], missed: vec![], cursor, more: false });
    }
}

#[test]
fn jitter_delays_when_a_slot_is_due_and_late() {
    let spec = Spec {
        jitter: Duration::from_secs(600),
        catchup: Catchup::None,
        ..Spec::new(vec![Rule::Cron("0 * * * *".into())])
    };
    let job = Schedule::compile(spec.clone(), "dag").unwrap();
    let slot = at("2026-01-01T01:00:00Z");
    let due = job.due_at(slot);
    assert!(due > slot && due < slot + TimeDelta::seconds(600));
    assert_eq!(
        due,
        Schedule::compile(spec.clone(), "dag").unwrap().due_at(slot),
        "the same for the same seed"
    );
    assert_ne!(due, Schedule::compile(spec, "other").unwrap().due_at(slot));
    let cursor = at("2026-01-01T00:30:00Z");
    let fires = |now: DateTime<Utc>| decide(&job, cursor, now, 100).fire.len();
    assert_eq!(fires(due - TimeDelta::milliseconds(1)), 0);
    assert_eq!(fires(due), 1);
    assert_eq!(fires(due + TimeDelta::seconds(60)), 1);
    assert_eq!(fires(due + TimeDelta::seconds(61)), 0);
}

#[test]
fn a_limit_leaves_the_rest_for_the_next_call() {
    let job = schedule("* * * * *", Catchup::All);
    let now = at("2026-01-01T00:05:30Z");
    let first = decide(&job, at("2026-01-01T00:00:00Z"), now, 3);
    assert_eq!((first.fire.len(), first.cursor, first.more), (3, at("2026-01-01T00:03:00Z"), true));
    let second = decide(&job, first.cursor, now, 3);
    assert_eq!((second.fire.len(), second.cursor, second.more), (2, at("2026-01-01T00:05:00Z"), false));
}

#[test]
fn a_month_of_every_second_is_one_range_at_once() {
    let job = schedule("* * * * * *", Catchup::Latest);
    let decision = decide(&job, at("2026-01-01T00:00:00Z"), at("2026-01-31T00:00:00Z"), 100);
    let missed = range("2026-01-01T00:00:01Z", "2026-01-30T23:58:58Z", 30 * 86_400 - 62);
    assert_eq!(decision.missed, [missed]);
    assert_eq!(decision.fire.len(), 62);
    assert!(!decision.more);
}

#[test]
fn a_long_outage_of_a_union_is_decided_in_pieces() {
    let rules = vec![Rule::Cron("* * * * * *".into()), Rule::Every(Duration::from_secs(7))];
    let job = Schedule::compile(Spec::new(rules), "dag").unwrap();
    let now = at("2026-01-04T00:00:00Z");
    let (mut cursor, mut counted, mut fired) = (at("2026-01-01T00:00:00Z"), 0, 0);
    for call in 1.. {
        let decision = decide(&job, cursor, now, 1000);
        counted += decision.missed.iter().map(|range| range.count).sum::<u64>();
        fired += decision.fire.len() as u64;
        cursor = decision.cursor;
        if !decision.more {
            assert_eq!(call, 3, "pieces of 100,000 slots");
            break;
        }
        assert!(decision.fire.is_empty(), "the newest late slot is known only in the last piece");
    }
    assert_eq!((counted, fired), (3 * 86_400 - 62, 62));
}

/// Calls until nothing is left, and returns what fired and what was missed.
fn decide_all(
    job: &Schedule,
    mut cursor: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: usize,
) -> [Vec<DateTime<Utc>>; 2] {
    let [mut fired, mut missed] = [vec![], vec![]];
    loop {
        let decision = decide(job, cursor, now, limit);
        assert!(decision.fire.len() <= limit && decision.missed.len() <= 1);
        assert!(decision.cursor > cursor || !decision.more, "a call that leaves work has done some");
        for range in decision.missed {
            let slots = job.upcoming(range.from - TimeDelta::seconds(1), range.count as usize);
            assert_eq!(slots.first(), Some(&range.from));
            assert_eq!(slots.last(), Some(&range.to));
            missed.extend(slots);
        }
        fired.extend(decision.fire);
        cursor = decision.cursor;
        if !decision.more {
            return [fired, missed];
        }
    }
}

#[test]
fn every_due_slot_is_decided_exactly_once() {
    let line = prop_oneof![
        3 => lines().prop_map(|line| (line, 86_400 * 20)),
        1 => lines_with_seconds().prop_map(|line| (line, 7200)),
    ];
    let lines = prop::collection::vec(line, 1..3);
    let catchup = prop::sample::select(vec![Catchup::None, Catchup::Latest, Catchup::All]);
    let policy = (catchup, 0..200u64, 0..4000u64, 1..50usize);
    let input = (lines, policy, 0..4_000_000_000i64, any::<u16>());
    check(400, &input, |(lines, (catchup, jitter, deadline, limit), from, length)| {
        let seconds = lines.iter().map(|(_, seconds)| *seconds).min().unwrap();
        let spec = Spec {
            timezone: zone(chrono_tz::Tz::Europe__Berlin),
            jitter: Duration::from_secs(jitter),
            deadline: Duration::from_secs(deadline),
            catchup,
            ..Spec::new(lines.iter().map(|(line, _)| Rule::Cron(line.text())).collect())
        };
        let Ok(job) = Schedule::compile(spec, "dag") else { return Err(TestCaseError::reject("never")) };
        let (cursor, now) = (secs(from), secs(from + i64::from(length) * seconds / 65_536));
        let due: Vec<_> = std::iter::successors(job.next_after(cursor), |slot| job.next_after(*slot))
            .take_while(|slot| job.due_at(*slot) <= now)
            .collect();
        let in_time = |slot: &&DateTime<Utc>| now - job.due_at(**slot) <= TimeDelta::seconds(deadline as i64);
        let late = due.iter().take_while(|slot| !in_time(slot)).count();
        let first_fired = match catchup {
            Catchup::None => late,
            Catchup::Latest => late.saturating_sub(1),
            Catchup::All => 0,
        };
        let [fired, missed] = decide_all(&job, cursor, now, limit);
        prop_assert_eq!(missed, &due[..first_fired], "missed");
        prop_assert_eq!(fired, &due[first_fired..], "fired");
        Ok(())
    });
}
