//! Reads `schedule:`. What a crontab line means is the schedule module's; this places its errors in the file.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};

use crate::schedule::{
    Catchup, Days, Dst, Fold, Gap, Part, Rule, Schedule, ScheduleError, Spec, Zone, ZoneError,
    parse_schedule_text, zone_data,
};

use super::read::Reader;
use super::yaml::{Kind, MapEntry, Node};

pub(super) const KEYS: [&str; 11] =
    ["cron", "every", "at", "timezone", "start", "end", "jitter", "dst", "days", "deadline", "catchup"];
const DATE_TIME: &str = "a date and time such as `2026-12-24T18:00`";

/// Reads `schedule:` of the DAG named `seed`; `None` is `@manual`, or was reported.
pub(super) fn read<'s>(reader: &mut Reader<'s>, node: &Node<'s>, seed: &str) -> Option<Schedule> {
    match &node.kind {
        Kind::Scalar(_) => {
            let scalar = reader.scalar(node, "schedule")?;
            let lead = scalar.text.len() - scalar.text.trim_start().len();
            match parse_schedule_text(&scalar.text) {
                Ok(rules) => {
                    let sources = Sources { rules: vec![(node, lead)], end: None };
                    compile(reader, node, Spec::new(rules?), &sources, seed)
                }
                Err(error) => {
                    let sources = Sources { rules: vec![(node, 0)], end: None };
                    report(reader, node, &error, &sources);
                    None
                }
            }
        }
        Kind::Map(entries) => mapping(reader, node, entries, seed),
        Kind::List(_) => {
            let message = "`schedule`: expected a crontab line or a mapping, got a list";
            reader.sink.push_hint(node.pos, message, "put a list of lines under `cron:`");
            None
        }
    }
}

/// The nodes that a [`Spec`] was made from, to place errors.
struct Sources<'n, 's> {
    /// Per rule: its node, and the bytes of the node's text before the rule's.
    rules: Vec<(&'n Node<'s>, usize)>,
    end: Option<&'n Node<'s>>,
}

fn mapping<'s>(
    reader: &mut Reader<'s>,
    node: &Node<'s>,
    entries: &[MapEntry<'s>],
    seed: &str,
) -> Option<Schedule> {
    let mut spec = Spec::new(Vec::new());
    let mut sources = Sources { rules: Vec::new(), end: None };
    let get = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value);
    let before = reader.sink.count();
    if let Some(zone) = get("timezone").and_then(|node| timezone(reader, node)) {
        spec.timezone = zone;
    }
    for entry in entries {
        if reader.known(entry, "`schedule`", &KEYS) {
            field(reader, entry, &mut spec, &mut sources);
        }
    }
    let is_broken = reader.sink.count() > before;
    if spec.rules.is_empty() && is_broken {
        return None;
    }
    if spec.rules.is_empty() {
        let message = "`schedule`: expected one of `cron`, `every` or `at`";
        reader.sink.push_hint(
            node.pos,
            message,
            "leave `schedule` out for a DAG that only runs when triggered",
        );
        return None;
    }
    compile(reader, node, spec, &sources, seed).filter(|_| !is_broken)
}

fn field<'n, 's>(
    reader: &mut Reader<'s>,
    entry: &'n MapEntry<'s>,
    spec: &mut Spec,
    sources: &mut Sources<'n, 's>,
) {
    let node = &entry.value;
    match &*entry.key {
        "cron" => crontab(reader, node, spec, sources),
        "every" => {
            if let Some(step) = reader.limit(node, "every") {
                spec.rules.push(Rule::Every(step));
                sources.rules.push((node, 0));
            }
        }
        "at" => {
            if let Some(times) = times(reader, node) {
                spec.rules.push(Rule::At(times));
                sources.rules.push((node, 0));
            }
        }
        "start" => spec.start = moment(reader, node, "start", NaiveTime::MIN, spec.timezone),
        "end" => {
            let last = NaiveTime::from_hms_opt(23, 59, 59).unwrap_or(NaiveTime::MIN);
            spec.end = moment(reader, node, "end", last, spec.timezone);
            sources.end = Some(node);
        }
        "jitter" => spec.jitter = reader.duration(node, "jitter").unwrap_or_default(),
        "deadline" => spec.deadline = reader.limit(node, "deadline").unwrap_or(spec.deadline),
        "dst" => spec.dst = dst(reader, node),
        "days" => {
            let words = [("or", Days::Or), ("and", Days::And)];
            spec.days = reader.word(node, "days", &words).unwrap_or_default();
        }
        "catchup" => {
            let words = [("none", Catchup::None), ("latest", Catchup::Latest), ("all", Catchup::All)];
            spec.catchup = reader.word(node, "catchup", &words).unwrap_or_default();
        }
        _ => {}
    }
}

fn crontab<'n, 's>(
    reader: &mut Reader<'s>,
    node: &'n Node<'s>,
    spec: &mut Spec,
    sources: &mut Sources<'n, 's>,
) {
    let lines = match &node.kind {
        Kind::List(lines) => lines.as_slice(),
        Kind::Scalar(_) | Kind::Map(_) => std::slice::from_ref(node),
    };
    for line in lines {
        if let Some(text) = reader.filled(line, "cron") {
            spec.rules.push(Rule::Cron(text));
            sources.rules.push((line, 0));
        }
    }
}

fn dst<'s>(reader: &mut Reader<'s>, node: &Node<'s>) -> Dst {
    let mut dst = Dst::default();
    for entry in reader.map(node, "dst").unwrap_or_default() {
        match &*entry.key {
            "gap" => {
                dst.gap = reader.word(&entry.value, "gap", &[("after", Gap::After), ("skip", Gap::Skip)]);
            }
            "overlap" => {
                let words = [("first", Fold::First), ("second", Fold::Second), ("both", Fold::Both)];
                dst.overlap = reader.word(&entry.value, "overlap", &words);
            }
            _ => _ = reader.known(entry, "`dst`", &["gap", "overlap"]),
        }
    }
    dst
}

fn timezone<'s>(reader: &mut Reader<'s>, node: &Node<'s>) -> Option<Zone> {
    let scalar = reader.scalar(node, "timezone")?;
    match Zone::named(&scalar.text) {
        Ok(zone) => return Some(zone),
        Err(ZoneError::Unknown(_)) => {
            let names = zone_data().names().into_iter();
            reader.sink.unknown(node.pos, "time zone", &scalar.text, names);
        }
        Err(broken @ ZoneError::Broken { .. }) => reader.sink.push(node.pos, broken.to_string()),
    }
    None
}

fn times<'s>(reader: &mut Reader<'s>, node: &Node<'s>) -> Option<Vec<NaiveDateTime>> {
    let Kind::List(list) = &node.kind else {
        reader.expected(node, "at", "a list of dates with times, such as `[2026-12-24T18:00]`");
        return None;
    };
    let mut times = Vec::new();
    for item in list {
        let scalar = reader.scalar(item, "at")?;
        match date_time(&scalar.text, NaiveTime::MIN) {
            Some(time) => times.push(time),
            None => reader.expected(item, "at", DATE_TIME),
        }
    }
    Some(times)
}

/// A date, or a date and time, of the zone's wall clock. A date alone has the time `alone`. A time that a change of
/// the clock jumps over is the first after it; one that exists twice is the first.
fn moment<'s>(
    reader: &mut Reader<'s>,
    node: &Node<'s>,
    what: &str,
    alone: NaiveTime,
    zone: Zone,
) -> Option<DateTime<Utc>> {
    let scalar = reader.scalar(node, what)?;
    let found = date_time(&scalar.text, alone).and_then(|local| {
        let candidates = (0..=26 * 4).map(|quarters| local + TimeDelta::minutes(15 * quarters));
        candidates.into_iter().find_map(|local| zone.from_local_datetime(&local).earliest())
    });
    if found.is_none() {
        reader.expected(
            node,
            what,
            "a date such as `2026-01-31`, or a date and time such as `2026-01-31T18:00`",
        );
    }
    found.map(|time| time.with_timezone(&Utc))
}

fn date_time(text: &str, alone: NaiveTime) -> Option<NaiveDateTime> {
    let formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"];
    let text = text.trim();
    let full = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let date = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|date| date.and_time(alone));
    full.or_else(date).filter(|time| (1970..=2100).contains(&time.year()))
}

fn compile<'s>(
    reader: &mut Reader<'s>,
    node: &Node<'s>,
    spec: Spec,
    sources: &Sources<'_, 's>,
    seed: &str,
) -> Option<Schedule> {
    let rules = spec.rules.clone();
    let error = match Schedule::compile(spec, seed) {
        Ok(schedule) => return Some(schedule),
        Err(error) => error,
    };
    report(reader, node, &error, sources);
    // The first wrong rule ended the compilation: the ones after it are checked one by one.
    if let Part::Rule { index: first, .. } = error.part {
        for (index, rule) in rules.into_iter().enumerate().skip(first + 1) {
            if let Err(ScheduleError { part: Part::Rule { offset, .. }, message }) =
                Schedule::compile(Spec::new(vec![rule]), seed)
            {
                report(reader, node, &ScheduleError { part: Part::Rule { index, offset }, message }, sources);
            }
        }
    }
    None
}

/// Places the error at the very character of the rule's text, where the text stands in the file as it is.
fn report<'s>(reader: &mut Reader<'s>, whole: &Node<'s>, error: &ScheduleError, sources: &Sources<'_, 's>) {
    let pos = match error.part {
        Part::Rules => whole.pos,
        Part::End => sources.end.unwrap_or(whole).pos,
        Part::Rule { index, offset } => match sources.rules.get(index) {
            Some((Node { kind: Kind::List(list), pos }, _)) => list.get(offset).map_or(*pos, |item| item.pos),
            Some((node, lead)) => reader.locate(node, lead + offset),
            None => whole.pos,
        },
    };
    reader.sink.push(pos, error.to_string());
}
