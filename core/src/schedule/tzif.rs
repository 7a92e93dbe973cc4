//! Reads a zone file (TZif, RFC 9636) into stretches. The format is jiff's matter; what a schedule can live with is this
//! module's: no leap seconds, offsets below a day, ascending changes, and not too many of them. Opens no file.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::zone::{DAY, FAR, LAST, Stretch};

/// Most bytes of a zone file. The largest of 2026 has 3.5 kB.
pub const ZONE_BYTES_MAX: usize = 64 * 1024;
/// Most changes that a zone may make until 2101. Morocco, which makes four a year, has fewer than 500.
const STRETCHES_MAX: usize = 5_000;

/// The beginning of a zone file up to the count of its leap seconds.
const MAGIC: &[u8] = b"TZif";
const LEAP_SECONDS: std::ops::Range<usize> = 28..32;

/// Whether `bytes` begin as a zone file that counts no leap seconds; why not, in words.
pub(super) fn check_head(bytes: &[u8]) -> Result<(), String> {
    if !bytes.starts_with(MAGIC) {
        return Err("it is no zone file".to_owned());
    }
    if bytes.len() > ZONE_BYTES_MAX {
        return Err(format!("it has more than {ZONE_BYTES_MAX} bytes"));
    }
    match bytes.get(LEAP_SECONDS) {
        Some([0, 0, 0, 0]) => Ok(()),
        Some(_) => Err("it counts leap seconds, which UTC times of computers do not".to_owned()),
        None => Err("it ends within its header".to_owned()),
    }
}

/// The stretches of a zone file; why it cannot be used, in words.
pub(super) fn stretches(name: &str, bytes: &[u8]) -> Result<Vec<Stretch>, String> {
    check_head(bytes)?;
    let zone = TimeZone::tzif(name, bytes).map_err(|error| format!("it cannot be read: {error}"))?;
    let first = zone.to_offset_info(Timestamp::MIN);
    let mut stretches = vec![stretch(-FAR, first.offset(), first.abbreviation())?];
    for change in zone.following(Timestamp::MIN) {
        let starts = change.timestamp().as_second();
        let last = stretches.last().expect("the first stretch is there");
        if starts > LAST + 3 * DAY {
            break;
        }
        if starts <= last.starts || stretches.len() == STRETCHES_MAX {
            return Err("its changes are out of order or too many".to_owned());
        }
        let next = stretch(starts, change.offset(), change.abbreviation())?;
        if (next.offset, next.abbreviation) != (last.offset, last.abbreviation) {
            stretches.push(next);
        }
    }
    Ok(stretches)
}

fn stretch(starts: i64, offset: jiff::tz::Offset, abbreviation: &str) -> Result<Stretch, String> {
    let offset = i64::from(offset.seconds());
    if offset.abs() >= DAY {
        return Err(format!("it is {offset} s from UTC, a day or more"));
    }
    Ok(Stretch { starts, offset, abbreviation: shared(abbreviation) })
}

/// Abbreviations live as long as zones do, which is for ever: each is kept once.
fn shared(abbreviation: &str) -> &'static str {
    use std::collections::BTreeSet;
    use std::sync::{Mutex, PoisonError};
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(one) = known.get(abbreviation) {
        return one;
    }
    let one: &'static str = Box::leak(abbreviation.to_owned().into_boxed_str());
    known.insert(one);
    one
}
