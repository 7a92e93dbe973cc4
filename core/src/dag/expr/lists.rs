//! Filters over lists and maps.

use std::cmp::Ordering;
use std::sync::Arc;

use super::datum::Datum;
use super::given::GivenArgs;
use super::items::{attribute, sorted};
use super::meter::Meter;
use super::ops;
use super::texts::without_case;
use super::tree::Operator;

type Result<T> = std::result::Result<T, String>;

pub(super) fn list(value: &Datum, _: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    Datum::list(value.items(meter)?, meter)
}

pub(super) fn first(value: &Datum, _: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    match value {
        Datum::Map(map) => {
            Ok(map.entries.keys().next().map_or(Datum::Undefined, |key| Datum::Text(Arc::clone(key))))
        }
        value => ops::index(value, &Datum::Int(0), meter),
    }
}

pub(super) fn last(value: &Datum, _: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    match value {
        Datum::Map(map) => {
            Ok(map.entries.keys().next_back().map_or(Datum::Undefined, |key| Datum::Text(Arc::clone(key))))
        }
        value => ops::index(value, &Datum::Int(-1), meter),
    }
}

pub(super) fn reverse(value: &Datum, _: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    if let Some(text) = value.as_text() {
        meter.bytes(text.len())?;
        return Ok(Datum::text(text.chars().rev().collect::<String>()));
    }
    let mut items = value.items(meter)?;
    items.reverse();
    Datum::list(items, meter)
}

/// Lists of `count` items each; the last is filled up with `fill_with`.
pub(super) fn batch(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let count = given.count("count")?;
    let fill = given.take("fill_with");
    let items = value.items(meter)?;
    let mut rows = Vec::new();
    for row in items.chunks(count) {
        let mut row = row.to_vec();
        if let Some(fill) = &fill {
            meter.charge(count - row.len())?;
            row.resize(count, fill.clone());
        }
        rows.push(Datum::list(row, meter)?);
    }
    Datum::list(rows, meter)
}

/// That many lists, as even as can be, the longer ones first.
pub(super) fn slice(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let count = given.count("count")?;
    let fill = given.take("fill_with");
    let items = value.items(meter)?;
    meter.charge(count)?;
    let (each, longer) = (items.len() / count, items.len() % count);
    let mut rows = Vec::new();
    let mut rest = items.as_slice();
    for no in 0..count {
        let (row, after) = rest.split_at(each + usize::from(no < longer));
        rest = after;
        let mut row = row.to_vec();
        if let (Some(fill), true) = (&fill, longer > 0 && no >= longer) {
            row.push(fill.clone());
        }
        rows.push(Datum::list(row, meter)?);
    }
    Datum::list(rows, meter)
}

/// `[[key, value], ..]`
pub(super) fn pairs(value: &Datum, _: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let Datum::Map(map) = value else { return Err(format!("expected a map, got {}", value.kind())) };
    meter.charge(map.entries.len())?;
    let mut pairs = Vec::with_capacity(map.entries.len());
    for (key, datum) in &map.entries {
        pairs.push(Datum::list(vec![Datum::Text(Arc::clone(key)), datum.clone()], meter)?);
    }
    Datum::list(pairs, meter)
}

pub(super) fn dictsort(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let by = given.text("by")?;
    let minds_case = given.switch("case_sensitive")?;
    let reverse = given.switch("reverse")?;
    let place = match by.as_deref() {
        None | Some("key") => 0,
        Some("value") => 1,
        Some(_) => return Err("`by` must be 'key' or 'value'".to_owned()),
    };
    let pairs = pairs(value, &mut GivenArgs::default(), meter)?.items(meter)?;
    let mut keyed = Vec::with_capacity(pairs.len());
    for pair in pairs {
        keyed.push((key(&ops::index(&pair, &Datum::Int(place), meter)?, minds_case, meter)?, pair));
    }
    in_order(keyed, reverse, meter)
}

pub(super) fn sort(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let reverse = given.switch("reverse")?;
    let minds_case = given.switch("case_sensitive")?;
    let path = given.text("attribute")?;
    let mut keyed = Vec::new();
    for item in value.items(meter)? {
        keyed.push((key(&at(&item, path.as_deref(), meter)?, minds_case, meter)?, item));
    }
    in_order(keyed, reverse, meter)
}

fn in_order(keyed: Vec<(Datum, Datum)>, reverse: bool, meter: &mut Meter) -> Result<Datum> {
    let sorted = sorted(keyed, |(a, _), (b, _)| {
        let order = a.order(b, meter)?;
        Ok(if reverse { order.reverse() } else { order })
    })?;
    Datum::list(sorted.into_iter().map(|(_, item)| item).collect(), meter)
}

/// `[[value, items], ..]`, called `grouper` and `list`, in the order of the values.
pub(super) fn groupby(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let path = given.need_text("attribute")?;
    let default = given.take("default");
    let minds_case = given.switch("case_sensitive")?;
    let mut keyed = Vec::new();
    for item in value.items(meter)? {
        let found = match (at(&item, Some(&path), meter), &default) {
            (Err(message), Some(default)) if message == super::NO_VALUE => default.clone(),
            (found, _) => found?,
        };
        keyed.push((key(&found, minds_case, meter)?, found, item));
    }
    let sorted = sorted(keyed, |(a, ..), (b, ..)| a.order(b, meter))?;
    let mut groups: Vec<(Datum, Datum, Vec<Datum>)> = Vec::new();
    for (key, found, item) in sorted {
        match groups.last_mut() {
            Some((last, _, items)) if last.equals(&key, meter)? => items.push(item),
            _ => groups.push((key, found, vec![item])),
        }
    }
    let mut records = Vec::with_capacity(groups.len());
    for (_, found, items) in groups {
        let items = Datum::list(items, meter)?;
        records.push(Datum::record(&["grouper", "list"], vec![found, items], meter)?);
    }
    Datum::list(records, meter)
}

pub(super) fn unique(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let minds_case = given.switch("case_sensitive")?;
    let path = given.text("attribute")?;
    let mut seen: Vec<Datum> = Vec::new();
    let mut kept = Vec::new();
    for item in value.items(meter)? {
        let key = key(&at(&item, path.as_deref(), meter)?, minds_case, meter)?;
        let mut is_new = true;
        for known in &seen {
            if known.equals(&key, meter)? {
                is_new = false;
                break;
            }
        }
        if is_new {
            seen.push(key);
            kept.push(item);
        }
    }
    Datum::list(kept, meter)
}

pub(super) fn max(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    extreme(value, given, meter, Ordering::Greater)
}

pub(super) fn min(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    extreme(value, given, meter, Ordering::Less)
}

fn extreme(value: &Datum, given: &mut GivenArgs, meter: &mut Meter, wanted: Ordering) -> Result<Datum> {
    let path = given.named("attribute").map(|path| path.to_text(meter)).transpose()?;
    let mut best: Option<(Datum, Datum)> = None;
    for item in value.items(meter)? {
        let key = at(&item, path.as_deref(), meter)?;
        let is_better = match &best {
            None => true,
            Some((other, _)) => key.order(other, meter)? == wanted,
        };
        if is_better {
            best = Some((key, item));
        }
    }
    Ok(best.map_or(Datum::Undefined, |(_, item)| item))
}

pub(super) fn sum(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let path = given.text("attribute")?;
    let mut sum = given.take("start").unwrap_or(Datum::Int(0));
    for item in value.items(meter)? {
        let number = at(&item, path.as_deref(), meter)?;
        if number.as_float().is_none() {
            return Err(format!("expected numbers, got {}", number.kind()));
        }
        sum = ops::arithmetic(&sum, Operator::Add, &number, meter)?;
    }
    Ok(sum)
}

/// Lists of one item of each list, as many as the shortest has.
pub(super) fn zip(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let mut lists = vec![value.items(meter)?];
    for other in std::mem::take(&mut given.plain) {
        lists.push(other.items(meter)?);
    }
    let count = lists.iter().map(Vec::len).min().unwrap_or(0);
    let mut rows = Vec::with_capacity(count);
    for no in 0..count {
        meter.charge(lists.len())?;
        rows.push(Datum::list(lists.iter().map(|list| list[no].clone()).collect(), meter)?);
    }
    Datum::list(rows, meter)
}

fn at(item: &Datum, path: Option<&str>, meter: &mut Meter) -> Result<Datum> {
    path.map_or_else(|| Ok(item.clone()), |path| attribute(item, path, meter))
}

/// What an item is sorted or compared by.
fn key(datum: &Datum, minds_case: bool, meter: &mut Meter) -> Result<Datum> {
    match datum.as_text() {
        Some(text) if !minds_case => without_case(text, meter),
        _ => Ok(datum.clone()),
    }
}
