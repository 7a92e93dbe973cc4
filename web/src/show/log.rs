//! An attempt's log, line by line: when, from where, and the text with its terminal colours as classes.

use chrono::{DateTime, Utc};

use super::time::Moment;

/// Lines on a page; the newest are kept.
pub(crate) const LINES_MAX: usize = 1000;
/// Characters of a line on a page.
const LINE_CHARS_MAX: usize = 4000;

/// A piece of text in one style. The class comes from a fixed list, or is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) class: &'static str,
    pub(crate) text: String,
    /// Whether it is what was searched for.
    pub(crate) hit: bool,
}

/// A line.
#[derive(Debug, Clone)]
pub(crate) struct LogLine {
    /// Its place in the log, where the log is shown from its start.
    pub(crate) no: Option<usize>,
    pub(crate) class: &'static str,
    pub(crate) from: &'static str,
    pub(crate) at: String,
    pub(crate) iso: String,
    pub(crate) spans: Vec<Span>,
}

/// The lines of a text as [`rota_core::port::LogChunk`] has it. `first` is the number of its first line, if it is known.
pub(crate) fn lines(moment: &Moment, text: &str, first: Option<usize>, find: &str) -> Vec<LogLine> {
    let all: Vec<&str> = text.lines().collect();
    let skipped = all.len().saturating_sub(LINES_MAX);
    let one = |(place, line): (usize, &&str)| log_line(moment, line, first.map(|first| first + place), find);
    all.iter().enumerate().skip(skipped).map(one).collect()
}

fn log_line(moment: &Moment, line: &str, no: Option<usize>, find: &str) -> LogLine {
    let (iso, rest) = line.split_once(' ').unwrap_or(("", line));
    let instant: Option<DateTime<Utc>> = iso.parse().ok();
    let (word, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let (class, from, text) = match (instant, word) {
        (Some(_), "out") => ("", "out", text),
        (Some(_), "err") => ("lv-err", "err", text),
        (Some(_), "sys") => ("lv-rota", "rota", text),
        _ => ("", "", line),
    };
    let at = instant.map(|at| at.with_timezone(&moment.zone).format("%H:%M:%S%.3f").to_string());
    let shown: String = text.chars().take(LINE_CHARS_MAX).collect();
    LogLine {
        no,
        class,
        from,
        at: at.unwrap_or_default(),
        iso: instant.map(|_| iso.to_owned()).unwrap_or_default(),
        spans: mark(ansi(&shown), find),
    }
}

/// Splits a text at terminal colour codes; every other escape sequence and control character is dropped.
fn ansi(text: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut class = "";
    let mut current = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' && chars.peek() == Some(&'[') {
            chars.next();
            let mut code = String::new();
            let end = loop {
                match chars.next() {
                    Some(c) if ('@'..='~').contains(&c) => break Some(c),
                    Some(c) => code.push(c),
                    None => break None,
                }
            };
            if end == Some('m') {
                flush(&mut spans, class, &mut current);
                class = style(&code, class);
            }
        } else if c == '\t' || !c.is_control() {
            current.push(c);
        }
    }
    flush(&mut spans, class, &mut current);
    spans
}

fn flush(spans: &mut Vec<Span>, class: &'static str, current: &mut String) {
    if !current.is_empty() {
        spans.push(Span { class, text: std::mem::take(current), hit: false });
    }
}

/// The class after a colour code; the last known part of it wins.
fn style(code: &str, before: &'static str) -> &'static str {
    code.split(';').fold(before, |class, part| match part {
        "" | "0" | "00" | "22" | "39" => "",
        "1" | "01" => "ansi-bold",
        "2" | "02" | "90" => "ansi-dim",
        "31" | "91" => "ansi-red",
        "32" | "92" => "ansi-green",
        "33" | "93" => "ansi-yellow",
        "34" | "94" => "ansi-blue",
        "35" | "95" => "ansi-magenta",
        "36" | "96" => "ansi-cyan",
        _ => class,
    })
}

/// Marks what was searched for, within single spans.
fn mark(spans: Vec<Span>, find: &str) -> Vec<Span> {
    if find.is_empty() {
        return spans;
    }
    let mut out = Vec::with_capacity(spans.len());
    for span in spans {
        let mut rest = span.text.as_str();
        while let Some(at) = rest.find(find) {
            let (before, hit) = (&rest[..at], &rest[at..at + find.len()]);
            if !before.is_empty() {
                out.push(Span { class: span.class, text: before.to_owned(), hit: false });
            }
            out.push(Span { class: span.class, text: hit.to_owned(), hit: true });
            rest = &rest[at + find.len()..];
        }
        if !rest.is_empty() {
            out.push(Span { class: span.class, text: rest.to_owned(), hit: false });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, find: &str) -> Vec<(&'static str, String, bool)> {
        mark(ansi(text), find).into_iter().map(|span| (span.class, span.text, span.hit)).collect()
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
    fn hits_are_marked() {
        assert_eq!(
            shown("a lock on lock", "lock"),
            [
                ("", "a ".to_owned(), false),
                ("", "lock".to_owned(), true),
                ("", " on ".to_owned(), false),
                ("", "lock".to_owned(), true)
            ]
        );
    }

    #[test]
    fn lines_say_when_and_from_where() {
        let moment = Moment { now: DateTime::UNIX_EPOCH, zone: chrono_tz::Europe::Berlin };
        let text = "2026-11-20T13:00:00.123456Z out hello world\n2026-11-20T13:00:01.000000Z sys ended\nbare";
        let lines = lines(&moment, text, Some(1), "");
        assert_eq!((lines[0].at.as_str(), lines[0].from, lines[0].no), ("14:00:00.123", "out", Some(1)));
        assert_eq!(lines[0].spans[0].text, "hello world");
        assert_eq!((lines[1].class, lines[1].from), ("lv-rota", "rota"));
        assert_eq!((lines[2].at.as_str(), lines[2].spans[0].text.as_str()), ("", "bare"));
    }
}
