//! What several filters do with the items of a list: look into them, and sort them.

use std::cmp::Ordering;

use super::datum::{Datum, NO_VALUE};
use super::meter::Meter;
use super::ops;

type Result<T> = std::result::Result<T, String>;

/// What an item has at a path such as `size.width` or `0`.
pub(super) fn attribute(item: &Datum, path: &str, meter: &mut Meter) -> Result<Datum> {
    let mut at = item.clone();
    for part in path.split('.') {
        meter.bytes(part.len())?;
        at = match part.parse::<u64>() {
            Ok(number) => ops::index(&at, &Datum::Int(number.into()), meter)?,
            Err(_) => at.entry(part, meter)?,
        };
    }
    if matches!(at, Datum::Undefined) { Err(NO_VALUE.to_owned()) } else { Ok(at) }
}

/// Sorts by merging; the standard library's sort must not be stopped in between, and this one is when the steps are up.
pub(super) fn sorted<T: Clone>(
    items: Vec<T>,
    mut order: impl FnMut(&T, &T) -> Result<Ordering>,
) -> Result<Vec<T>> {
    let (mut from, mut width) = (items, 1);
    while width < from.len() {
        let mut to = Vec::with_capacity(from.len());
        for pair in from.chunks(width * 2) {
            let (mut left, mut right) = pair.split_at(width.min(pair.len()));
            while let ([a, rest_a @ ..], [b, rest_b @ ..]) = (left, right) {
                if order(a, b)? == Ordering::Greater {
                    to.push(b.clone());
                    right = rest_b;
                } else {
                    to.push(a.clone());
                    left = rest_a;
                }
            }
            to.extend(left.iter().chain(right).cloned());
        }
        from = to;
        width *= 2;
    }
    Ok(from)
}
