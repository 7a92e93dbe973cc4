//! Filters and functions. Each charges what it is about to make or to look at.

use std::sync::Arc;

use indexmap::IndexMap;

use super::datum::{Datum, NO_VALUE};
use super::given::GivenArgs;
use super::items::attribute;
use super::meter::Meter;
use super::{checks, lists, texts};

type Result<T> = std::result::Result<T, String>;
type Filter = fn(&Datum, &mut GivenArgs, &mut Meter) -> Result<Datum>;

macro_rules! filters {
    ($($name:literal => $filter:expr),+ $(,)?) => {
        /// The names of all filters.
        pub(in crate::dag) const FILTERS: &[&str] = &[$($name),+];
        const TABLE: &[(&str, Filter)] = &[$(($name, $filter)),+];
    };
}

filters! {
    "abs" => abs, "batch" => lists::batch, "bool" => boolean, "capitalize" => texts::capitalize, "count" => length,
    "d" => default, "default" => default, "dictsort" => lists::dictsort, "first" => lists::first, "float" => float,
    "groupby" => lists::groupby, "int" => int, "items" => lists::pairs, "join" => texts::join, "last" => lists::last,
    "length" => length, "lines" => texts::lines, "list" => lists::list, "lower" => texts::lower, "map" => map,
    "max" => lists::max, "min" => lists::min, "raw" => raw, "reject" => reject, "rejectattr" => rejectattr,
    "replace" => texts::replace, "reverse" => lists::reverse, "round" => round, "select" => select,
    "selectattr" => selectattr, "slice" => lists::slice, "sort" => lists::sort, "split" => texts::split,
    "strftime" => texts::strftime, "string" => string, "sum" => lists::sum, "title" => texts::title,
    "tojson" => tojson, "trim" => texts::trim, "unique" => lists::unique, "upper" => texts::upper,
    "zip" => lists::zip,
}

/// What the filter of that name makes of a value.
pub(super) fn apply(name: &str, value: &Datum, mut given: GivenArgs, meter: &mut Meter) -> Result<Datum> {
    meter.charge(1)?;
    let is_default = matches!(name, "d" | "default");
    if matches!(value, Datum::Undefined) && !is_default {
        return Err(NO_VALUE.to_owned());
    }
    let known = TABLE.binary_search_by(|(known, _)| known.cmp(&name));
    let Some((_, filter)) = known.ok().and_then(|at| TABLE.get(at)) else {
        return Err(format!("unknown filter `{}`", super::super::error::cut(name)));
    };
    let made = filter(value, &mut given, meter)?;
    given.end()?;
    Ok(made)
}

fn default(value: &Datum, given: &mut GivenArgs, _: &mut Meter) -> Result<Datum> {
    let other = given.take("default_value").unwrap_or_else(|| Datum::text(""));
    let also_if_false = given.switch("boolean")?;
    let is_missing = match value {
        Datum::Undefined => true,
        value => also_if_false && !value.is_true()?,
    };
    Ok(if is_missing { other } else { value.clone() })
}

fn length(value: &Datum, _: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    Ok(Datum::Int(value.len(meter)? as i128))
}

fn boolean(value: &Datum, _: &mut GivenArgs, _: &mut Meter) -> Result<Datum> {
    value.is_true().map(Datum::Bool)
}

/// The value goes into a script as it is.
fn raw(value: &Datum, _: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    value.to_text(meter).map(Datum::Raw)
}

/// The text that the value would be in a template.
fn string(value: &Datum, _: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    value.to_text(meter).map(Datum::Text)
}

fn tojson(value: &Datum, _: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let mut text = String::new();
    value.write_json(&mut text, meter)?;
    Ok(Datum::text(text))
}

fn abs(value: &Datum, _: &mut GivenArgs, _: &mut Meter) -> Result<Datum> {
    match value {
        Datum::Int(number) => Datum::int(number.abs()),
        Datum::Float(number) => Datum::float(number.abs()),
        other => Err(format!("expected a number, got {}", other.kind())),
    }
}

fn int(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let default = given.take("default");
    let whole = |number: f64| number.is_finite().then_some(number.trunc() as i128);
    let made = match value {
        Datum::Null => Some(0),
        Datum::Float(number) => whole(*number),
        Datum::Text(text) | Datum::Raw(text) => {
            meter.bytes(text.len())?;
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse().ok().and_then(whole))
        }
        other => other.as_int(),
    };
    number(made.map(Datum::int), default, value, "a whole number")
}

fn float(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let default = given.take("default");
    let made = match value {
        Datum::Null => Some(0.0),
        Datum::Text(text) | Datum::Raw(text) => {
            meter.bytes(text.len())?;
            text.trim().parse().ok()
        }
        other => other.as_float(),
    };
    number(made.map(Datum::float), default, value, "a number")
}

fn number(made: Option<Result<Datum>>, default: Option<Datum>, value: &Datum, what: &str) -> Result<Datum> {
    match (made, default) {
        (Some(Ok(number)), _) => Ok(number),
        (_, Some(default)) => Ok(default),
        (Some(Err(message)), None) => Err(message),
        (None, None) => match value.as_text() {
            Some(text) => Err(format!("`{}` is not {what}", super::super::error::cut(text))),
            None => Err(format!("{} is not {what}", value.kind())),
        },
    }
}

/// Most digits before or behind the point that a number is rounded to.
const DIGITS_MAX: i128 = 300;

fn round(value: &Datum, given: &mut GivenArgs, _: &mut Meter) -> Result<Datum> {
    let digits = given.int("precision")?.unwrap_or(0);
    if digits.abs() > DIGITS_MAX {
        return Err(format!("`precision` must be within {DIGITS_MAX} digits"));
    }
    match value {
        Datum::Int(_) => Ok(value.clone()),
        Datum::Float(number) => {
            let factor = 10_f64.powi(digits as i32);
            let scaled = number * factor;
            // A number too large to be scaled has no digits there.
            if scaled.is_finite() { Datum::float(scaled.round() / factor) } else { Ok(value.clone()) }
        }
        other => Err(format!("expected a number, got {}", other.kind())),
    }
}

/// `map("upper")` or `map(attribute="name", default=0)`.
fn map(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let items = value.items(meter)?;
    let mut made = Vec::with_capacity(items.len());
    if let Some(path) = given.named("attribute") {
        let path = path.to_text(meter)?;
        let default = given.named("default");
        for item in &items {
            made.push(match (attribute(item, &path, meter), &default) {
                (Err(message), Some(default)) if message == NO_VALUE => default.clone(),
                (item, _) => item?,
            });
        }
        return Datum::list(made, meter);
    }
    let name = given.need_text("filter")?;
    let (plain, named) = (std::mem::take(&mut given.plain), std::mem::take(&mut given.named));
    for item in &items {
        meter.charge(plain.len() + named.len())?;
        made.push(apply(&name, item, GivenArgs { plain: plain.clone(), named: named.clone() }, meter)?);
    }
    Datum::list(made, meter)
}

fn select(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    keep(value, None, given, meter, true)
}

fn reject(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    keep(value, None, given, meter, false)
}

fn selectattr(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let path = given.need_text("attribute")?;
    keep(value, Some(&path), given, meter, true)
}

fn rejectattr(value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let path = given.need_text("attribute")?;
    keep(value, Some(&path), given, meter, false)
}

/// The items that pass a test, or that are true without one.
fn keep(
    value: &Datum,
    path: Option<&str>,
    given: &mut GivenArgs,
    meter: &mut Meter,
    wanted: bool,
) -> Result<Datum> {
    let test = given.text("test")?;
    let (plain, named) = (std::mem::take(&mut given.plain), std::mem::take(&mut given.named));
    let mut kept = Vec::new();
    for item in value.items(meter)? {
        let tested = match path {
            // A missing attribute is nothing that is true, and may be tested for.
            Some(path) => match attribute(&item, path, meter) {
                Err(message) if message == NO_VALUE => Datum::Undefined,
                found => found?,
            },
            None => item.clone(),
        };
        meter.charge(plain.len() + named.len())?;
        let passes = match &test {
            Some(test) => checks::passes(
                test,
                &tested,
                GivenArgs { plain: plain.clone(), named: named.clone() },
                meter,
            )?,
            None => !matches!(tested, Datum::Undefined) && tested.is_true()?,
        };
        if passes == wanted {
            kept.push(item);
        }
    }
    Datum::list(kept, meter)
}

/// `range(3)`, `range(1, 4)`, `range(10, 0, -2)`.
pub(super) fn range(mut given: GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let first = given.int("start")?.ok_or("`range` needs a whole number")?;
    let second = given.int("stop")?;
    let step = given.int("step")?.unwrap_or(1);
    given.end()?;
    let (from, to) = second.map_or((0, first), |to| (first, to));
    if step == 0 {
        return Err("`range` cannot go on by 0".to_owned());
    }
    let distance = if step > 0 { to - from } else { from - to }.max(0);
    let count = usize::try_from((distance + step.abs() - 1) / step.abs()).unwrap_or(usize::MAX);
    meter.charge(count)?;
    Datum::list((0..count).map(|no| Datum::Int(from + step * no as i128)).collect(), meter)
}

/// `dict(a=1, b=2)`, `dict(map, a=1)`.
pub(super) fn dict(mut given: GivenArgs, meter: &mut Meter) -> Result<Datum> {
    let mut entries: IndexMap<Arc<str>, Datum> = match given.plain.pop_front() {
        None => IndexMap::new(),
        Some(Datum::Map(map)) => {
            meter.charge(map.entries.len())?;
            map.entries.clone()
        }
        Some(other) => return Err(format!("`dict` expects a map, got {}", other.kind())),
    };
    for (name, datum) in std::mem::take(&mut given.named) {
        if matches!(datum, Datum::Undefined) {
            return Err(NO_VALUE.to_owned());
        }
        meter.bytes(name.len())?;
        entries.insert(Arc::from(name), datum);
    }
    given.end()?;
    Datum::map(entries, meter)
}
