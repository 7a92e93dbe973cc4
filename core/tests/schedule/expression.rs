//! Random crontab lines that know their own meaning, without parsing.

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, Timelike};
use proptest::prelude::*;

const MONTHS: [&str; 12] =
    ["Jan", "feb", "MAR", "apr", "may", "june", "jul", "August", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "MON", "Tue", "wed", "thursday", "fri", "sat"];

/// One item of a field's list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    Star { step: u32 },
    One { value: u32, named: bool },
    Range { first: u32, last: u32, step: u32, named: bool },
    From { first: u32, step: u32 },
    LastDay,
    Nth { weekday: u32, nth: u32 },
    LastWeekday { weekday: u32 },
}

/// The list of a field.
pub(crate) type Items = Vec<Item>;

/// A crontab line. Seconds are written only if they are there.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) second: Option<Items>,
    pub(crate) minute: Items,
    pub(crate) hour: Items,
    pub(crate) day: Items,
    pub(crate) month: Items,
    pub(crate) weekday: Items,
}

impl Line {
    pub(crate) fn text(&self) -> String {
        let plain = |items: &Items| write(items, |value| value.to_string());
        let second = self.second.as_ref().map(|items| plain(items) + " ").unwrap_or_default();
        let month = write(&self.month, |value| MONTHS[value as usize - 1].to_owned());
        let weekday = write(&self.weekday, |value| WEEKDAYS[value as usize % 7].to_owned());
        format!(
            "{second}{} {} {} {month} {weekday}",
            plain(&self.minute),
            plain(&self.hour),
            plain(&self.day)
        )
    }

    /// Debian's fixed-time job.
    pub(crate) fn is_fixed(&self) -> bool {
        !starts_with_star(&self.minute) && !starts_with_star(&self.hour)
    }

    /// Whether the wall clock shows a time of this line; `and`: both day fields must match.
    pub(crate) fn matches(&self, time: NaiveDateTime, and: bool) -> bool {
        let second = match &self.second {
            None => time.second() == 0,
            Some(items) => has(items, time.second(), 59),
        };
        second
            && has(&self.minute, time.minute(), 59)
            && has(&self.hour, time.hour(), 23)
            && self.has_date(time.date(), and)
    }

    pub(crate) fn has_date(&self, date: NaiveDate, and: bool) -> bool {
        let tomorrow = date.checked_add_days(Days::new(1)).unwrap();
        let next_week = date.checked_add_days(Days::new(7)).unwrap();
        let by_day = has(&self.day, date.day(), 31)
            || self.day.contains(&Item::LastDay) && tomorrow.month() != date.month();
        let weekday = date.weekday().num_days_from_sunday();
        let by_weekday = has(&self.weekday, weekday, 6)
            || weekday == 0 && has(&self.weekday, 7, 6)
            || self.weekday.iter().any(|item| match item {
                Item::Nth { weekday: day, nth } => day % 7 == weekday && (date.day() - 1) / 7 + 1 == *nth,
                Item::LastWeekday { weekday: day } => day % 7 == weekday && next_week.month() != date.month(),
                _ => false,
            });
        let both = and || starts_with_star(&self.day) || starts_with_star(&self.weekday);
        has(&self.month, date.month(), 12) && if both { by_day && by_weekday } else { by_day || by_weekday }
    }
}

/// Whether the field starts with `*`.
pub(crate) fn starts_with_star(items: &Items) -> bool {
    matches!(items.first(), Some(Item::Star { .. }))
}

fn has(items: &Items, value: u32, max: u32) -> bool {
    let min = if max == 31 || max == 12 { 1 } else { 0 };
    items.iter().any(|item| match *item {
        Item::Star { step } => value <= max && (value - min).is_multiple_of(step),
        Item::One { value: only, .. } => value == only,
        Item::Range { first, last, step, .. } => {
            (first..=last).contains(&value) && (value - first).is_multiple_of(step)
        }
        Item::From { first, step } => value <= max && value >= first && (value - first).is_multiple_of(step),
        Item::LastDay | Item::Nth { .. } | Item::LastWeekday { .. } => false,
    })
}

fn write(items: &Items, name: impl Fn(u32) -> String) -> String {
    let texts: Vec<String> = items
        .iter()
        .map(|item| match *item {
            Item::Star { step: 1 } => "*".to_owned(),
            Item::Star { step } => format!("*/{step}"),
            Item::One { value, named: true } => name(value),
            Item::One { value, named: false } => value.to_string(),
            Item::Range { first, last, step, named } => {
                let step = if step == 1 { String::new() } else { format!("/{step}") };
                // A name cannot say that it means 7, except as the end of a range.
                let first = if named && first != 7 { name(first) } else { first.to_string() };
                let last = if named && last != 0 { name(last) } else { last.to_string() };
                format!("{first}-{last}{step}")
            }
            Item::From { first, step } => format!("{first}/{step}"),
            Item::LastDay => "L".to_owned(),
            Item::Nth { weekday, nth } => format!("{weekday}#{nth}"),
            Item::LastWeekday { weekday } => format!("{weekday}L"),
        })
        .collect();
    texts.join(",")
}

/// Lines of 5 fields.
pub(crate) fn lines() -> impl Strategy<Value = Line> {
    (field(0, 59, 59), field(0, 23, 23), days(), months(), weekdays()).prop_map(
        |(minute, hour, day, month, weekday)| Line { second: None, minute, hour, day, month, weekday },
    )
}

/// Lines of 6 fields.
pub(crate) fn lines_with_seconds() -> impl Strategy<Value = Line> {
    (lines(), field(0, 59, 59)).prop_map(|(line, second)| Line { second: Some(second), ..line })
}

/// Lines of 5 fields that come every day.
pub(crate) fn daily_lines() -> impl Strategy<Value = Line> {
    lines().prop_map(|line| Line { day: every(), month: every(), weekday: every(), ..line })
}

/// Lines of 5 fields with one time on any days.
pub(crate) fn rare_lines() -> impl Strategy<Value = Line> {
    let one = |max: u32| (0..=max).prop_map(|value| vec![Item::One { value, named: false }]);
    (lines(), one(59), one(23)).prop_map(|(line, minute, hour)| Line { minute, hour, ..line })
}

pub(crate) fn every() -> Items {
    vec![Item::Star { step: 1 }]
}

fn days() -> impl Strategy<Value = Items> {
    prop_oneof![
        3 => Just(every()),
        2 => field(1, 31, 31),
        1 => Just(vec![Item::LastDay]),
        1 => field(1, 31, 31).prop_map(|items| with(items, Item::LastDay)),
    ]
}

fn months() -> impl Strategy<Value = Items> {
    prop_oneof![3 => Just(every()), 1 => field(1, 12, 12)]
}

fn weekdays() -> impl Strategy<Value = Items> {
    let special = prop_oneof![
        (0..=7u32, 1..=5u32).prop_map(|(weekday, nth)| Item::Nth { weekday, nth }),
        (0..=7u32).prop_map(|weekday| Item::LastWeekday { weekday }),
    ];
    prop_oneof![
        3 => Just(every()),
        2 => field(0, 7, 6),
        1 => special.clone().prop_map(|item| vec![item]),
        1 => (field(0, 7, 6), special).prop_map(|(items, item)| with(items, item)),
    ]
}

fn with(mut items: Items, item: Item) -> Items {
    items.push(item);
    items
}

/// A field of numbers from `min` to `max`; `*` and open steps end at `open`.
fn field(min: u32, max: u32, open: u32) -> impl Strategy<Value = Items> {
    let step = 1..=max;
    let named = any::<bool>().prop_map(move |named| named && matches!(max, 12 | 7));
    let one = (min..=max, named.clone()).prop_map(|(value, named)| Item::One { value, named });
    let range =
        (min..=max, min..=max, prop_oneof![Just(1), 1..=max], named).prop_map(|(one, other, step, named)| {
            Item::Range { first: one.min(other), last: one.max(other), step, named }
        });
    let item = prop_oneof![
        4 => one.clone(),
        2 => range.prop_map(move |item| tidy(item, max)),
        1 => (min..=open, step.clone()).prop_map(|(first, step)| Item::From { first, step }),
    ];
    let star = step.prop_map(|step| vec![Item::Star { step }]);
    prop_oneof![
        3 => Just(every()),
        2 => star,
        3 => one.prop_map(|item| vec![item]),
        2 => proptest::collection::vec(item, 1..4),
    ]
}

/// `sun-sun` is one day, so a range over the whole week is written in numbers, as is one that starts at 7.
fn tidy(item: Item, max: u32) -> Item {
    match item {
        Item::Range { first, last, step, named: true }
            if max == 7 && (first == 0 || first == 7) && last == 7 =>
        {
            Item::Range { first, last, step, named: false }
        }
        item => item,
    }
}
