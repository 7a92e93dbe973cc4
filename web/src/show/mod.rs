//! Parts of pages: times, states, and drawings whose axis is time. Values in, shapes out; the markup is in templates.
//! `home`, `strip` and `terms` also read the store for what they draw.

pub(crate) mod attempts;
pub(crate) mod axis;
pub(crate) mod code;
pub(crate) mod course;
pub(crate) mod day;
pub(crate) mod fleet;
pub(crate) mod gantt;
pub(crate) mod graph;
pub(crate) mod grid;
pub(crate) mod home;
pub(crate) mod lanes;
pub(crate) mod layout;
pub(crate) mod log;
pub(crate) mod log_none;
pub(crate) mod look;
pub(crate) mod name;
pub(crate) mod queues;
pub(crate) mod rota;
pub(crate) mod runs;
pub(crate) mod slots;
pub(crate) mod strip;
pub(crate) mod terms;
pub(crate) mod time;
pub(crate) mod verdict;

use askama::Template;
use askama::filters::HtmlSafe;
use serde_json::Value;

/// A sentence whose names stand in backticks, as messages have them: each becomes a code element.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "parts/prose.html")]
pub(crate) struct Prose {
    /// Whether it is a name, and the text.
    parts: Vec<(bool, String)>,
}

impl HtmlSafe for Prose {}

/// Splits a sentence at its backticks. An odd one stays as it is.
pub(crate) fn prose(text: &str) -> Prose {
    let pieces: Vec<&str> = text.split('`').collect();
    if pieces.len().is_multiple_of(2) {
        return Prose { parts: vec![(false, text.to_owned())] };
    }
    let part = |(place, piece): (usize, &&str)| (place % 2 == 1, (*piece).to_owned());
    Prose { parts: pieces.iter().enumerate().map(part).filter(|(_, text)| !text.is_empty()).collect() }
}

/// A JSON value as people write it: texts without quotes.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_backticks_become_code_and_stay_escaped() {
        let html = prose("unknown key `<b>` in a task").to_string();
        assert_eq!(html, "unknown key <code>&#60;b&#62;</code> in a task");
        assert_eq!(prose("an odd ` stays").to_string(), "an odd ` stays");
    }
}
