//! Every slot of a window, forwards, backwards and counted, is what brute force finds.

use chrono::{DateTime, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use rota_core::schedule::{Catchup, Days, Dst, Fold, Gap, Rule, Schedule, Spec, decide};

use crate::brute::{self, Window};
use crate::expression::{Line, daily_lines, lines, lines_with_seconds, rare_lines};
use crate::{check, secs, zone};

/// Zones whose clocks do every odd thing: half-hour and two-hour steps, whole days, Ramadan, odd offsets, none.
pub(crate) const ZONES: [Tz; 18] = [
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::Australia__Lord_Howe,
    Tz::Pacific__Apia,
    Tz::Antarctica__Troll,
    Tz::Africa__Tripoli,
    Tz::Asia__Amman,
    Tz::America__St_Johns,
    Tz::Asia__Kathmandu,
    Tz::Pacific__Chatham,
    Tz::America__Sao_Paulo,
    Tz::Asia__Gaza,
    Tz::Europe__Dublin,
    Tz::Pacific__Kwajalein,
    Tz::America__Miquelon,
    Tz::Asia__Pyongyang,
    Tz::Africa__Cairo,
    Tz::UTC,
];

/// A policy, an hour at which a zone changes its clock (else any hour), and whether both day fields must match.
#[derive(Debug, Clone)]
struct Scene {
    tz: Tz,
    hour: DateTime<Utc>,
    dst: Dst,
    and: bool,
}

fn scenes() -> impl Strategy<Value = Scene> {
    let gap = prop_oneof![2 => Just(None), 1 => Just(Some(Gap::After)), 1 => Just(Some(Gap::Skip))];
    let fold = prop_oneof![
        3 => Just(None),
        1 => Just(Some(Fold::First)),
        1 => Just(Some(Fold::Second)),
        1 => Just(Some(Fold::Both))
    ];
    let zone = proptest::sample::select(ZONES.as_slice());
    (zone, 1975..2098, any::<prop::sample::Index>(), gap, fold, any::<bool>()).prop_map(
        |(tz, year, pick, gap, overlap, and)| {
            let changes = brute::changes(tz, year);
            let hour = match changes.len() {
                0 => {
                    Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap()
                        + TimeDelta::hours(pick.index(8760) as i64)
                }
                count => changes[pick.index(count)],
            };
            Scene { tz, hour, dst: Dst { gap, overlap }, and }
        },
    )
}

/// The window of `hours` around the scene's hour, under the policy that `line` has in it.
fn window(scene: &Scene, line: &Line, hours: i64) -> Window {
    let (gap, overlap) = if line.is_fixed() { (Gap::After, Fold::First) } else { (Gap::Skip, Fold::Both) };
    Window {
        tz: scene.tz,
        from: scene.hour - TimeDelta::hours(hours),
        until: scene.hour + TimeDelta::hours(hours),
        gap: scene.dst.gap.unwrap_or(gap),
        overlap: scene.dst.overlap.unwrap_or(overlap),
        and: scene.and,
    }
}

fn spec(scene: &Scene, lines: &[Line]) -> Spec {
    Spec {
        timezone: zone(scene.tz),
        dst: scene.dst,
        days: if scene.and { Days::And } else { Days::Or },
        catchup: Catchup::None,
        ..Spec::new(lines.iter().map(|line| Rule::Cron(line.text())).collect())
    }
}

/// Compiles; a line that is refused must be one whose date never comes.
fn compile(scene: &Scene, lines: &[Line]) -> Result<Schedule, TestCaseError> {
    Schedule::compile(spec(scene, lines), "").map_err(|error| {
        let text = error.to_string();
        if !text.contains("never come") {
            return TestCaseError::fail(text);
        }
        let first = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap();
        let one_comes = lines
            .iter()
            .all(|line| first.iter_days().take(29 * 366).any(|date| line.has_date(date, scene.and)));
        if one_comes { TestCaseError::fail(text) } else { TestCaseError::reject("never comes") }
    })
}

fn agrees(scene: &Scene, lines: &[Line], hours: i64) -> Result<(), TestCaseError> {
    let schedule = compile(scene, lines)?;
    let windows: Vec<Window> = lines.iter().map(|line| window(scene, line, hours)).collect();
    let mut expected: Vec<_> =
        lines.iter().zip(&windows).flat_map(|(line, window)| brute::slots(line, window)).collect();
    expected.sort_unstable();
    expected.dedup();
    let (from, until) = (windows[0].from, windows[0].until);
    let forwards: Vec<_> =
        std::iter::successors(schedule.next_after(from - TimeDelta::nanoseconds(1)), |slot| {
            schedule.next_after(*slot)
        })
        .take_while(|slot| *slot < until)
        .collect();
    same(&forwards, &expected, || format!("{} forwards", schedule.describe()))?;
    let mut backwards: Vec<_> =
        std::iter::successors(schedule.previous_before(until), |slot| schedule.previous_before(*slot))
            .take_while(|slot| *slot >= from)
            .collect();
    backwards.reverse();
    same(&backwards, &expected, || format!("{} backwards", schedule.describe()))?;
    // With catch-up `none` all that is past the deadline is one counted range.
    let late = until - TimeDelta::seconds(1) + TimeDelta::seconds(61);
    let decision = decide(&schedule, from - TimeDelta::seconds(1), late, usize::MAX);
    let counted: u64 = decision.missed.iter().map(|range| range.count).sum();
    let missed = expected.len() - expected.iter().filter(|slot| decision.fire.contains(slot)).count();
    prop_assert_eq!(counted, missed as u64, "{} counted", schedule.describe());
    Ok(())
}

/// Compares two lists of slots; a failure shows only where they part.
fn same(
    ours: &[DateTime<Utc>],
    expected: &[DateTime<Utc>],
    what: impl Fn() -> String,
) -> Result<(), TestCaseError> {
    let alike = ours.iter().zip(expected).take_while(|(ours, expected)| ours == expected).count();
    let near = |slots: &[DateTime<Utc>]| slots.iter().skip(alike).take(3).copied().collect::<Vec<_>>();
    prop_assert_eq!(near(ours), near(expected), "{}, after {} alike", what(), alike);
    Ok(())
}

#[test]
fn days_around_clock_changes_agree_with_brute_force() {
    check(1000, &(scenes(), daily_lines()), |(scene, line)| agrees(&scene, &[line], 40));
}

#[test]
fn any_line_over_weeks_agrees_with_brute_force() {
    check(120, &(scenes(), lines()), |(scene, line)| agrees(&scene, &[line], 24 * 45));
}

#[test]
fn any_line_over_years_agrees_with_brute_force() {
    check(20, &(scenes(), rare_lines()), |(scene, line)| agrees(&scene, &[line], 24 * 500));
}

#[test]
fn lines_with_seconds_agree_with_brute_force() {
    let line =
        (lines_with_seconds(), daily_lines()).prop_map(|(line, daily)| Line { second: line.second, ..daily });
    check(60, &(scenes(), line), |(scene, line)| agrees(&scene, &[line], 3));
}

#[test]
fn unions_of_lines_agree_with_brute_force() {
    let some = prop::collection::vec(prop_oneof![daily_lines(), lines()], 2..4);
    check(150, &(scenes(), some), |(scene, lines)| agrees(&scene, &lines, 60));
}

#[test]
fn an_interval_is_anchored_at_its_start() {
    let input = (proptest::option::of(0..4_000_000_000i64), -5000..20_000i64, 1..5000u64);
    check(2000, &input, |(start, distance, step)| {
        let rule = Rule::Every(std::time::Duration::from_secs(step));
        let spec = Spec { start: start.map(secs), ..Spec::new(vec![rule]) };
        let schedule = Schedule::compile(spec, "").unwrap();
        let (anchor, step) = (start.unwrap_or(0), step as i64);
        let probe = anchor + distance;
        let is_slot = |time: &i64| *time >= anchor && (time - anchor) % step == 0;
        prop_assert_eq!(schedule.next_after(secs(probe)), (probe + 1..).find(is_slot).map(secs));
        let before = (anchor..probe).rev().find(is_slot);
        prop_assert_eq!(schedule.previous_before(secs(probe)), before.map(secs));
        Ok(())
    });
}
