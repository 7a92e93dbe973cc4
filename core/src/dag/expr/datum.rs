//! The values of templates. Lists and maps are shared, never changed, and nested at most [`NESTING_MAX`] deep, so that
//! comparing, writing and dropping one needs little stack.

use std::cmp::Ordering;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Number, Value};

use super::meter::Meter;

/// Deepest nesting of lists and maps.
const NESTING_MAX: u8 = 64;

/// Steps for a list or map beyond its items.
const CONTAINER_STEPS: usize = 2;

/// A value.
#[derive(Debug, Clone)]
pub(in crate::dag) enum Datum {
    /// No value: only `default` and the tests `defined` and `undefined` take it.
    Undefined,
    /// Nothing: `none`, JSON's `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that 64 bits hold, with or without a sign.
    Int(i128),
    /// A finite number.
    Float(f64),
    /// A text.
    Text(Arc<str>),
    /// A text that goes into a script as it is (`| raw`).
    Raw(Arc<str>),
    /// A list.
    List(Arc<Items>),
    /// A map with texts for keys, in the order in which they came.
    Map(Arc<Entries>),
}

/// The items of a list.
#[derive(Debug)]
pub(in crate::dag) struct Items {
    pub(super) items: Vec<Datum>,
    /// What the items are called as well, for lists that are records.
    names: &'static [&'static str],
    nesting: u8,
}

impl Items {
    /// The items in order.
    pub(in crate::dag) fn iter(&self) -> std::slice::Iter<'_, Datum> {
        self.items.iter()
    }
}

/// The entries of a map.
#[derive(Debug)]
pub(in crate::dag) struct Entries {
    pub(super) entries: IndexMap<Arc<str>, Datum>,
    nesting: u8,
}

impl Datum {
    pub(super) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// A whole number.
    ///
    /// # Errors
    /// More than 64 bits.
    pub(super) fn int(number: i128) -> Result<Self, String> {
        if number < i128::from(i64::MIN) || number > i128::from(u64::MAX) {
            return Err("a whole number has more than 64 bits".to_owned());
        }
        Ok(Self::Int(number))
    }

    /// Any other number.
    ///
    /// # Errors
    /// Infinite, or not a number.
    pub(super) fn float(number: f64) -> Result<Self, String> {
        if !number.is_finite() {
            return Err("a number is too large".to_owned());
        }
        Ok(Self::Float(number))
    }

    /// A list of items that are charged already.
    ///
    /// # Errors
    /// Nested too deep, or too many steps.
    pub(super) fn list(items: Vec<Self>, meter: &mut Meter) -> Result<Self, String> {
        Self::record(&[], items, meter)
    }

    /// A list whose items have names as well.
    ///
    /// # Errors
    /// Nested too deep, or too many steps.
    pub(super) fn record(
        names: &'static [&'static str],
        items: Vec<Self>,
        meter: &mut Meter,
    ) -> Result<Self, String> {
        meter.charge(CONTAINER_STEPS)?;
        let nesting = deeper(items.iter())?;
        Ok(Self::List(Arc::new(Items { items, names, nesting })))
    }

    /// A map of entries that are charged already.
    ///
    /// # Errors
    /// Nested too deep, or too many steps.
    pub(super) fn map(entries: IndexMap<Arc<str>, Self>, meter: &mut Meter) -> Result<Self, String> {
        meter.charge(CONTAINER_STEPS)?;
        let nesting = deeper(entries.values())?;
        Ok(Self::Map(Arc::new(Entries { entries, nesting })))
    }

    /// A JSON value.
    ///
    /// # Errors
    /// Nested too deep, or too many steps.
    pub(super) fn of_json(value: &Value, meter: &mut Meter) -> Result<Self, String> {
        meter.charge(1)?;
        match value {
            Value::Null => Ok(Self::Null),
            Value::Bool(is) => Ok(Self::Bool(*is)),
            Value::Number(number) => of_number(number),
            Value::String(text) => {
                meter.bytes(text.len())?;
                Ok(Self::text(text.as_str()))
            }
            Value::Array(list) => {
                let items = list.iter().map(|item| Self::of_json(item, meter)).collect::<Result<_, _>>()?;
                Self::list(items, meter)
            }
            Value::Object(map) => Self::of_map(map, meter),
        }
    }

    /// A JSON object.
    ///
    /// # Errors
    /// Nested too deep, or too many steps.
    pub(super) fn of_map(map: &Map<String, Value>, meter: &mut Meter) -> Result<Self, String> {
        let mut entries = IndexMap::new();
        for (key, item) in map {
            meter.bytes(key.len())?;
            entries.insert(Arc::from(key.as_str()), Self::of_json(item, meter)?);
        }
        Self::map(entries, meter)
    }

    /// What kind of value it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Undefined => "no value",
            Self::Null => "none",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) | Self::Raw(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    pub(in crate::dag) fn as_text(&self) -> Option<&Arc<str>> {
        match self {
            Self::Text(text) | Self::Raw(text) => Some(text),
            _ => None,
        }
    }

    /// Whole numbers, and `true` as 1.
    pub(super) fn as_int(&self) -> Option<i128> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Bool(is) => Some(i128::from(*is)),
            _ => None,
        }
    }

    /// Any number, and `true` as 1.
    pub(super) fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(number) => Some(*number),
            other => other.as_int().map(|number| number as f64),
        }
    }

    /// Whether a condition takes it for true.
    ///
    /// # Errors
    /// No value.
    pub(in crate::dag) fn is_true(&self) -> Result<bool, String> {
        Ok(match self {
            Self::Undefined => return Err(NO_VALUE.to_owned()),
            Self::Null => false,
            Self::Bool(is) => *is,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) | Self::Raw(text) => !text.is_empty(),
            Self::List(list) => !list.items.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
        })
    }

    /// How many items, entries or characters it has.
    pub(super) fn len(&self, meter: &mut Meter) -> Result<usize, String> {
        match self {
            Self::Text(text) | Self::Raw(text) => {
                meter.bytes(text.len())?;
                Ok(text.chars().count())
            }
            Self::List(list) => Ok(list.items.len()),
            Self::Map(map) => Ok(map.entries.len()),
            Self::Undefined => Err(NO_VALUE.to_owned()),
            other => Err(format!("{} has no length", other.kind())),
        }
    }

    /// What a loop over it meets: items, keys or characters. Nothing has none.
    pub(super) fn items(&self, meter: &mut Meter) -> Result<Vec<Self>, String> {
        match self {
            Self::List(list) => {
                meter.charge(list.items.len())?;
                Ok(list.items.clone())
            }
            Self::Map(map) => {
                meter.charge(map.entries.len())?;
                Ok(map.entries.keys().map(|key| Self::Text(Arc::clone(key))).collect())
            }
            Self::Text(text) | Self::Raw(text) => {
                meter.charge(text.len().saturating_mul(2))?;
                Ok(text.chars().map(|sign| Self::text(sign.encode_utf8(&mut [0; 4]) as &str)).collect())
            }
            Self::Null => Ok(Vec::new()),
            Self::Undefined => Err(NO_VALUE.to_owned()),
            other => Err(format!("{} is no list", other.kind())),
        }
    }

    /// An attribute or entry by its name; no value if there is none.
    pub(super) fn entry(&self, key: &str, meter: &mut Meter) -> Result<Self, String> {
        meter.bytes(key.len())?;
        match self {
            Self::Undefined => Err(NO_VALUE.to_owned()),
            Self::Map(map) => Ok(map.entries.get(key).cloned().unwrap_or(Self::Undefined)),
            Self::List(list) => {
                let at = list.names.iter().position(|name| *name == key);
                Ok(at.and_then(|at| list.items.get(at)).cloned().unwrap_or(Self::Undefined))
            }
            _ => Ok(Self::Undefined),
        }
    }

    /// Equality: numbers by value, all else by kind and value.
    pub(super) fn equals(&self, other: &Self, meter: &mut Meter) -> Result<bool, String> {
        meter.charge(1)?;
        match (self, other) {
            (Self::Undefined, _) | (_, Self::Undefined) => Err(NO_VALUE.to_owned()),
            (Self::List(a), Self::List(b)) => {
                if a.items.len() != b.items.len() {
                    return Ok(false);
                }
                for (a, b) in a.items.iter().zip(&b.items) {
                    if !a.equals(b, meter)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Self::Map(a), Self::Map(b)) => {
                if a.entries.len() != b.entries.len() {
                    return Ok(false);
                }
                for (key, a) in &a.entries {
                    meter.bytes(key.len())?;
                    match b.entries.get(key) {
                        Some(b) if a.equals(b, meter)? => {}
                        _ => return Ok(false),
                    }
                }
                Ok(true)
            }
            (Self::Null, Self::Null) => Ok(true),
            (a, b) => {
                let numbers = a.as_float().is_some() && b.as_float().is_some();
                let texts = a.as_text().is_some() && b.as_text().is_some();
                Ok((numbers || texts) && a.order(b, meter)? == Ordering::Equal)
            }
        }
    }

    /// Which comes first: numbers with numbers, texts with texts, lists item by item.
    ///
    /// # Errors
    /// Values of different kinds have no order.
    pub(super) fn order(&self, other: &Self, meter: &mut Meter) -> Result<Ordering, String> {
        meter.charge(1)?;
        if let (Some(a), Some(b)) = (self.as_int(), other.as_int()) {
            return Ok(a.cmp(&b));
        }
        if let (Some(a), Some(b)) = (self.as_float(), other.as_float()) {
            let exact = match (self.as_int(), other.as_int()) {
                (Some(a), None) => whole_order(a, b),
                (None, Some(b)) => whole_order(b, a).reverse(),
                _ => a.total_cmp(&b),
            };
            return Ok(if a == b && a == 0.0 { Ordering::Equal } else { exact });
        }
        if let (Some(a), Some(b)) = (self.as_text(), other.as_text()) {
            meter.bytes(a.len().min(b.len()))?;
            return Ok(a.cmp(b));
        }
        match (self, other) {
            (Self::Undefined, _) | (_, Self::Undefined) => Err(NO_VALUE.to_owned()),
            (Self::List(a), Self::List(b)) => {
                for (a, b) in a.items.iter().zip(&b.items) {
                    match a.order(b, meter)? {
                        Ordering::Equal => {}
                        unequal => return Ok(unequal),
                    }
                }
                Ok(a.items.len().cmp(&b.items.len()))
            }
            (a, b) => Err(format!("{} and {} cannot be compared", a.kind(), b.kind())),
        }
    }

    /// Appends it as text: texts as they are, nothing for none, JSON for all else.
    pub(in crate::dag) fn write_text(&self, out: &mut String, meter: &mut Meter) -> Result<(), String> {
        match self {
            Self::Undefined => Err(NO_VALUE.to_owned()),
            Self::Null => Ok(()),
            Self::Text(text) | Self::Raw(text) => {
                meter.bytes(text.len())?;
                out.push_str(text);
                Ok(())
            }
            other => other.write_json(out, meter),
        }
    }

    /// Its text, shared where it is one.
    pub(super) fn to_text(&self, meter: &mut Meter) -> Result<Arc<str>, String> {
        if let Some(text) = self.as_text() {
            return Ok(Arc::clone(text));
        }
        let mut text = String::new();
        self.write_text(&mut text, meter)?;
        Ok(text.into())
    }

    /// Appends it as JSON, as short as can be.
    pub(super) fn write_json(&self, out: &mut String, meter: &mut Meter) -> Result<(), String> {
        meter.charge(1)?;
        match self {
            Self::Undefined => return Err(NO_VALUE.to_owned()),
            Self::Null => out.push_str("null"),
            Self::Bool(is) => out.push_str(if *is { "true" } else { "false" }),
            Self::Int(number) => out.push_str(&number.to_string()),
            Self::Float(number) => out.push_str(&Value::from(*number).to_string()),
            Self::Text(text) | Self::Raw(text) => write_quoted(text, out, meter)?,
            Self::List(list) => {
                out.push('[');
                for (no, item) in list.items.iter().enumerate() {
                    out.push_str(if no > 0 { "," } else { "" });
                    item.write_json(out, meter)?;
                }
                out.push(']');
            }
            Self::Map(map) => {
                out.push('{');
                for (no, (key, item)) in map.entries.iter().enumerate() {
                    out.push_str(if no > 0 { "," } else { "" });
                    write_quoted(key, out, meter)?;
                    out.push(':');
                    item.write_json(out, meter)?;
                }
                out.push('}');
            }
        }
        Ok(())
    }
}

/// A whole number beside any other, exactly: beyond 53 bits a float has not all of them.
fn whole_order(whole: i128, float: f64) -> Ordering {
    let below = float.floor();
    // A float that is larger than all of them becomes the largest of them.
    whole.cmp(&(below as i128)).then(if float > below { Ordering::Less } else { Ordering::Equal })
}

/// What is said of a name or an attribute without a value.
pub(super) const NO_VALUE: &str = "has no value";

/// A text as JSON; each sign takes six bytes at most.
fn write_quoted(text: &str, out: &mut String, meter: &mut Meter) -> Result<(), String> {
    meter.bytes(text.len().saturating_mul(6))?;
    out.push_str(&Value::from(text).to_string());
    Ok(())
}

fn of_number(number: &Number) -> Result<Datum, String> {
    let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole, number.as_f64()) {
        (Some(whole), _) => Ok(Datum::Int(whole)),
        (None, Some(number)) => Datum::float(number),
        (None, None) => Err(format!("`{number}` is no number that can be kept")),
    }
}

fn deeper<'d>(items: impl Iterator<Item = &'d Datum>) -> Result<u8, String> {
    let of = |item: &Datum| match item {
        Datum::List(list) => list.nesting,
        Datum::Map(map) => map.nesting,
        _ => 0,
    };
    let nesting = items.map(of).max().unwrap_or(0) + 1;
    if nesting > NESTING_MAX {
        return Err(format!("a value is nested deeper than {NESTING_MAX} levels"));
    }
    Ok(nesting)
}
