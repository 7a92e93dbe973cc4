//! The first part of a stored line: `2026-11-20T13:00:00.123456Z out `.

use chrono::{DateTime, SecondsFormat, Utc};

use super::lines::{LINE_BYTES_MAX, Stream, lines_of};

/// Most text of a chunk.
pub(super) const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Length of a stamp.
pub(super) const STAMP_BYTES: usize = 32;
/// Room of the longest stored line: a byte that is no UTF-8 becomes three.
const _: () = assert!(3 * LINE_BYTES_MAX + STAMP_BYTES + 1 < CHUNK_BYTES_MAX);

/// `2026-11-20T13:00:00.123456Z out `, for the lines of one block.
pub(super) fn stamp(at: DateTime<Utc>, stream: Stream) -> String {
    let mut stamp = at.to_rfc3339_opts(SecondsFormat::Micros, true);
    stamp.push(' ');
    stamp.push_str(stream.as_str());
    stamp.push(' ');
    stamp
}

/// Appends the lines of a block as they are stored.
pub(super) fn append(text: &mut String, at: DateTime<Utc>, stream: Stream, block: &[u8]) {
    let stamp = stamp(at, stream);
    for line in lines_of(block) {
        text.push_str(&stamp);
        text.push_str(&line);
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_lines_look_as_documented() {
        let at = DateTime::parse_from_rfc3339("2026-11-20T13:00:00.123456Z").map(|at| at.to_utc());
        let mut text = String::new();
        append(&mut text, at.expect("a valid instant"), Stream::Err, b"one\n\ntwo\n");
        let stamp = "2026-11-20T13:00:00.123456Z err ";
        assert_eq!(text, format!("{stamp}one\n{stamp}\n{stamp}two\n"));
        assert_eq!(stamp.len(), STAMP_BYTES);
    }
}
