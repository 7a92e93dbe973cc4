//! Typed reading of single values, with an error at the value's place for each that does not fit.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use saphyr_parser::ScalarStyle;
use serde_json::{Map, Number, Value};

use crate::schedule::parse_duration;

use super::error::{Remarks, Sink, cut};
use super::yaml::{Kind, MapEntry, Node, Pos, Scalar};

/// Why a text is read. What is refused today may have been taken yesterday, and what was taken must go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// A file that somebody wrote.
    File,
    /// A version of a DAG that this or an older rota has taken and stored.
    StoredVersion,
}

/// Reads values of one file and gathers what is wrong with them. All methods report before they return `None`.
pub(super) struct Reader<'s> {
    pub(super) sink: Sink,
    pub(super) remarks: Remarks,
    occasion: Occasion,
    lines: Vec<&'s str>,
}

impl<'s> Reader<'s> {
    pub(super) fn new(sink: Sink, source: &'s str, occasion: Occasion) -> Self {
        Self { sink, remarks: Remarks::default(), occasion, lines: source.lines().collect() }
    }

    /// Reports what older versions of rota took: an error in a file, nothing in a version that is stored already.
    pub(super) fn no_longer(&mut self, pos: Pos, message: impl Into<String>, hint: Option<&str>) {
        match self.occasion {
            Occasion::File => self.sink.add(pos, message.into(), hint.map(str::to_owned)),
            Occasion::StoredVersion => {}
        }
    }

    pub(super) fn expected(&mut self, node: &Node<'_>, what: &str, expected: &str) {
        self.sink.push(node.pos, format!("`{what}`: expected {expected}, got {}", node.describe()));
    }

    pub(super) fn map<'n>(&mut self, node: &'n Node<'s>, what: &str) -> Option<&'n [MapEntry<'s>]> {
        match &node.kind {
            Kind::Map(entries) => Some(entries),
            Kind::Scalar(_) | Kind::List(_) => {
                self.expected(node, what, "a mapping of keys to values");
                None
            }
        }
    }

    pub(super) fn scalar<'n>(&mut self, node: &'n Node<'s>, what: &str) -> Option<&'n Scalar<'s>> {
        match &node.kind {
            Kind::Scalar(scalar) if !scalar.is_null() => {
                if scalar.text.contains('\0') {
                    self.sink.push(node.pos, format!("`{what}`: a text cannot hold a NUL character"));
                    return None;
                }
                Some(scalar)
            }
            Kind::Scalar(_) | Kind::List(_) | Kind::Map(_) => {
                self.expected(node, what, "text");
                None
            }
        }
    }

    pub(super) fn text(&mut self, node: &Node<'s>, what: &str) -> Option<String> {
        self.scalar(node, what).map(|scalar| scalar.text.clone().into_owned())
    }

    /// Text that is not empty.
    pub(super) fn filled(&mut self, node: &Node<'s>, what: &str) -> Option<String> {
        let text = self.text(node, what)?;
        if text.trim().is_empty() {
            self.expected(node, what, "text");
            return None;
        }
        Some(text)
    }

    /// A text of a type that knows how to read it.
    pub(super) fn parsed<T>(&mut self, node: &Node<'s>, what: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let scalar = self.scalar(node, what)?;
        match scalar.text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.sink.push(node.pos, format!("`{what}`: {error}"));
                None
            }
        }
    }

    pub(super) fn integer(&mut self, node: &Node<'s>, what: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = match &node.kind {
            Kind::Scalar(scalar) if scalar.is_plain() => scalar.text.parse().ok(),
            Kind::Scalar(_) | Kind::List(_) | Kind::Map(_) => None,
        };
        let value = value.filter(|value| range.contains(value));
        if value.is_none() {
            self.expected(node, what, &format!("a whole number from {} to {}", range.start(), range.end()));
        }
        value
    }

    pub(super) fn count(&mut self, node: &Node<'s>, what: &str, max: u32) -> Option<u32> {
        self.integer(node, what, 0..=i64::from(max)).and_then(|n| u32::try_from(n).ok())
    }

    pub(super) fn boolean(&mut self, node: &Node<'s>, what: &str) -> Option<bool> {
        match &node.kind {
            Kind::Scalar(scalar) if scalar.is_plain() && is_true(&scalar.text) => Some(true),
            Kind::Scalar(scalar) if scalar.is_plain() && is_false(&scalar.text) => Some(false),
            Kind::Scalar(_) | Kind::List(_) | Kind::Map(_) => {
                self.expected(node, what, "`true` or `false`");
                None
            }
        }
    }

    pub(super) fn duration(&mut self, node: &Node<'s>, what: &str) -> Option<Duration> {
        let scalar = self.scalar(node, what)?;
        match parse_duration(&scalar.text) {
            Ok(duration) => Some(duration),
            Err(error) => {
                self.sink.push(node.pos, format!("`{what}`: {error}"));
                None
            }
        }
    }

    /// A duration that is longer than nothing.
    pub(super) fn limit(&mut self, node: &Node<'s>, what: &str) -> Option<Duration> {
        let limit = self.duration(node, what)?;
        if limit.is_zero() {
            self.expected(node, what, "a duration longer than nothing");
            return None;
        }
        Some(limit)
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, node: &Node<'s>, what: &str, words: &[(&str, T)]) -> Option<T> {
        let scalar = self.scalar(node, what)?;
        let found = words.iter().find(|(word, _)| *word == scalar.text).map(|(_, value)| *value);
        if found.is_none() {
            let kind = format!("value of `{what}`:");
            self.sink.unknown_word(node.pos, &kind, &scalar.text, words.iter().map(|(word, _)| *word));
        }
        found
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, node: &Node<'s>, what: &str) -> Option<Vec<String>> {
        let Kind::List(list) = &node.kind else {
            self.expected(node, what, "a list");
            return None;
        };
        Some(list.iter().filter_map(|item| self.text(item, what)).collect())
    }

    /// Environment variables. Values are templates; their nodes are checked by the caller.
    pub(super) fn env(&mut self, node: &Node<'s>, what: &str) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for entry in self.map(node, what).unwrap_or_default() {
            if !is_env_name(&entry.key) {
                let message = format!("`{}` is not a name for an environment variable", cut(&entry.key));
                self.sink.push_hint(entry.key_pos, message, name_hint(&entry.key));
            } else if entry.key.starts_with("ROTA_") {
                let message = format!("`{}`: names that start with `ROTA_` are rota's own", cut(&entry.key));
                self.sink.push(entry.key_pos, message);
            } else if entry.value.is_null() {
                let message = format!("`{}` has no value", cut(&entry.key));
                self.sink.push_hint(entry.key_pos, message, "write \"\" for an empty text");
            } else if let Some(text) = self.text(&entry.value, &entry.key) {
                env.insert(entry.key.clone().into_owned(), text);
            }
        }
        env
    }

    /// Whether the key is one of `known`; if not, an error with the nearest.
    pub(super) fn known(&mut self, entry: &MapEntry<'_>, place: &str, known: &[&str]) -> bool {
        let is_known = known.contains(&&*entry.key);
        if !is_known {
            self.sink.unknown_key(entry.key_pos, place, &entry.key, known.iter().copied());
        }
        is_known
    }

    /// The place in the file of a byte of a scalar's text, as exactly as its style allows. Takes time in
    /// proportion to the text.
    pub(super) fn locate(&self, node: &Node<'_>, byte: usize) -> Pos {
        let Kind::Scalar(scalar) = &node.kind else { return node.pos };
        if self.sink.is_full() {
            return node.pos;
        }
        let before = scalar.text.get(..byte).unwrap_or(&scalar.text);
        if scalar.verbatim {
            let quote = u32::from(!scalar.is_plain());
            return Pos { line: node.pos.line, col: node.pos.col + quote + chars(before) };
        }
        if scalar.style == ScalarStyle::Literal { self.in_block(node.pos, scalar, before) } else { node.pos }
    }

    /// The parser places a block at its first line of text, which may stand below empty ones.
    fn in_block(&self, pos: Pos, scalar: &Scalar<'_>, before: &str) -> Pos {
        let lead = scalar.text.bytes().take_while(|b| *b == b'\n').count();
        let down = before.matches('\n').count();
        let text = scalar.text.split('\n').nth(down).unwrap_or_default();
        let offset = chars(before.rsplit('\n').next().unwrap_or_default());
        let first = (pos.line as usize).saturating_sub(1 + lead);
        let line = self.lines.get(first + down).map(|line| line.trim_end_matches('\r'));
        match line.and_then(|line| line.strip_suffix(text)) {
            Some(indent) => Pos { line: (first + down) as u32 + 1, col: chars(indent) + offset + 1 },
            None => pos,
        }
    }
}

/// A node as JSON, by YAML 1.2's core schema.
pub(super) fn json(node: &Node<'_>) -> Value {
    match &node.kind {
        Kind::Scalar(scalar) if scalar.is_plain() => plain_json(&scalar.text),
        Kind::Scalar(scalar) => Value::String(scalar.text.clone().into_owned()),
        Kind::List(list) => Value::Array(list.iter().map(json).collect()),
        Kind::Map(entries) => {
            let pairs = entries.iter().map(|entry| (entry.key.clone().into_owned(), json(&entry.value)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
    }
}

/// Whether an environment may hold a variable of that name: `[A-Za-z_][A-Za-z0-9_]*`, at most 128 characters.
pub(super) fn is_env_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && name.len() <= crate::id::NAME_CHARS_MAX
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The first whole number in a text of JSON that has more than 64 bits. Readers of JSON make a float of it, which loses digits.
fn wide_number(json: &str) -> Option<&str> {
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let start = at;
        match byte {
            b'"' => {
                at += 1;
                while bytes.get(at).is_some_and(|byte| *byte != b'"') {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                at += bytes[at..].iter().take_while(|byte| is_part(byte)).count();
                let text = &json[start..at];
                let is_whole = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
                if is_whole && number(text).is_none() && text.len() > 1 {
                    return Some(text);
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// What is to be said of a text of JSON that holds a whole number of more than 64 bits, if it does.
pub fn too_wide(json: &str) -> Option<String> {
    let wide = wide_number(json)?;
    Some(format!(
        "the whole number {} has more than 64 bits and would lose digits; write it as a text",
        super::error::cut(wide)
    ))
}

/// How a refused name of a variable, parameter or output could be written.
pub(super) fn name_hint(name: &str) -> String {
    let rule = "use letters, digits and `_`, a letter or `_` first";
    let mut valid: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if valid.starts_with(|c: char| c.is_ascii_digit()) {
        valid.insert(0, '_');
    }
    let says_something = valid.bytes().any(|b| b.is_ascii_alphanumeric());
    if says_something && is_env_name(&valid) { format!("{rule}: `{valid}`") } else { rule.to_owned() }
}

/// A number that keeps its digits: whole ones have up to 64 bits, a larger one is none.
pub(super) fn number(text: &str) -> Option<Value> {
    if text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-')) {
        return text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from)).ok();
    }
    text.parse().ok().and_then(Number::from_f64).map(Value::Number)
}

fn plain_json(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        text if is_true(text) => return Value::Bool(true),
        text if is_false(text) => return Value::Bool(false),
        _ => {}
    }
    let numeric = text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    numeric.then(|| number(text)).flatten().unwrap_or_else(|| Value::String(text.to_owned()))
}

fn is_true(text: &str) -> bool {
    matches!(text, "true" | "True" | "TRUE")
}

fn is_false(text: &str) -> bool {
    matches!(text, "false" | "False" | "FALSE")
}

fn chars(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}
