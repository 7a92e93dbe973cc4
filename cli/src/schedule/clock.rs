//! What a change of a zone's clock means for a slot, in words.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};

/// A change this long before a slot is no news any more.
const NEWS: TimeDelta = TimeDelta::hours(25);

/// What there is to say of `slot`, which follows `before`: that the clock was changed since then, and which of two equal
/// local times it is.
pub(super) fn note<Z: TimeZone>(before: DateTime<Utc>, slot: DateTime<Utc>, zone: &Z) -> Option<String> {
    let notes: Vec<String> =
        changed(before.max(slot - NEWS), slot, zone).into_iter().chain(pass(slot, zone)).collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// The change of the clock after `from` and at or before `to`.
fn changed<Z: TimeZone>(from: DateTime<Utc>, to: DateTime<Utc>, zone: &Z) -> Option<String> {
    let offset = |at: DateTime<Utc>| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc();
    let (before, after) = (offset(from), offset(to));
    if before == after {
        return None;
    }
    let (mut same, mut other) = (from, to);
    while other - same > TimeDelta::seconds(1) {
        let middle = same + (other - same) / 2;
        if offset(middle) == before { same = middle } else { other = middle }
    }
    let at = DateTime::from_timestamp(other.timestamp(), 0)?.naive_utc();
    let local = |offset: i32| clock(at + TimeDelta::seconds(offset.into()));
    Some(if after > before {
        format!("the clock skips {} to {}", local(before), local(after))
    } else {
        format!("the clock repeats {} to {}", local(after), local(before))
    })
}

/// Which one it is, where its local time comes twice.
fn pass<Z: TimeZone>(slot: DateTime<Utc>, zone: &Z) -> Option<String> {
    let local = slot.with_timezone(zone).naive_local();
    let MappedLocalTime::Ambiguous(first, _) = zone.from_local_datetime(&local) else { return None };
    let which = if first.with_timezone(&Utc) == slot { "first" } else { "second" };
    Some(format!("the {which} {}", clock(local)))
}

fn clock(local: NaiveDateTime) -> String {
    let has_seconds = local.and_utc().timestamp() % 60 != 0;
    local.format(if has_seconds { "%H:%M:%S" } else { "%H:%M" }).to_string()
}
