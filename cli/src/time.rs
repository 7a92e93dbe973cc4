//! Instants and durations on the command line and in tables.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, Utc};
use rota_core::schedule::{Zone, ZoneError, zone_data};

/// What [`parse_instant`] takes, for help and errors.
pub(crate) const INSTANT_FORMS: &str =
    "RFC 3339 (2026-11-20T13:00:00Z), a local time (2026-11-20T13:00) or a date (2026-11-20)";

/// Reads an instant: RFC 3339, else a local time or a date (its midnight) in `zone`. A local time that a clock change
/// skips or repeats is refused, because it does not name one instant.
pub(crate) fn parse_instant(text: &str, zone: Zone) -> Result<DateTime<Utc>, String> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(instant.with_timezone(&Utc));
    }
    let Some(local) = parse_local(text) else {
        return Err(format!("`{text}` is not a time: expected {INSTANT_FORMS}"));
    };
    match local.and_local_timezone(zone).single() {
        Some(instant) => Ok(instant.with_timezone(&Utc)),
        None => Err(format!(
            "`{text}` does not name one instant in {zone}, whose clocks change then: write it with its offset, as RFC 3339"
        )),
    }
}

/// [`parse_instant`] in UTC, for clap.
pub(crate) fn parse_instant_utc(text: &str) -> Result<DateTime<Utc>, String> {
    parse_instant(text, Zone::UTC)
}

/// Reads an IANA zone name.
pub(crate) fn parse_zone(text: &str) -> Result<Zone, String> {
    Zone::named(text).map_err(|error| {
        if matches!(error, ZoneError::Broken { .. }) {
            return error.to_string();
        }
        let near = zone_data().names().into_iter().find(|name| {
            let city = name.rsplit('/').next().unwrap_or(name);
            name.eq_ignore_ascii_case(text) || city.eq_ignore_ascii_case(text)
        });
        match near {
            Some(name) => format!("`{text}` is not an IANA time zone: did you mean {name}?"),
            None => format!("`{text}` is not an IANA time zone: expected a name like Europe/Berlin or UTC"),
        }
    })
}

/// `2026-11-20T13:00:00Z`, with milliseconds only if there are any.
pub(crate) fn instant(at: DateTime<Utc>) -> String {
    let format = if at.timestamp_subsec_millis() == 0 { SecondsFormat::Secs } else { SecondsFormat::Millis };
    at.to_rfc3339_opts(format, true)
}

/// An instant of the API, to the second; other texts stay as they are.
pub(crate) fn short_instant(text: &str) -> String {
    match DateTime::parse_from_rfc3339(text) {
        Ok(at) => at.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::Secs, true),
        Err(_) => text.to_owned(),
    }
}

/// The time between two instants of the API (`1.4s`, `3m 05s`, `2h 10m`); empty if one is missing.
pub(crate) fn between(from: Option<&str>, to: Option<&str>) -> String {
    let parse = |text: Option<&str>| text.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    match (parse(from), parse(to)) {
        (Some(from), Some(to)) => duration(to - from),
        _ => String::new(),
    }
}

/// A duration in the two units that matter.
pub(crate) fn duration(delta: TimeDelta) -> String {
    let ms = delta.num_milliseconds().max(0);
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms}ms"),
        1..60 => format!("{}.{}s", seconds, ms % 1000 / 100),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

fn parse_local(text: &str) -> Option<NaiveDateTime> {
    let time = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    time.or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_in_all_three_forms() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        let read = |text| parse_instant(text, berlin).map(instant);
        assert_eq!(read("2026-01-02T03:04:05+01:00"), Ok("2026-01-02T02:04:05Z".into()));
        assert_eq!(read("2026-01-02T03:04"), Ok("2026-01-02T02:04:00Z".into()));
        assert_eq!(read("2026-07-02"), Ok("2026-07-01T22:00:00Z".into()));
    }

    #[test]
    fn a_local_time_that_a_clock_change_skips_or_repeats_is_refused() {
        for text in ["2026-03-29T02:30", "2026-10-25T02:30"] {
            let error = parse_instant(text, Zone::named("Europe/Berlin").unwrap()).expect_err(text);
            assert!(error.contains("does not name one instant"), "{error}");
        }
    }

    #[test]
    fn a_city_is_enough_to_suggest_its_zone() {
        assert!(parse_zone("berlin").is_err_and(|error| error.contains("did you mean Europe/Berlin?")));
    }

    #[test]
    fn durations_read_in_two_units() {
        let read = |ms| duration(TimeDelta::milliseconds(ms));
        assert_eq!(
            [12, 1450, 185_000, 7_800_000, 90_000_000].map(read),
            ["12ms", "1.4s", "3m 05s", "2h 10m", "1d 01h"]
        );
    }
}
