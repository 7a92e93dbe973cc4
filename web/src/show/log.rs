//! A log's lines as a page shows them: number, when, from where, and the text with its terminal colours as classes.

use std::ops::Range;

use chrono::{DateTime, Utc};

use super::time::{LocalClock, grouped};
use crate::log::{LineSpan, LineWriter, Needle, StoredLine, ansi, parts};

/// Characters of a line on a page: as many as a worker puts into one.
const LINE_CHARS_MAX: usize = 16 * 1024;

/// A line.
#[derive(Debug, Clone)]
pub(crate) struct LogLine {
    /// Its place in the log, from 1.
    pub(crate) no: u64,
    pub(crate) class: &'static str,
    pub(crate) from: &'static str,
    pub(crate) at: String,
    pub(crate) iso: String,
    pub(crate) spans: Vec<LineSpan>,
    /// What is said of the rest of a line that is too long to be shown.
    pub(crate) rest: String,
}

/// A line as it is shown, with what was searched for marked.
pub(crate) fn log_line(moment: &LocalClock, line: &StoredLine, needle: Option<&Needle>) -> LogLine {
    let (stamp, text) = parts(&line.text);
    let instant = stamp.and_then(|(iso, source)| Some((iso.parse::<DateTime<Utc>>().ok()?, iso, source)));
    let text = if instant.is_some() { text } else { line.text.as_str() };
    let (class, from) = match instant {
        Some((_, _, LineWriter::Out)) => ("", "out"),
        Some((_, _, LineWriter::Err)) => ("lv-err", "err"),
        Some((_, _, LineWriter::Rota)) => ("lv-rota", "rota"),
        None => ("", ""),
    };
    let end = text.char_indices().nth(LINE_CHARS_MAX).map_or(text.len(), |(place, _)| place);
    let cut = (text.len() - end) as u64 + line.cut;
    LogLine {
        no: line.no,
        class,
        from,
        at: instant.map_or_else(String::new, |(at, _, _)| {
            at.with_timezone(&moment.zone).format("%H:%M:%S%.3f").to_string()
        }),
        iso: instant.map(|(_, iso, _)| iso.to_owned()).unwrap_or_default(),
        spans: mark(ansi(&text[..end]), needle),
        rest: if cut > 0 {
            format!(" … {} bytes more, in the download", grouped(cut))
        } else {
            String::new()
        },
    }
}

/// Marks what was searched for, whatever styles it is written in.
fn mark(spans: Vec<LineSpan>, needle: Option<&Needle>) -> Vec<LineSpan> {
    let Some(needle) = needle else { return spans };
    let text: String = spans.iter().map(|span| span.text.as_str()).collect();
    let hits = needle.hits(&text);
    if hits.is_empty() {
        return spans;
    }
    let mut out = Vec::with_capacity(spans.len() + hits.len() * 2);
    let mut at = 0;
    for span in spans {
        let end = at + span.text.len();
        out.extend(pieces(at..end, &hits).into_iter().map(|(piece, hit)| LineSpan {
            class: span.class,
            text: text[piece].to_owned(),
            hit,
        }));
        at = end;
    }
    out
}

/// A stretch of text, cut at the borders of the hits.
fn pieces(within: Range<usize>, hits: &[Range<usize>]) -> Vec<(Range<usize>, bool)> {
    let (mut out, mut at) = (Vec::new(), within.start);
    let first = hits.partition_point(|hit| hit.end <= within.start);
    for hit in hits[first..].iter().take_while(|hit| hit.start < within.end) {
        let (from, to) = (hit.start.max(at), hit.end.min(within.end));
        if at < from {
            out.push((at..from, false));
        }
        out.push((from..to, true));
        at = to;
    }
    if at < within.end {
        out.push((at..within.end, false));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, find: &str) -> Vec<(&'static str, String, bool)> {
        let needle = Needle::new(find);
        mark(ansi(text), needle.as_ref()).into_iter().map(|span| (span.class, span.text, span.hit)).collect()
    }

    #[test]
    fn terminal_colours_become_classes_and_other_codes_vanish() {
        assert_eq!(
            shown("\u{1b}[32mok\u{1b}[0m done\u{1b}[2J\u{7}", ""),
            [("ansi-green", "ok".to_owned(), false), ("", " done".to_owned(), false)]
        );
        assert_eq!(shown("\u{1b}[1;31mbad", ""), [("ansi-red", "bad".to_owned(), false)]);
        assert_eq!(shown("cut \u{1b}[3", ""), [("", "cut ".to_owned(), false)]);
    }

    #[test]
    fn hits_are_marked_also_across_colours() {
        assert_eq!(
            shown("a lock on Lock", "lock"),
            [
                ("", "a ".to_owned(), false),
                ("", "lock".to_owned(), true),
                ("", " on ".to_owned(), false),
                ("", "Lock".to_owned(), true)
            ]
        );
        assert_eq!(
            shown("\u{1b}[31mtime\u{1b}[0mout, \u{1b}[1mtimeout", "timeout"),
            [
                ("ansi-red", "time".to_owned(), true),
                ("", "out".to_owned(), true),
                ("", ", ".to_owned(), false),
                ("ansi-bold", "timeout".to_owned(), true)
            ]
        );
    }

    #[test]
    fn lines_say_when_and_from_where() {
        let moment = LocalClock {
            now: DateTime::UNIX_EPOCH,
            zone: rota_core::schedule::Zone::named("Europe/Berlin").expect("a zone"),
        };
        let line = |text: &str| log_line(&moment, &StoredLine { no: 7, text: text.to_owned(), cut: 0 }, None);
        let out = line("2026-11-20T13:00:00.123456Z out hello world");
        assert_eq!((out.at.as_str(), out.from, out.no), ("14:00:00.123", "out", 7));
        assert_eq!(out.spans[0].text, "hello world");
        let said = line("2026-11-20T13:00:01.000000Z sys ended");
        assert_eq!((said.class, said.from), ("lv-rota", "rota"));
        for bare in [
            "bare",
            "2026-99-20T13:00:01.000000Z out x",
            "2026-11-20T13:00:01.000000Z odd x",
            "ü".repeat(40).as_str(),
        ] {
            let shown = line(bare);
            assert_eq!((shown.at.as_str(), shown.spans[0].text.as_str()), ("", bare));
        }
        assert_eq!(line("2026-11-20T13:00:01.000000Z out ").spans, []);
    }

    #[test]
    fn a_line_that_is_too_long_says_how_much_is_not_shown() {
        let moment = LocalClock { now: DateTime::UNIX_EPOCH, zone: rota_core::schedule::Zone::UTC };
        let line = StoredLine { no: 1, text: "ü".repeat(LINE_CHARS_MAX + 10), cut: 1000 };
        assert_eq!(log_line(&moment, &line, None).rest, " … 1,020 bytes more, in the download");
    }
}
