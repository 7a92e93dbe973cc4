//! Operators, indices and slices. What they make is charged before it is made.

use std::cmp::Ordering;

use super::datum::{Datum, NO_VALUE};
use super::meter::Meter;
use super::tree::{Comparison, Operator};

const TOO_LARGE: &str = "a whole number has more than 64 bits";

/// `a <operator> b`.
pub(super) fn arithmetic(
    a: &Datum,
    operator: Operator,
    b: &Datum,
    meter: &mut Meter,
) -> Result<Datum, String> {
    if matches!(a, Datum::Undefined) || matches!(b, Datum::Undefined) {
        return Err(NO_VALUE.to_owned());
    }
    match operator {
        Operator::Concat => concat(a, b, meter),
        Operator::Add if !is_number(a) => joined(a, b, meter),
        Operator::Mul if !is_number(a) => repeated(a, b, meter),
        Operator::Mul if !is_number(b) => repeated(b, a, meter),
        operator => numbers(a, operator, b),
    }
}

fn is_number(datum: &Datum) -> bool {
    datum.as_float().is_some()
}

fn numbers(a: &Datum, operator: Operator, b: &Datum) -> Result<Datum, String> {
    let (Some(x), Some(y)) = (a.as_float(), b.as_float()) else { return Err(mismatch(a, operator, b)) };
    let divides = matches!(operator, Operator::Div | Operator::FloorDiv | Operator::Rem);
    if divides && y == 0.0 {
        return Err("division by zero".to_owned());
    }
    if let (Some(a), Some(b)) = (a.as_int(), b.as_int())
        && let Some(whole) = whole_numbers(a, operator, b)
    {
        return whole.map_or_else(|| Err(TOO_LARGE.to_owned()), Datum::int);
    }
    Datum::float(match operator {
        Operator::Add => x + y,
        Operator::Sub => x - y,
        Operator::Mul => x * y,
        Operator::Div => x / y,
        Operator::FloorDiv => (x / y).floor(),
        Operator::Rem => x - y * (x / y).floor(),
        Operator::Pow | Operator::Concat => x.powf(y),
    })
}

/// The result of whole numbers, none within if it has too many bits; none for what makes no whole number.
fn whole_numbers(a: i128, operator: Operator, b: i128) -> Option<Option<i128>> {
    // As Python has them: the quotient is the next whole number below, the rest has the divisor's sign.
    let floor = || a.div_euclid(b) - i128::from(b < 0 && a.rem_euclid(b) != 0);
    match operator {
        Operator::Add => Some(a.checked_add(b)),
        Operator::Sub => Some(a.checked_sub(b)),
        Operator::Mul => Some(a.checked_mul(b)),
        Operator::FloorDiv => Some(Some(floor())),
        Operator::Rem => Some(Some(a - b * floor())),
        Operator::Pow if b >= 0 => Some(u32::try_from(b).ok().and_then(|power| a.checked_pow(power))),
        Operator::Pow | Operator::Div | Operator::Concat => None,
    }
}

fn concat(a: &Datum, b: &Datum, meter: &mut Meter) -> Result<Datum, String> {
    let mut text = String::new();
    a.write_text(&mut text, meter)?;
    b.write_text(&mut text, meter)?;
    Ok(Datum::text(text))
}

fn joined(a: &Datum, b: &Datum, meter: &mut Meter) -> Result<Datum, String> {
    if let (Some(_), Some(_)) = (a.as_text(), b.as_text()) {
        return concat(a, b, meter);
    }
    let (Datum::List(first), Datum::List(second)) = (a, b) else {
        return Err(mismatch(a, Operator::Add, b));
    };
    meter.charge(first.items.len() + second.items.len())?;
    Datum::list(first.items.iter().chain(&second.items).cloned().collect(), meter)
}

/// A text or a list so many times in a row.
fn repeated(what: &Datum, times: &Datum, meter: &mut Meter) -> Result<Datum, String> {
    let Datum::Int(times) = times else { return Err(mismatch(what, Operator::Mul, times)) };
    let times = usize::try_from((*times).max(0)).unwrap_or(usize::MAX);
    match what {
        Datum::List(list) => {
            let count = list.items.len().saturating_mul(times);
            meter.charge(count)?;
            Datum::list(list.items.iter().cycle().take(count).cloned().collect(), meter)
        }
        Datum::Text(text) | Datum::Raw(text) => {
            meter.bytes(text.len().saturating_mul(times))?;
            Ok(Datum::text(if text.is_empty() { String::new() } else { text.repeat(times) }))
        }
        other => Err(format!("{} cannot be multiplied", other.kind())),
    }
}

fn mismatch(a: &Datum, operator: Operator, b: &Datum) -> String {
    let (sign, hint) = match operator {
        Operator::Add => ("+", "; `~` joins texts"),
        Operator::Sub => ("-", ""),
        Operator::Concat => ("~", ""),
        Operator::Mul => ("*", ""),
        Operator::Div => ("/", ""),
        Operator::FloorDiv => ("//", ""),
        Operator::Rem => ("%", ""),
        Operator::Pow => ("**", ""),
    };
    format!("`{sign}` cannot be done with {} and {}{hint}", a.kind(), b.kind())
}

/// `-a`.
pub(super) fn negative(datum: &Datum) -> Result<Datum, String> {
    match datum {
        Datum::Float(number) => Datum::float(-number),
        other => match other.as_int() {
            Some(number) => Datum::int(-number),
            None => Err(format!("{} has no negative", other.kind())),
        },
    }
}

/// `a <comparison> b`.
pub(super) fn compare(a: &Datum, how: Comparison, b: &Datum, meter: &mut Meter) -> Result<bool, String> {
    Ok(match how {
        Comparison::Eq => a.equals(b, meter)?,
        Comparison::Ne => !a.equals(b, meter)?,
        Comparison::Lt => a.order(b, meter)? == Ordering::Less,
        Comparison::Le => a.order(b, meter)? != Ordering::Greater,
        Comparison::Gt => a.order(b, meter)? == Ordering::Greater,
        Comparison::Ge => a.order(b, meter)? != Ordering::Less,
        Comparison::In => contains(b, a, meter)?,
        Comparison::NotIn => !contains(b, a, meter)?,
    })
}

/// Whether `whole` has `part`: an item, a key or a part of a text.
pub(super) fn contains(whole: &Datum, part: &Datum, meter: &mut Meter) -> Result<bool, String> {
    match whole {
        Datum::List(list) => {
            for item in &list.items {
                if item.equals(part, meter)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Datum::Map(map) => {
            let Some(key) = part.as_text() else { return Ok(false) };
            meter.bytes(key.len())?;
            Ok(map.entries.contains_key(key))
        }
        Datum::Text(text) | Datum::Raw(text) => {
            let part = part.as_text().ok_or_else(|| format!("{} is no part of a text", part.kind()))?;
            meter.bytes(text.len() + part.len())?;
            Ok(text.contains(&**part))
        }
        Datum::Undefined => Err(NO_VALUE.to_owned()),
        other => Err(format!("`in` expects a list, a map or a text, got {}", other.kind())),
    }
}

/// `value[key]`; no value if there is none.
pub(super) fn index(value: &Datum, key: &Datum, meter: &mut Meter) -> Result<Datum, String> {
    if let Some(name) = key.as_text() {
        return value.entry(name, meter);
    }
    let Some(number) = key.as_int() else {
        return Err(format!("an index is a number or a text, got {}", key.kind()));
    };
    let place = |count: usize| {
        let number = if number < 0 { number + i128::try_from(count).unwrap_or(i128::MAX) } else { number };
        usize::try_from(number).ok().filter(|place| *place < count)
    };
    match value {
        Datum::Undefined => Err(NO_VALUE.to_owned()),
        Datum::List(list) => {
            Ok(place(list.items.len()).map_or(Datum::Undefined, |at| list.items[at].clone()))
        }
        Datum::Text(text) | Datum::Raw(text) => {
            let at = place(value.len(meter)?);
            let sign = at.and_then(|at| text.chars().nth(at));
            Ok(sign.map_or(Datum::Undefined, |sign| Datum::text(sign.to_string())))
        }
        _ => Ok(Datum::Undefined),
    }
}

/// The bounds of a slice as they were given.
pub(super) struct Bounds {
    pub(super) from: Option<Datum>,
    pub(super) to: Option<Datum>,
    pub(super) by: Option<Datum>,
}

/// `value[from:to:by]`, as Python has it.
pub(super) fn slice(value: &Datum, bounds: &Bounds, meter: &mut Meter) -> Result<Datum, String> {
    match value {
        Datum::Null => Datum::list(Vec::new(), meter),
        Datum::List(list) => {
            let places = bounds.places(list.items.len(), meter)?;
            Datum::list(places.into_iter().map(|at| list.items[at].clone()).collect(), meter)
        }
        Datum::Text(text) | Datum::Raw(text) => {
            meter.bytes(text.len().saturating_mul(4))?;
            let signs: Vec<char> = text.chars().collect();
            let places = bounds.places(signs.len(), meter)?;
            Ok(Datum::text(places.into_iter().map(|at| signs[at]).collect::<String>()))
        }
        Datum::Undefined => Err(NO_VALUE.to_owned()),
        other => Err(format!("{} cannot be cut into pieces", other.kind())),
    }
}

impl Bounds {
    /// The places that the slice takes of `count`, in its order.
    fn places(&self, count: usize, meter: &mut Meter) -> Result<Vec<usize>, String> {
        let count = i128::try_from(count).unwrap_or(i128::MAX);
        let by = bound(self.by.as_ref())?.unwrap_or(1);
        if by == 0 {
            return Err("a slice cannot go on by 0".to_owned());
        }
        let (lowest, highest) = if by > 0 { (0, count) } else { (-1, count - 1) };
        let within = |given: Option<i128>, default: i128| match given {
            None => default,
            Some(place) => (if place < 0 { place + count } else { place }).clamp(lowest, highest),
        };
        let (first, last) = if by > 0 { (lowest, highest) } else { (highest, lowest) };
        let from = within(bound(self.from.as_ref())?, first);
        let to = within(bound(self.to.as_ref())?, last);
        let mut places = Vec::new();
        let mut at = from;
        while if by > 0 { at < to } else { at > to } {
            meter.charge(1)?;
            places.extend(usize::try_from(at));
            at += by;
        }
        Ok(places)
    }
}

fn bound(given: Option<&Datum>) -> Result<Option<i128>, String> {
    match given {
        None | Some(Datum::Null) => Ok(None),
        Some(Datum::Int(number)) => Ok(Some(*number)),
        Some(other) => Err(format!("a slice's bound is a whole number, got {}", other.kind())),
    }
}
