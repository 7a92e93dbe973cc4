//! Schedules by example: what FAQ-like questions have as answers.

use std::time::Duration;

use chrono::{NaiveDate, NaiveDateTime};
use chrono_tz::Tz;
use rota_core::schedule::{Days, Dst, Fold, Gap, Part, Rule, Schedule, Spec};

use crate::{at, zone};

fn cron(line: &str, tz: Tz) -> Spec {
    Spec { timezone: zone(tz), ..Spec::new(vec![Rule::Cron(line.into())]) }
}

/// The slots from `from` (included) until `until` (excluded), in the zone's own time.
fn local_slots(spec: Spec, from: &str, until: &str) -> Vec<String> {
    let tz = spec.timezone;
    let schedule = Schedule::compile(spec, "").unwrap();
    let first = schedule.next_after(at(from) - chrono::TimeDelta::seconds(1));
    std::iter::successors(first, |slot| schedule.next_after(*slot))
        .take_while(|slot| *slot < at(until))
        .map(|slot| slot.with_timezone(&tz).format("%d %H:%M%z").to_string())
        .collect()
}

/// Berlin, 2026-03-29: 02:00 becomes 03:00.
fn spring(line: &str, dst: Dst) -> Vec<String> {
    let spec = Spec { dst, ..cron(line, Tz::Europe__Berlin) };
    local_slots(spec, "2026-03-28T23:00:00Z", "2026-03-29T03:00:00Z")
}

/// Berlin, 2026-10-25: 03:00 becomes 02:00.
fn autumn(line: &str, dst: Dst) -> Vec<String> {
    let spec = Spec { dst, ..cron(line, Tz::Europe__Berlin) };
    local_slots(spec, "2026-10-24T22:00:00Z", "2026-10-25T03:00:00Z")
}

fn refusal(line: &str) -> String {
    Schedule::compile(cron(line, Tz::UTC), "").unwrap_err().to_string()
}

const DEBIAN: Dst = Dst { gap: None, overlap: None };

#[test]
fn a_fixed_time_in_the_gap_fires_once_after_it() {
    assert_eq!(spring("30 2 * * *", DEBIAN), ["29 03:00+0200"]);
    assert_eq!(spring("0,30 2 * * *", DEBIAN), ["29 03:00+0200"]);
    assert_eq!(spring("0 3 * * *", DEBIAN), ["29 03:00+0200"]);
    assert_eq!(spring("30 2,3 * * *", DEBIAN), ["29 03:00+0200", "29 03:30+0200"]);
}

#[test]
fn a_fixed_time_in_the_overlap_fires_only_at_the_first() {
    assert_eq!(autumn("30 2 * * *", DEBIAN), ["25 02:30+0200"]);
    assert_eq!(autumn("0 1-3 * * *", DEBIAN), ["25 01:00+0200", "25 02:00+0200", "25 03:00+0100"]);
}

#[test]
fn wildcard_jobs_follow_real_instants() {
    assert_eq!(spring("*/30 * * * *", DEBIAN).len(), 8);
    assert_eq!(
        spring("30 * * * *", DEBIAN),
        ["29 00:30+0100", "29 01:30+0100", "29 03:30+0200", "29 04:30+0200"]
    );
    let hourly = ["25 00:00+0200", "25 01:00+0200", "25 02:00+0200", "25 02:00+0100", "25 03:00+0100"];
    assert_eq!(autumn("0 * * * *", DEBIAN), hourly);
    assert_eq!(autumn("*/30 2 * * *", DEBIAN).len(), 4, "the minute starts with a star");
}

#[test]
fn an_explicit_policy_holds_for_every_line() {
    let dst = |gap, overlap| Dst { gap, overlap };
    assert_eq!(spring("30 2 * * *", dst(Some(Gap::Skip), None)), Vec::<String>::new());
    assert_eq!(autumn("30 2 * * *", dst(None, Some(Fold::Second))), ["25 02:30+0100"]);
    assert_eq!(autumn("30 2 * * *", dst(None, Some(Fold::Both))), ["25 02:30+0200", "25 02:30+0100"]);
    assert_eq!(autumn("*/30 2 * * *", dst(None, Some(Fold::First))), ["25 02:00+0200", "25 02:30+0200"]);
    let after = dst(Some(Gap::After), None);
    assert_eq!(spring("30 * * * *", after)[2..], ["29 03:00+0200", "29 03:30+0200", "29 04:30+0200"]);
}

#[test]
fn a_whole_day_that_never_was_is_one_slot_after_it() {
    // Apia went from 2011-12-29 24:00 to 2011-12-31 00:00.
    let slots =
        |line| local_slots(cron(line, Tz::Pacific__Apia), "2011-12-29T10:00:00Z", "2011-12-31T10:00:00Z");
    assert_eq!(
        slots("0 6,18 * * *"),
        ["29 06:00-1000", "29 18:00-1000", "31 00:00+1400", "31 06:00+1400", "31 18:00+1400"]
    );
    assert_eq!(slots("0 */12 * * *"), ["29 00:00-1000", "29 12:00-1000", "31 00:00+1400", "31 12:00+1400"]);
    assert_eq!(slots("0 6 30 12 *"), ["31 00:00+1400"]);
}

#[test]
fn small_and_large_clock_changes_are_whole() {
    // Lord Howe goes back half an hour, from 02:00 to 01:30; Troll jumps two hours, from 01:00 to 03:00.
    let lord_howe = cron("45 1 * * *", Tz::Australia__Lord_Howe);
    assert_eq!(local_slots(lord_howe, "2026-04-04T10:00:00Z", "2026-04-05T10:00:00Z"), ["05 01:45+1100"]);
    let wild = cron("45 * * * *", Tz::Australia__Lord_Howe);
    let twice = ["05 01:45+1100", "05 01:45+1030"];
    assert_eq!(local_slots(wild, "2026-04-04T14:00:00Z", "2026-04-04T16:00:00Z"), twice);
    let troll = cron("15,45 1,2 * * *", Tz::Antarctica__Troll);
    assert_eq!(local_slots(troll, "2026-03-29T00:00:00Z", "2026-03-29T12:00:00Z"), ["29 03:00+0200"]);
    // Casablanca goes back for Ramadan: 2026-02-15 03:00 becomes 02:00.
    let casablanca = cron("30 2 * * *", Tz::Africa__Casablanca);
    assert_eq!(local_slots(casablanca, "2026-02-14T12:00:00Z", "2026-02-15T12:00:00Z"), ["15 02:30+0100"]);
}

#[test]
fn day_of_month_or_day_of_week_unless_one_starts_with_a_star() {
    let days = |line, days| {
        let slots =
            local_slots(Spec { days, ..cron(line, Tz::UTC) }, "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z");
        slots.iter().map(|slot| slot[..2].parse::<u32>().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(days("0 0 13 * 5", Days::Or), [6, 13, 20, 27]);
    assert_eq!(days("0 0 14 * 5", Days::Or), [6, 13, 14, 20, 27]);
    assert_eq!(days("0 0 13 * 5", Days::And), [13]);
    assert_eq!(days("0 0 * * 5", Days::Or), [6, 13, 20, 27]);
    assert_eq!(days("0 0 ? * fri", Days::Or), [6, 13, 20, 27]);
    assert_eq!(days("0 0 */2 * 5", Days::Or), [13, 27], "odd days that are fridays, as vixie cron");
    assert_eq!(days("0 0 L * *", Days::Or), [28]);
    assert_eq!(days("0 0 L * 1L", Days::Or), [23, 28]);
    assert_eq!(days("0 0 * * 5#2", Days::Or), [13]);
    assert_eq!(days("0 0 15-31 * 0#3,1", Days::And), [15, 16, 23]);
}

#[test]
fn the_last_day_knows_leap_years() {
    let slots = local_slots(cron("0 0 L 2 *", Tz::UTC), "2096-01-01T00:00:00Z", "2101-01-01T00:00:00Z");
    assert_eq!(slots, ["29 00:00+0000", "28 00:00+0000", "28 00:00+0000", "28 00:00+0000", "28 00:00+0000"]);
}

#[test]
fn the_slot_before_is_found_across_years_that_have_none() {
    let before = |line, time| Schedule::compile(cron(line, Tz::UTC), "").unwrap().previous_before(at(time));
    assert_eq!(before("0 0 L 2 *", "2025-01-15T00:00:00Z"), Some(at("2024-02-29T00:00:00Z")));
    assert_eq!(before("0 0 29 2 *", "2027-01-15T00:00:00Z"), Some(at("2024-02-29T00:00:00Z")));
    assert_eq!(before("0 0 1 12 *", "2200-01-15T00:00:00Z"), Some(at("2100-12-01T00:00:00Z")));
    assert_eq!(before("0 0 1 12 *", "1970-06-01T00:00:00Z"), None);
}

#[test]
fn dates_that_never_come_are_refused_with_their_place() {
    assert!(refusal("30 2 30 2 *").contains("`30`, month `2`"));
    let error = Schedule::compile(cron("30 2  31 4,6 *", Tz::UTC), "").unwrap_err();
    assert_eq!(error.part, Part::Rule { index: 0, offset: 6 });
    let both = Spec { days: Days::And, ..cron("0 0 1-7 * 5#2", Tz::UTC) };
    assert!(Schedule::compile(both, "").unwrap_err().to_string().contains("never come together"));
    for fine in ["0 0 29 2 *", "0 0 30 2 1", "0 0 31 1,2 *", "0 0 29 2 ?"] {
        assert!(Schedule::compile(cron(fine, Tz::UTC), "").is_ok(), "{fine}");
    }
}

#[test]
fn refusals_name_the_rule_the_place_and_the_remedy() {
    let rules = vec![Rule::Cron("@daily".into()), Rule::Cron("0 6 * * 1-5,mun".into())];
    let error = Schedule::compile(Spec::new(rules), "").unwrap_err();
    assert_eq!(error.part, Part::Rule { index: 1, offset: 12 });
    assert!(error.message.starts_with("day-of-week `mun`: expected 0-7"));
    assert!(error.message.ends_with("did you mean `mon`?"));
    assert!(refusal("* * * *").contains("has 4 fields, expected 5"));
    assert!(refusal("0 0 0 * * * 2026").contains("has 7 fields, expected 5"));
    assert!(refusal("").contains("has 0 fields"));
    assert!(refusal("CRON_TZ=UTC 0 0 * * * *").contains("`timezone:`"));
    assert!(refusal("@reboot").contains("reboots"));
    let backwards = Spec {
        start: Some(at("2026-02-01T00:00:00Z")),
        end: Some(at("2026-01-01T00:00:00Z")),
        ..cron("@daily", Tz::UTC)
    };
    assert_eq!(Schedule::compile(backwards, "").unwrap_err().part, Part::End);
}

#[test]
fn nicknames_are_their_lines() {
    for (name, line) in [
        ("@hourly", "0 * * * *"),
        ("@Daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * sun"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        (" @annually ", "0 0 1 1 *"),
    ] {
        let slots = |line| {
            let schedule = Schedule::compile(cron(line, Tz::Asia__Gaza), "").unwrap();
            schedule.upcoming(at("2026-01-01T00:00:00Z"), 40)
        };
        assert_eq!(slots(name), slots(line), "{name}");
    }
}

#[test]
fn start_and_end_are_slots_themselves_and_bound_all_others() {
    let spec = Spec {
        start: Some(at("2026-01-01T06:00:00Z")),
        end: Some(at("2026-01-03T06:00:00Z")),
        ..cron("0 6 * * *", Tz::UTC)
    };
    let schedule = Schedule::compile(spec, "").unwrap();
    let slots = schedule.upcoming(at("1999-01-01T00:00:00Z"), 10);
    assert_eq!(slots, [at("2026-01-01T06:00:00Z"), at("2026-01-02T06:00:00Z"), at("2026-01-03T06:00:00Z")]);
    assert_eq!(schedule.previous_before(at("2026-01-01T06:00:00Z")), None);
    assert_eq!(schedule.previous_before(at("2030-01-01T06:00:00Z")), Some(at("2026-01-03T06:00:00Z")));
    assert_eq!(schedule.next_after(at("2026-01-03T06:00:00Z")), None);
}

#[test]
fn fixed_times_follow_the_zone_and_its_gaps() {
    let time = |day, hour, minute| -> NaiveDateTime {
        NaiveDate::from_ymd_opt(2026, 3, day).unwrap().and_hms_opt(hour, minute, 0).unwrap()
    };
    let times = vec![time(29, 12, 0), time(28, 12, 0), time(29, 2, 30), time(29, 12, 0)];
    let spec = Spec { timezone: zone(Tz::Europe__Berlin), ..Spec::new(vec![Rule::At(times)]) };
    let slots = local_slots(spec, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
    assert_eq!(slots, ["28 12:00+0100", "29 03:00+0200", "29 12:00+0200"]);
}

#[test]
fn rules_are_united_and_a_shared_slot_is_one() {
    let rules = vec![Rule::Cron("0 6 * * *".into()), Rule::Every(Duration::from_secs(6 * 3600))];
    let schedule = Schedule::compile(Spec::new(rules), "").unwrap();
    assert_eq!(schedule.upcoming(at("2026-01-01T00:00:00Z"), 4).len(), 4);
    assert_eq!(schedule.next_after(at("2026-01-01T06:00:00Z")), Some(at("2026-01-01T12:00:00Z")));
}

#[test]
fn the_rarest_lines_are_answered_and_have_an_end() {
    let both = Spec { days: Days::And, ..cron("0 0 29 2 1", Tz::Europe__Berlin) };
    let schedule = Schedule::compile(both, "").unwrap();
    assert_eq!(
        schedule.upcoming(at("2026-01-01T00:00:00Z"), 9).len(),
        2,
        "2044 and 2072, no more until 2100"
    );
    assert!(schedule.next_after(at("2072-03-01T00:00:00Z")).is_none());
}
