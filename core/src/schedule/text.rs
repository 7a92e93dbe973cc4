//! Schedules as one line of text: reading the short form of a DAG file's `schedule:`, and describing a schedule.

use super::error::{ScheduleError, ScheduleFault, clip, did_you_mean};
use super::{Rule, Spec, format_duration, parse_duration};

/// crontab's nicknames.
pub(super) const NICKNAMES: [&str; 7] =
    ["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"];
const LINES: [&str; 7] =
    ["0 * * * *", "0 0 * * *", "0 0 * * *", "0 0 * * 0", "0 0 1 * *", "0 0 1 1 *", "0 0 1 1 *"];

/// Reads the short form of a schedule: a crontab line, a nickname, `every 15m`, or `@manual`, which is `None`.
/// The fields of a line are checked when the schedule is compiled.
pub fn parse_schedule_text(text: &str) -> Result<Option<Vec<Rule>>, ScheduleError> {
    read(text).map_err(|fault| fault.in_rule(0))
}

fn read(text: &str) -> Result<Option<Vec<Rule>>, ScheduleFault> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        let message = "the schedule is empty; write `@manual` for a DAG that only runs when triggered";
        return Err(ScheduleFault::new(0, message));
    }
    if trimmed == "@manual" {
        return Ok(None);
    }
    let (first, rest) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
    if matches!(first, "every" | "@every") {
        let offset = text.len() - text.trim_start().len() + trimmed.len() - rest.trim_start().len();
        let step = parse_duration(rest).map_err(|error| ScheduleFault::new(offset, error.to_string()))?;
        return Ok(Some(vec![Rule::Every(step)]));
    }
    if trimmed.starts_with('@') {
        nickname(trimmed)?;
    }
    Ok(Some(vec![Rule::Cron(trimmed.to_owned())]))
}

/// The crontab line that a nickname stands for.
pub(super) fn nickname(text: &str) -> Result<&'static str, ScheduleFault> {
    let text = text.trim();
    if let Some(place) = NICKNAMES.iter().position(|name| text.eq_ignore_ascii_case(name)) {
        return Ok(LINES[place]);
    }
    let hint = match text {
        "@reboot" => "; a schedule outlives reboots, so there is none at start".to_owned(),
        "@once" => "; for one run write `at:` with its time, or `@manual`".to_owned(),
        "@manual" => "; `@manual` stands alone as the whole schedule".to_owned(),
        _ if text.starts_with("@every") => "; write `every: 15m`".to_owned(),
        _ => did_you_mean(text, &NICKNAMES),
    };
    let message = format!("unknown nickname `{}`, expected one of {}{hint}", clip(text), NICKNAMES.join(" "));
    Err(ScheduleFault::new(0, message))
}

/// See [`super::Schedule::describe`].
pub(super) fn describe(spec: &Spec) -> String {
    let rules: Vec<String> = spec.rules.iter().map(describe_rule).collect();
    let text = rules.join(" and ");
    if spec.rules.iter().all(|rule| matches!(rule, Rule::Every(_))) {
        return text;
    }
    format!("{text}, {}", spec.timezone)
}

fn describe_rule(rule: &Rule) -> String {
    match rule {
        Rule::Cron(line) => line.split_ascii_whitespace().collect::<Vec<_>>().join(" "),
        Rule::Every(step) => format!("every {}", format_duration(*step)),
        Rule::At(times) => {
            let first = times.iter().min().map(|time| time.format("%Y-%m-%d %H:%M:%S").to_string());
            let first = first.unwrap_or_default();
            let first = first.strip_suffix(":00").unwrap_or(&first);
            match times.len() {
                0 | 1 => format!("at {first}"),
                count => format!("at {first} and {} more", count - 1),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Part, Schedule};
    use super::*;

    fn refusal(text: &str) -> ScheduleError {
        parse_schedule_text(text).unwrap_err()
    }

    #[test]
    fn the_short_forms_are_read() {
        let read = |text| parse_schedule_text(text).unwrap();
        assert_eq!(read(" 0 6 * * 1-5 "), Some(vec![Rule::Cron("0 6 * * 1-5".into())]));
        assert_eq!(read("@daily"), Some(vec![Rule::Cron("@daily".into())]));
        assert_eq!(read("every 15m"), Some(vec![Rule::Every(Duration::from_secs(900))]));
        assert_eq!(read("@every  15m"), Some(vec![Rule::Every(Duration::from_secs(900))]));
        assert_eq!(read("@manual"), None);
    }

    #[test]
    fn wrong_short_forms_say_what_to_write() {
        assert!(refusal("  ").message.contains("`@manual`"));
        assert!(refusal("@dayly").message.contains("did you mean `@daily`?"));
        assert!(refusal("@once").message.contains("`at:`"));
        assert!(refusal("every 15").message.contains("has no unit"));
        assert_eq!(refusal(" every  15").part, Part::Rule { index: 0, offset: 8 });
        assert!(refusal("every").message.contains("found nothing"));
        let word = Spec::new(parse_schedule_text("dayly").unwrap().unwrap());
        assert!(Schedule::compile(word, "").unwrap_err().message.contains("did you mean `@daily`?"));
    }

    #[test]
    fn descriptions_are_short() {
        let describe = |rules, timezone| describe(&Spec { timezone, ..Spec::new(rules) });
        let line = Rule::Cron(" 0  6 * * 1-5".into());
        let every = Rule::Every(Duration::from_secs(900));
        let noon = chrono::NaiveDate::from_ymd_opt(2026, 12, 24).unwrap().and_hms_opt(12, 0, 0).unwrap();
        let berlin = crate::schedule::Zone::named("Europe/Berlin").unwrap();
        assert_eq!(describe(vec![line.clone()], berlin), "0 6 * * 1-5, Europe/Berlin");
        assert_eq!(describe(vec![every.clone()], berlin), "every 15m");
        assert_eq!(describe(vec![line, every], crate::schedule::Zone::UTC), "0 6 * * 1-5 and every 15m, UTC");
        assert_eq!(describe(vec![Rule::At(vec![noon])], berlin), "at 2026-12-24 12:00, Europe/Berlin");
    }
}
