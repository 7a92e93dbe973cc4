//! `noop`: nothing. Joins or splits, and takes no slot of its worker.

use serde_json::{Value, json};

use super::super::model::Action;
use super::super::read::Reader;
use super::super::yaml::{Kind, Node};

/// Reads its value, which says no more than that it is there.
pub(super) fn read<'s>(reader: &mut Reader<'s>, node: &Node<'s>) -> Option<Action> {
    let is_noop = match &node.kind {
        Kind::Scalar(scalar) => scalar.is_null() || scalar.text == "true",
        Kind::Map(entries) => entries.is_empty(),
        Kind::List(_) => false,
    };
    if !is_noop {
        reader.expected(node, "noop", "`true`");
    }
    is_noop.then_some(Action::Noop)
}

/// For editors.
pub(super) fn schema() -> Value {
    json!({
        "description": "Does nothing: joins or splits.",
        "anyOf": [{"const": true}, {"type": "null"}, {"type": "object", "maxProperties": 0}],
    })
}
