//! Terminal colours in a line: as classes from a fixed list. All other control characters vanish.

/// A piece of text in one style. The class comes from a fixed list, or is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineSpan {
    pub(crate) class: &'static str,
    pub(crate) text: String,
    /// Whether it is what was searched for.
    pub(crate) hit: bool,
}

/// Splits a text at terminal colour codes; every other escape sequence and control character is dropped.
pub(crate) fn ansi(text: &str) -> Vec<LineSpan> {
    let mut spans: Vec<LineSpan> = Vec::new();
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

fn flush(spans: &mut Vec<LineSpan>, class: &'static str, current: &mut String) {
    if !current.is_empty() {
        spans.push(LineSpan { class, text: std::mem::take(current), hit: false });
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
