//! YAML text to a small tree that knows where everything stands. Bounded in size, depth and nodes; no aliases,
//! anchors, merge keys, tags or duplicate keys; exactly one document.

use std::borrow::Cow;
use std::collections::HashSet;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::error::{Sink, cut};
pub(super) use super::pos::Pos;

/// Largest DAG file, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Deepest nesting of lists and mappings.
pub const DEPTH_MAX: usize = 64;

/// Most scalars, lists and mappings in a file.
pub const NODES_MAX: usize = 500_000;

fn pos_of(marker: &saphyr_parser::Marker) -> Pos {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Pos { line: number(marker.line()), col: number(marker.col()).saturating_add(1) }
}

/// One value of the file.
#[derive(Debug)]
pub(super) struct Node<'s> {
    pub(super) pos: Pos,
    pub(super) kind: Kind<'s>,
}

#[derive(Debug)]
pub(super) enum Kind<'s> {
    Scalar(Scalar<'s>),
    List(Vec<Node<'s>>),
    Map(Vec<MapEntry<'s>>),
}

#[derive(Debug)]
pub(super) struct Scalar<'s> {
    pub(super) text: Cow<'s, str>,
    pub(super) style: ScalarStyle,
    /// Stands in one line, character by character.
    pub(super) verbatim: bool,
}

#[derive(Debug)]
pub(super) struct MapEntry<'s> {
    pub(super) key: Cow<'s, str>,
    pub(super) key_pos: Pos,
    pub(super) value: Node<'s>,
}

impl Scalar<'_> {
    /// Whether it is written without quotes, so that `true`, `1` and nothing are more than text.
    pub(super) fn is_plain(&self) -> bool {
        self.style == ScalarStyle::Plain
    }

    /// `key:` with nothing after it, `~` or `null`.
    pub(super) fn is_null(&self) -> bool {
        self.is_plain() && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node<'_> {
    /// What it is, for a person.
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::Scalar(scalar) if scalar.is_null() => "nothing".to_owned(),
            Kind::Scalar(scalar) if scalar.text.is_empty() => "an empty text".to_owned(),
            Kind::Scalar(scalar) => format!("`{}`", cut(&scalar.text)),
            Kind::List(list) if list.is_empty() => "an empty list".to_owned(),
            Kind::Map(entries) if entries.is_empty() => "an empty mapping".to_owned(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.is_null())
    }
}

/// Reads the one document of `source`. A syntax error ends it, since what follows means nothing; duplicate keys,
/// anchors and tags are reported and left out.
pub(super) fn load<'s>(source: &'s str, sink: &mut Sink) -> Option<Node<'s>> {
    if source.len() > FILE_BYTES_MAX {
        let message =
            format!("the file has {} bytes, at most {FILE_BYTES_MAX} (1 MiB) are read", source.len());
        sink.push_hint(Pos::START, message, "split it into several DAGs");
        return None;
    }
    let mut loader = Loader::default();
    for event in Parser::new_from_str(source) {
        let step = match event {
            Ok((event, span)) => loader.event(event, span),
            Err(error) => Err(scan_fault(&error, source)),
        };
        if let Err(fault) = step {
            loader.faults.push(fault);
            loader.root = None;
            break;
        }
    }
    if loader.root.is_none() && loader.faults.is_empty() {
        sink.push_hint(Pos::START, "the file is empty", "a DAG file has at least `tasks:` with one task");
    }
    for fault in loader.faults {
        sink.add(fault.pos, fault.message, fault.hint.map(str::to_owned));
    }
    loader.root
}

struct YamlFault {
    pos: Pos,
    message: String,
    hint: Option<&'static str>,
}

fn fault<T>(pos: Pos, message: impl Into<String>, hint: Option<&'static str>) -> Result<T, YamlFault> {
    Err(YamlFault { pos, message: message.into(), hint })
}

/// Lists and mappings that are still open, and what is complete.
#[derive(Default)]
struct Loader<'s> {
    open: Vec<Open<'s>>,
    root: Option<Node<'s>>,
    documents: usize,
    nodes: usize,
    /// What is wrong without ending the reading.
    faults: Vec<YamlFault>,
}

struct Open<'s> {
    pos: Pos,
    items: Items<'s>,
}

enum Items<'s> {
    List(Vec<Node<'s>>),
    Map { entries: Vec<MapEntry<'s>>, keys: HashSet<Cow<'s, str>>, key: Option<(Cow<'s, str>, Pos)> },
}

impl<'s> Loader<'s> {
    fn event(&mut self, event: Event<'s>, span: Span) -> Result<(), YamlFault> {
        let pos = pos_of(&span.start);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return fault(pos, "a second document", Some("one file holds one DAG; remove the `---`"));
                }
                Ok(())
            }
            Event::Alias(_) => fault(pos, "aliases (`*name`) are not allowed", Some(STAR_HINT)),
            Event::Scalar(text, style, anchor, tag) => {
                self.plain(pos, anchor, tag.is_some());
                self.count(pos)?;
                let verbatim = is_verbatim(&text, style, &span);
                self.close(Node { pos, kind: Kind::Scalar(Scalar { text, style, verbatim }) })
            }
            Event::SequenceStart(anchor, tag) => {
                self.plain(pos, anchor, tag.is_some());
                self.open(pos, Items::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.plain(pos, anchor, tag.is_some());
                self.open(pos, Items::Map { entries: Vec::new(), keys: HashSet::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { pos, items: Items::List(list) }) => {
                    self.close(Node { pos, kind: Kind::List(list) })
                }
                Some(Open { pos, items: Items::Map { entries, .. } }) => {
                    self.close(Node { pos, kind: Kind::Map(entries) })
                }
                None => fault(pos, "a list or mapping ends here that never began", None),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    /// Reports an anchor or a tag; the node itself is read on.
    fn plain(&mut self, pos: Pos, anchor: usize, tagged: bool) {
        let (message, hint) = if anchor > 0 {
            ("anchors (`&name`) are not allowed", "quote a text that starts with `&`")
        } else if tagged {
            ("tags (`!name`) are not allowed", "quote a text that starts with `!`")
        } else {
            return;
        };
        self.faults.push(YamlFault { pos, message: message.to_owned(), hint: Some(hint) });
    }

    fn count(&mut self, pos: Pos) -> Result<(), YamlFault> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return fault(pos, format!("more than {NODES_MAX} values in one file"), None);
        }
        Ok(())
    }

    fn open(&mut self, pos: Pos, items: Items<'s>) -> Result<(), YamlFault> {
        self.count(pos)?;
        if let Some(Open { items: Items::Map { key: None, .. }, .. }) = self.open.last() {
            let hint = "keys are plain text; a text that starts with `{` or `[` must be quoted";
            return fault(pos, "a list or mapping where a key was expected", Some(hint));
        }
        if self.open.len() >= DEPTH_MAX {
            return fault(pos, format!("nested deeper than {DEPTH_MAX} levels"), None);
        }
        self.open.push(Open { pos, items });
        Ok(())
    }

    /// Puts a complete node where it belongs. The second value of a key is left out.
    fn close(&mut self, node: Node<'s>) -> Result<(), YamlFault> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.items {
            Items::List(list) => list.push(node),
            Items::Map { entries, keys, key } => match key.take() {
                None => *key = Some(key_of(node)?),
                Some((key, key_pos)) if keys.insert(key.clone()) => {
                    entries.push(MapEntry { key, key_pos, value: node });
                }
                Some((key, pos)) => {
                    let message = format!("duplicate key `{}`", cut(&key));
                    self.faults.push(YamlFault {
                        pos,
                        message,
                        hint: Some("each key stands once in a mapping"),
                    });
                }
            },
        }
        Ok(())
    }
}

/// A scalar that may be a key: text and not `<<`.
fn key_of<'s>(node: Node<'s>) -> Result<(Cow<'s, str>, Pos), YamlFault> {
    let pos = node.pos;
    let Kind::Scalar(scalar) = node.kind else {
        return fault(pos, "a list or mapping where a key was expected", None);
    };
    if scalar.text == "<<" && scalar.is_plain() {
        return fault(pos, "merge keys (`<<`) are not allowed", Some("use `defaults:` for what tasks share"));
    }
    if scalar.text.is_empty() {
        return fault(pos, "an empty key", None);
    }
    Ok((scalar.text, pos))
}

/// Whether each character of the text stands in one line of the source as it is.
fn is_verbatim(text: &str, style: ScalarStyle, span: &Span) -> bool {
    let quotes = match style {
        ScalarStyle::Plain => 0,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 2,
        ScalarStyle::Literal | ScalarStyle::Folded => return false,
    };
    span.start.line() == span.end.line() && text.chars().count() + quotes == span.len()
}

const STAR_HINT: &str = "quote a text that starts with `*`";

/// The parser's own words, with what usually is the reason.
fn scan_fault(error: &saphyr_parser::ScanError, source: &str) -> YamlFault {
    let pos = pos_of(error.marker());
    let line = source.lines().nth(pos.line.saturating_sub(1) as usize).unwrap_or_default();
    let at = line.chars().nth(pos.col.saturating_sub(1) as usize);
    let info = error.info();
    let hint = if info.contains("anchor") {
        Some(STAR_HINT)
    } else if matches!(at, Some('@' | '`')) {
        Some("quote a text that starts with `@` or a backtick")
    } else if matches!(at, Some('%')) {
        Some("quote a text that starts with `%`")
    } else if line.contains('\t') {
        Some("indent with spaces, not tabs")
    } else if info.contains("mapping values are not allowed") {
        Some("quote a text that holds `: `")
    } else {
        None
    };
    YamlFault { pos, message: format!("not valid YAML: {info}"), hint }
}
