//! No input panics or takes long: odd texts, odd instants, odd bounds.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use rota_core::schedule::{
    Catchup, Rule, Schedule, Spec, decide, format_duration, parse_duration, parse_schedule_text,
};

use crate::expression::lines_with_seconds;
use crate::{at, check, zone};

fn any_instant() -> impl Strategy<Value = DateTime<Utc>> {
    let far =
        (DateTime::<Utc>::MIN_UTC.timestamp()..DateTime::<Utc>::MAX_UTC.timestamp(), 0..1_000_000_000u32)
            .prop_map(|(secs, nanos)| DateTime::from_timestamp(secs, nanos).unwrap());
    let near = (-100_000_000..5_000_000_000i64, 0..1_000_000_000u32)
        .prop_map(|(secs, nanos)| DateTime::from_timestamp(secs, nanos).unwrap());
    prop_oneof![
        4 => near,
        2 => far,
        1 => Just(DateTime::<Utc>::MIN_UTC),
        1 => Just(DateTime::<Utc>::MAX_UTC),
    ]
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        (0..10_000_000u64).prop_map(Duration::from_millis),
        any::<u64>().prop_map(Duration::from_secs)
    ]
}

fn any_rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        4 => lines_with_seconds().prop_map(|line| Rule::Cron(line.text())),
        1 => any_duration().prop_map(Rule::Every),
        1 => (1..10_000u64).prop_map(|secs| Rule::Every(Duration::from_secs(secs))),
        1 => prop::collection::vec(any_instant().prop_map(|time| time.naive_utc()), 0..4).prop_map(Rule::At),
    ]
}

#[test]
fn odd_texts_are_answered_or_refused() {
    let words = prop::sample::select(vec![
        "*", "?", "L", "5L", "5#2", "1-5", "*/7", "0", "59", "@daily", "@every", "every", "15m", "-", "/",
        "#", ",", "mon", "jan-dec", "99", "é", "TZ=UTC", "\t", "W", "1/0",
    ]);
    let texts = prop_oneof![
        prop::collection::vec(words, 0..9).prop_map(|words| words.join(" ")),
        prop::collection::vec(prop::sample::select("*/,-#L?057 mon@é".chars().collect::<Vec<_>>()), 0..40)
            .prop_map(|chars| chars.into_iter().collect::<String>()),
        prop::collection::vec(any::<char>(), 0..60).prop_map(|chars| chars.into_iter().collect::<String>()),
    ];
    check(20_000, &texts, |text| {
        if let Ok(duration) = parse_duration(&text) {
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
        if let Ok(Some(rules)) = parse_schedule_text(&text)
            && let Ok(schedule) = Schedule::compile(Spec::new(rules), &text)
        {
            let now = at("2026-02-28T12:00:00Z");
            prop_assert!(schedule.next_after(now) > Some(now), "{}", text);
            prop_assert!(schedule.previous_before(now).is_some_and(|slot| slot < now), "{}", text);
        }
        Ok(())
    });
}

#[test]
fn odd_instants_and_bounds_are_answered_in_order_and_within_bounds() {
    let zones = prop::sample::select(chrono_tz::TZ_VARIANTS.iter().copied().step_by(7).collect::<Vec<Tz>>());
    let bounds = (prop::option::of(any_instant()), prop::option::of(any_instant()));
    let lengths = (any_duration(), any_duration());
    let catchup = prop::sample::select(vec![Catchup::None, Catchup::Latest, Catchup::All]);
    let input = (any_rule(), zones, bounds, lengths, catchup, (any_instant(), any_instant()));
    check(1500, &input, |(rule, timezone, (start, end), (jitter, deadline), catchup, (one, other))| {
        let spec =
            Spec { timezone: zone(timezone), start, end, jitter, deadline, catchup, ..Spec::new(vec![rule]) };
        let Ok(schedule) = Schedule::compile(spec, "seed") else { return Ok(()) };
        let in_bounds = |slot: DateTime<Utc>| {
            start.is_none_or(|start| slot >= start) && end.is_none_or(|end| slot <= end)
        };
        if let Some(next) = schedule.next_after(one) {
            prop_assert!(next > one && in_bounds(next));
            prop_assert!(schedule.previous_before(next).is_none_or(|slot| slot <= one));
            prop_assert!(schedule.due_at(next) >= next);
        }
        if let Some(previous) = schedule.previous_before(one) {
            prop_assert!(previous < one && in_bounds(previous));
            prop_assert!(schedule.next_after(previous).is_none_or(|slot| slot >= one));
        }
        let decision = decide(&schedule, one.min(other), one.max(other), 10);
        prop_assert!(decision.cursor >= one.min(other) && decision.cursor <= one.max(other));
        Ok(())
    });
}

#[test]
fn too_much_of_anything_is_refused() {
    let refusal = |rules| Schedule::compile(Spec::new(rules), "").unwrap_err().to_string();
    let day = Rule::Cron("@daily".into());
    let noon: NaiveDateTime = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap().and_hms_opt(12, 0, 0).unwrap();
    assert!(refusal(vec![]).contains("needs a rule"));
    assert!(refusal(vec![day; 65]).contains("at most 64"));
    assert!(refusal(vec![Rule::Cron("*".repeat(2000))]).contains("at most 1024"));
    assert!(refusal(vec![Rule::At(vec![])]).contains("1 to 1000"));
    assert!(refusal(vec![Rule::At(vec![noon; 1001])]).contains("1 to 1000"));
    assert!(refusal(vec![Rule::At(vec![NaiveDateTime::MAX])]).contains("between 1970 and 2100"));
    assert!(refusal(vec![Rule::Every(Duration::MAX)]).contains("at most 36500d"));
    assert!(refusal(vec![Rule::Every(Duration::from_millis(999))]).contains("at least `1s`"));
    assert!(refusal(vec![Rule::Every(Duration::from_millis(1500))]).contains("whole seconds"));
}
