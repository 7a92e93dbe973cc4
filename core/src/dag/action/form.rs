//! The form of an action that is written as a mapping: its keys, what their values must be, which of them it needs.

use super::super::error::one_of;
use super::super::read::{Reader, json};
use super::super::yaml::{Kind, MapEntry, Node};

/// What the value of a key of an action must be.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Text,
    Texts,
    Flag,
    Duration,
    Object,
    Statuses,
    Any,
    Method,
}

/// The keys of an action's mapping.
pub(super) struct Form {
    pub(super) keys: &'static [(&'static str, Shape)],
    /// Each group: exactly one of these keys.
    pub(super) required: &'static [&'static [&'static str]],
    /// What a single value means, where that is allowed.
    pub(super) short: Option<&'static str>,
}

impl Form {
    /// Checks the value of an action.
    pub(super) fn check<'s>(&self, reader: &mut Reader<'s>, entry: &MapEntry<'s>) {
        if let (Kind::Scalar(_), Some(short)) = (&entry.value.kind, self.short) {
            let shape =
                self.keys.iter().find(|(key, _)| *key == short).map_or(Shape::Text, |(_, shape)| *shape);
            value(reader, &entry.value, &entry.key, shape);
            return;
        }
        let names: Vec<&str> = self.keys.iter().map(|(key, _)| *key).collect();
        let Some(entries) = reader.map(&entry.value, &entry.key) else { return };
        for field in entries {
            if reader.known(field, &format!("`{}`", entry.key), &names)
                && let Some((key, shape)) = self.keys.iter().find(|(key, _)| *key == field.key)
            {
                value(reader, &field.value, key, *shape);
            }
        }
        for group in self.required {
            if entries.iter().filter(|field| group.contains(&&*field.key)).count() != 1 {
                let of = if group.len() > 1 { "exactly one of " } else { "" };
                reader.sink.push(entry.value.pos, format!("`{}`: expected {of}{}", entry.key, one_of(group)));
            }
        }
    }
}

fn value<'s>(reader: &mut Reader<'s>, node: &Node<'s>, key: &str, shape: Shape) {
    match shape {
        Shape::Text => _ = reader.filled(node, key),
        Shape::Texts => _ = reader.texts(node, key),
        Shape::Flag => _ = reader.boolean(node, key),
        Shape::Duration => _ = reader.limit(node, key),
        Shape::Object => _ = reader.map(node, key),
        Shape::Any => {}
        Shape::Method => {
            let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].map(|method| (method, ()));
            reader.word(node, key, &methods);
        }
        Shape::Statuses => {
            let statuses = match json(node) {
                serde_json::Value::Array(list) => list,
                single => vec![single],
            };
            if !statuses.iter().all(|status| status.as_u64().is_some_and(|code| (100..600).contains(&code))) {
                reader.expected(node, key, "a list of HTTP status codes");
            }
        }
    }
}
