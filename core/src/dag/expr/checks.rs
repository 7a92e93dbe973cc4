//! What stands behind `is`.

use super::datum::{Datum, NO_VALUE};
use super::given::GivenArgs;
use super::meter::Meter;
use super::ops::{compare, contains};
use super::tree::Comparison;

/// The names of all tests.
pub(in crate::dag) const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "even",
    "false",
    "float",
    "ge",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
    "upper",
];

/// Whether the value passes the test of that name.
pub(super) fn passes(
    name: &str,
    value: &Datum,
    mut given: GivenArgs,
    meter: &mut Meter,
) -> Result<bool, String> {
    meter.charge(1)?;
    let is_known = !matches!(value, Datum::Undefined);
    let passed = match name {
        "defined" => is_known,
        "undefined" => !is_known,
        _ if !is_known => return Err(NO_VALUE.to_owned()),
        "boolean" => matches!(value, Datum::Bool(_)),
        "true" => matches!(value, Datum::Bool(true)),
        "false" => matches!(value, Datum::Bool(false)),
        "none" => matches!(value, Datum::Null),
        "number" => matches!(value, Datum::Int(_) | Datum::Float(_)),
        "integer" => matches!(value, Datum::Int(_)),
        "float" => matches!(value, Datum::Float(_)),
        "string" => value.as_text().is_some(),
        "mapping" => matches!(value, Datum::Map(_)),
        "sequence" => matches!(value, Datum::List(_)),
        "iterable" => matches!(value, Datum::List(_) | Datum::Map(_) | Datum::Text(_) | Datum::Raw(_)),
        "even" | "odd" => value.as_int().is_some_and(|number| (number % 2 != 0) == (name == "odd")),
        "lower" => every_sign(value, char::is_lowercase, meter)?,
        "upper" => every_sign(value, char::is_uppercase, meter)?,
        "in" => contains(&given.need("value")?, value, meter)?,
        "divisibleby" => {
            let by = given.int("num")?.unwrap_or(0);
            value.as_int().is_some_and(|number| by != 0 && number % by == 0)
        }
        "startingwith" | "endingwith" => ends(name, value, &mut given, meter)?,
        comparison => {
            let how = match comparison {
                "eq" => Comparison::Eq,
                "ne" => Comparison::Ne,
                "lt" => Comparison::Lt,
                "le" => Comparison::Le,
                "gt" => Comparison::Gt,
                "ge" => Comparison::Ge,
                unknown => return Err(format!("unknown test `{}`", super::super::error::cut(unknown))),
            };
            compare(value, how, &given.need("other")?, meter)?
        }
    };
    given.end()?;
    Ok(passed)
}

fn every_sign(value: &Datum, is: fn(char) -> bool, meter: &mut Meter) -> Result<bool, String> {
    let Some(text) = value.as_text() else { return Ok(false) };
    meter.bytes(text.len())?;
    Ok(text.chars().all(is))
}

fn ends(name: &str, value: &Datum, given: &mut GivenArgs, meter: &mut Meter) -> Result<bool, String> {
    let part = given.need_text("value")?;
    meter.bytes(part.len())?;
    let Some(text) = value.as_text() else { return Ok(false) };
    Ok(if name == "startingwith" { text.starts_with(&*part) } else { text.ends_with(&*part) })
}
