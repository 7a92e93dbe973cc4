//! Lengths of time as people write them: `90s`, `15m`, `1h30m`, `2d`, `500ms`, `1w`.

use std::time::Duration;

use super::error::clip;

/// Units, longest first, with their milliseconds.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// The longest duration that is read: 1,000 years of 365 days.
const MILLIS_MAX: u64 = 365_000 * 86_400_000;

/// Why a duration was refused. `given` is the text, cut to 40 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing was written.
    #[error("expected a duration such as `90s`, `15m`, `1h30m` or `2d`, found nothing")]
    Empty,
    /// A bare number, whose unit could be anything.
    #[error(
        "`{given}` has no unit: write `{given}s` for seconds or `{given}m` for minutes (ms, s, m, h, d, w)"
    )]
    #[expect(missing_docs, reason = "the enum says what `given` is")]
    NoUnit { given: String },
    /// A unit that does not exist.
    #[error("`{given}`: unknown unit `{unit}`, expected ms, s, m, h, d or w, as in `1h30m`")]
    #[expect(
        missing_docs,
        reason = "the enum says what `given` is, and `unit` is the part of it that is wrong"
    )]
    UnknownUnit { given: String, unit: String },
    /// Units that repeat or grow.
    #[error("`{given}`: units must come once each, from the longest to the shortest, as in `1d2h30m`")]
    #[expect(missing_docs, reason = "the enum says what `given` is")]
    Order { given: String },
    /// Anything else.
    #[error(
        "`{given}` is not a duration: expected whole numbers with units, such as `90s`, `15m`, `1h30m` or `2d`"
    )]
    #[expect(missing_docs, reason = "the enum says what `given` is")]
    Malformed { given: String },
    /// More than 1,000 years.
    #[error("`{given}` is too long: at most 365000d")]
    #[expect(missing_docs, reason = "the enum says what `given` is")]
    TooLong { given: String },
}

/// Reads a duration: one or more of a whole number and its unit (w, d, h, m, s, ms), longest unit first, no spaces
/// between them. A number without a unit is an error that says so.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    let given = || clip(text);
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DurationError::NoUnit { given: given() });
    }
    let (mut rest, mut total_ms, mut units) = (text, 0u64, UNITS.as_slice());
    while !rest.is_empty() {
        let digits_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, tail) = rest.split_at(digits_end);
        let unit_end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        if digits.is_empty() || unit.is_empty() {
            return Err(DurationError::Malformed { given: given() });
        }
        let Some((_, unit_ms)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(DurationError::UnknownUnit { given: given(), unit: clip(unit) });
        };
        let Some(place) = units.iter().position(|(name, _)| *name == unit) else {
            return Err(DurationError::Order { given: given() });
        };
        units = &units[place + 1..];
        total_ms = (digits.parse::<u64>().ok())
            .and_then(|number| number.checked_mul(*unit_ms))
            .and_then(|part_ms| part_ms.checked_add(total_ms))
            .filter(|total_ms| *total_ms <= MILLIS_MAX)
            .ok_or_else(|| DurationError::TooLong { given: given() })?;
        rest = tail;
    }
    Ok(Duration::from_millis(total_ms))
}

/// Writes a duration as [`parse_duration`] reads it, in days and shorter units, cut to whole milliseconds: `1h30m`.
pub fn format_duration(duration: Duration) -> String {
    let mut rest_ms = duration.as_millis();
    let mut text = String::new();
    for (unit, unit_ms) in &UNITS[1..] {
        let unit_ms = u128::from(*unit_ms);
        if rest_ms >= unit_ms {
            text.push_str(&format!("{}{unit}", rest_ms / unit_ms));
            rest_ms %= unit_ms;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse_duration(text).unwrap_err().to_string()
    }

    #[test]
    fn reads_every_unit_and_their_sums() {
        for (text, ms) in [
            ("500ms", 500),
            ("90s", 90_000),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("1w", 604_800_000),
            ("1w1d1h1m1s1ms", 694_861_001),
            (" 0s ", 0),
            ("0090s", 90_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn a_number_without_unit_is_told_to_add_one() {
        assert!(refusal("90").contains("write `90s` for seconds"), "{}", refusal("90"));
    }

    #[test]
    fn wrong_durations_say_what_is_wrong() {
        assert!(refusal("").contains("found nothing"));
        assert!(refusal("5min").contains("unknown unit `min`"));
        assert!(refusal("30m1h").contains("longest to the shortest"));
        assert!(refusal("1m2m").contains("once each"));
        assert!(refusal("1.5h").contains("whole numbers"));
        assert!(refusal("-5m").contains("whole numbers"));
        assert!(refusal("1h 30m").contains("whole numbers"));
        assert!(refusal("1h30").contains("whole numbers"));
        assert!(refusal("m").contains("whole numbers"));
        assert!(refusal("99999999999999999999d").contains("too long"));
        assert!(refusal("18446744073709551615w").contains("too long"));
        assert!(refusal("５m").contains("whole numbers"));
    }

    #[test]
    fn formats_as_it_reads() {
        for (ms, text) in [
            (0, "0s"),
            (1, "1ms"),
            (1500, "1s500ms"),
            (5_400_000, "1h30m"),
            (604_800_000, "7d"),
            (90_061_000, "1d1h1m1s"),
        ] {
            let duration = Duration::from_millis(ms);
            assert_eq!(format_duration(duration), text);
            assert_eq!(parse_duration(text), Ok(duration));
        }
        assert_eq!(format_duration(Duration::from_nanos(999_999)), "0s");
    }
}
