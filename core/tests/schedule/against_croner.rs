//! The next and the previous slots are croner's, wherever the two agree on what a line means.
//!
//! They do not, and brute force is the judge instead, in these cases:
//! - croner calls a line fixed-time only if its second, minute and hour each have a single value. Debian's cron (and
//!   rota) also counts lists and ranges, as in `0,30 1-3 * * *`. Such lines are compared in a zone that never changes.
//! - `*/2` in a day field is a restricted field to croner; crontab's star rule takes it for unrestricted. Compared
//!   only if the other day field is `*`.
//! - croner gives up on a gap of more than two hours, as Apia's of 2011-12-30: not compared in years of such gaps.
//! - croner refuses `*` beside other items of a list, as in `*,L`: not generated.
//! - croner has no names beyond three letters, and reads `5/2` in day-of-week up to 7: not generated.

use chrono::{Datelike, TimeZone};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds};
use proptest::prelude::*;
use rota_core::schedule::{Rule, Schedule, Spec};

use crate::against_brute::ZONES;
use crate::expression::{Item, Items, Line, lines, lines_with_seconds, starts_with_star};
use crate::{check, zone};

const WALK: usize = 12;

fn is_single(items: &Items) -> bool {
    matches!(items.as_slice(), [Item::One { .. }])
}

/// What both call a fixed-time job, or both do not.
fn is_classified_alike(line: &Line) -> bool {
    let single_second = line.second.as_ref().is_none_or(is_single);
    line.is_fixed() == (single_second && is_single(&line.minute) && is_single(&line.hour))
}

fn has_croner_meaning(line: &Line) -> bool {
    let star = |items: &Items| items.as_slice() == [Item::Star { step: 1 }];
    let plain = |items: &Items| star(items) || !starts_with_star(items);
    let days_agree = star(&line.day) || star(&line.weekday) || plain(&line.day) && plain(&line.weekday);
    let open_weekday = line.weekday.iter().any(|item| matches!(item, Item::From { .. }));
    let star_in_list =
        [&line.day, &line.weekday].iter().any(|items| starts_with_star(items) && items.len() > 1);
    days_agree && !open_weekday && !star_in_list
}

/// Without long names, which croner does not know.
fn unnamed(mut line: Line) -> Line {
    for item in line.month.iter_mut().chain(&mut line.weekday) {
        if let Item::One { named, .. } | Item::Range { named, .. } = item {
            *named = false;
        }
    }
    line
}

fn agrees(line: Line, tz: Tz, from: i64) -> Result<(), TestCaseError> {
    let line = unnamed(line);
    prop_assume!(has_croner_meaning(&line));
    let tz = if is_classified_alike(&line) { tz } else { Tz::Asia__Kathmandu };
    let text = line.text();
    let spec = Spec { timezone: zone(tz), ..Spec::new(vec![Rule::Cron(text.clone())]) };
    let schedule = Schedule::compile(spec, "").map_err(|error| TestCaseError::reject(error.to_string()))?;
    let parser = CronParser::builder().seconds(Seconds::Optional).sloppy_ranges(true).build();
    let croner = parser.parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
    let start = tz.timestamp_opt(from, 0).unwrap();
    let mut ours = start.to_utc();
    let mut theirs = start;
    for _ in 0..WALK {
        // croner's "not found" is a limit of its search, so it is no claim.
        let Ok(next) = croner.find_next_occurrence(&theirs, false) else { break };
        theirs = next;
        // The data of chrono-tz, by which croner goes, ends there.
        if theirs.year() >= 2099 {
            break;
        }
        let Some(next) = schedule.next_after(ours) else {
            let ends = format!("{text} in {tz} ends before {theirs}");
            return Err(TestCaseError::fail(ends));
        };
        ours = next;
        prop_assert_eq!(ours, theirs.to_utc(), "{} in {} after {}", text, tz, start);
    }
    let mut ours = start.to_utc();
    let mut theirs = start;
    for _ in 0..WALK {
        let Ok(previous) = croner.find_previous_occurrence(&theirs, false) else { break };
        theirs = previous;
        let Some(previous) = schedule.previous_before(ours) else {
            // The first slots are in 1970 by both clocks.
            let is_before = theirs.to_utc().year() < 1970 || theirs.year() < 1970;
            prop_assert!(is_before, "{} in {} begins after {}", text, tz, theirs);
            break;
        };
        ours = previous;
        prop_assert_eq!(ours, theirs.to_utc(), "{} in {} before {}", text, tz, start);
    }
    Ok(())
}

/// From 1975 to 2090, without the years around the whole-day gaps of Kwajalein (1993) and Apia (2011).
fn starts() -> impl Strategy<Value = i64> {
    let year = 31_557_600i64;
    prop_oneof![5 * year..22 * year, 25 * year..40 * year, 43 * year..120 * year]
}

fn zones() -> impl Strategy<Value = Tz> {
    proptest::sample::select(ZONES.as_slice())
}

#[test]
fn slots_of_minute_lines_are_croners() {
    check(3000, &(lines(), zones(), starts()), |(line, tz, from)| agrees(line, tz, from));
}

#[test]
fn slots_of_lines_with_seconds_are_croners() {
    check(1000, &(lines_with_seconds(), zones(), starts()), |(line, tz, from)| agrees(line, tz, from));
}

#[test]
fn slots_just_before_clock_changes_are_croners() {
    let scene = (zones(), 1976..2090i32, any::<prop::sample::Index>(), 0..72i64);
    let line = crate::expression::daily_lines();
    check(1000, &(line, scene), |(line, (tz, year, pick, hours))| {
        let changes = crate::brute::changes(tz, year);
        prop_assume!(!changes.is_empty() && ![1993, 2011].contains(&year));
        agrees(line, tz, changes[pick.index(changes.len())].timestamp() - hours * 3600)
    });
}
