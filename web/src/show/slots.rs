//! Schedules in words and as instants to draw.

use chrono::{DateTime, TimeDelta, Utc};
use rota_core::schedule::{Rule, Schedule};

use super::axis::TimeStretch;

/// What a schedule says, for a table: words for the common forms, else the crontab line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScheduleWords {
    pub(crate) text: String,
    /// IANA name.
    pub(crate) zone: String,
    /// Where `text` is a crontab line.
    pub(crate) code: bool,
}

impl ScheduleWords {
    /// In words.
    pub(crate) fn of(schedule: &Schedule) -> Self {
        let zone = schedule.spec().timezone.name().to_owned();
        let rules = schedule.spec().rules.iter();
        let said = rules.map(|rule| match rule {
            Rule::Cron(line) => in_words(line),
            Rule::Every(_) | Rule::At(_) => None,
        });
        let words = said.collect::<Option<Vec<String>>>().map(|said| said.join(", also "));
        let code = words.is_none() && matches!(schedule.spec().rules.first(), Some(Rule::Cron(_)));
        let described = || {
            let text = schedule.describe();
            text.strip_suffix(&format!(", {zone}")).map(str::to_owned).unwrap_or(text)
        };
        let mut text = words.unwrap_or_else(described);
        if let Some(rest) = text.strip_prefix("every ") {
            text = format!("Every {rest}");
        }
        Self { text, zone, code }
    }
}

/// `Daily at 03:40` for `40 3 * * *`; `None` for anything that is not one of a few common forms.
fn in_words(line: &str) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    match fields.as_slice() {
        ["@hourly"] => Some("Every hour at :00".to_owned()),
        ["@daily" | "@midnight"] => Some("Daily at 00:00".to_owned()),
        ["@weekly"] => Some("Sundays at 00:00".to_owned()),
        ["@monthly"] => Some("Monthly on the 1st at 00:00".to_owned()),
        [seconds, "*", "*", "*", "*", "*"] => step(seconds).map(|n| format!("Every {n}\u{a0}s")),
        ["0", rest @ ..] if rest.len() == 5 => in_words(&rest.join(" ")),
        ["*", "*", "*", "*", "*"] => Some("Every minute".to_owned()),
        [minutes, "*", "*", "*", "*"] => match step(minutes) {
            Some(n) => Some(format!("Every {n}\u{a0}min")),
            None => number(minutes).map(|m| format!("Every hour at :{m:02}")),
        },
        [minutes, hours, "*", "*", days] if step(minutes).is_some() => {
            let (from, to) = hours.split_once('-')?;
            let (from, to, n) = (number(from)?, number(to)?, step(minutes)?);
            let last = 59 / n * n;
            let on = if *days == "*" { String::new() } else { format!(", {}", on_days(days)?) };
            Some(format!("Every {n}\u{a0}min, {from:02}:00–{to:02}:{last:02}{on}"))
        }
        [minute, hours, "*", "*", days] => {
            let minute = number(minute)?;
            let hours = hours.split(',').map(number).collect::<Option<Vec<_>>>()?;
            let times: Vec<String> = hours.iter().map(|hour| format!("{hour:02}:{minute:02}")).collect();
            Some(format!("{} at {}", on_days(days)?, times.join(", ")))
        }
        [minute, hour, "1", "*", "*"] => {
            Some(format!("Monthly on the 1st at {:02}:{:02}", number(hour)?, number(minute)?))
        }
        _ => None,
    }
}

fn on_days(days: &str) -> Option<String> {
    match days {
        "*" => Some("Daily".to_owned()),
        "1-5" | "MON-FRI" | "mon-fri" => Some("Mon–Fri".to_owned()),
        day => number(day).and_then(|day| DAYS.get(day as usize)).map(|day| format!("{day}s")),
    }
}

const DAYS: &[&str] =
    &["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn step(text: &str) -> Option<u32> {
    text.strip_prefix("*/").and_then(number).filter(|n| *n > 0)
}

/// Slots within a stretch, at most one per `bucket` and at most `count_max`: enough to draw, cheap for any schedule.
pub(crate) fn thinned(
    schedule: &Schedule,
    stretch: TimeStretch,
    bucket: TimeDelta,
    count_max: usize,
) -> Vec<DateTime<Utc>> {
    let mut out = Vec::new();
    let mut next = schedule.next_after(stretch.from);
    while let Some(slot) = next.filter(|slot| *slot <= stretch.to && out.len() < count_max) {
        out.push(slot);
        let passed = (slot - stretch.from).num_milliseconds() / bucket.num_milliseconds().max(1);
        let end = stretch.from + bucket * i32::try_from(passed + 1).unwrap_or(i32::MAX)
            - TimeDelta::milliseconds(1);
        next = schedule.next_after(slot.max(end));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rota_core::schedule::Spec;

    #[test]
    fn common_crontab_lines_are_said_in_words() {
        for (line, words) in [
            ("40 3 * * *", Some("Daily at 03:40")),
            ("45 7 * * 1-5", Some("Mon–Fri at 07:45")),
            ("*/5 * * * *", Some("Every 5\u{a0}min")),
            ("*/10 * * * * *", Some("Every 10\u{a0}s")),
            ("5 * * * *", Some("Every hour at :05")),
            ("0 6 * * 7", Some("Sundays at 06:00")),
            ("0 0 6 * * *", Some("Daily at 06:00")),
            ("30 9,14 * * 1-5", Some("Mon–Fri at 09:30, 14:30")),
            ("*/30 6-22 * * *", Some("Every 30\u{a0}min, 06:00–22:30")),
            ("30 2 1,15 * *", None),
        ] {
            assert_eq!(in_words(line).as_deref(), words, "{line}");
        }
    }

    #[test]
    fn thinning_keeps_one_slot_per_bucket() {
        let spec = Spec::new(vec![Rule::Every(std::time::Duration::from_secs(10))]);
        let schedule = Schedule::compile(spec, "a").expect("valid");
        let from = DateTime::UNIX_EPOCH;
        let stretch = TimeStretch { from, to: from + TimeDelta::hours(1) };
        let slots = thinned(&schedule, stretch, TimeDelta::minutes(5), 100);
        assert_eq!(slots.len(), 13);
        assert_eq!(thinned(&schedule, stretch, TimeDelta::minutes(5), 4).len(), 4);
    }
}
