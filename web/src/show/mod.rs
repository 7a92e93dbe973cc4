//! Parts of pages: times, states, and drawings whose axis is time. Values in, shapes out; the markup is in templates.

pub(crate) mod attempts;
pub(crate) mod axis;
pub(crate) mod code;
pub(crate) mod course;
pub(crate) mod day;
pub(crate) mod gantt;
pub(crate) mod graph;
pub(crate) mod grid;
pub(crate) mod home;
pub(crate) mod layout;
pub(crate) mod log;
pub(crate) mod look;
pub(crate) mod rota;
pub(crate) mod runs;
pub(crate) mod slots;
pub(crate) mod strip;
pub(crate) mod time;

use serde_json::Value;

/// A JSON value as people write it: texts without quotes.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
