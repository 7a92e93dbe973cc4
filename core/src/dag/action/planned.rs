//! Actions that are part of the format and that this version checks but does not execute: their forms, and what they will do.

use super::super::read::Reader;
use super::super::yaml::MapEntry;
use super::form::{Form, Shape};

/// An action that is not executed yet.
pub(super) struct Planned {
    /// Its key.
    pub(super) key: &'static str,
    /// What it does, for the schema.
    pub(super) what: &'static str,
    /// Whether a hook may take it.
    pub(super) is_for_hooks: bool,
    form: &'static Form,
}

static HTTP: Form = Form {
    keys: &[
        ("url", Shape::Text),
        ("method", Shape::Method),
        ("headers", Shape::Object),
        ("json", Shape::Any),
        ("body", Shape::Text),
        ("expect", Shape::Statuses),
        ("timeout", Shape::Duration),
    ],
    required: &[&["url"]],
    short: Some("url"),
};
static SQL: Form = Form {
    keys: &[("connection", Shape::Text), ("query", Shape::Text), ("file", Shape::Text), ("args", Shape::Any)],
    required: &[&["connection"], &["query", "file"]],
    short: None,
};
static WAIT: Form = Form {
    keys: &[
        ("for", Shape::Duration),
        ("until", Shape::Text),
        ("file", Shape::Text),
        ("http", Shape::Text),
        ("dag", Shape::Text),
        ("poll", Shape::Duration),
    ],
    required: &[&["for", "until", "file", "http", "dag"]],
    short: Some("for"),
};
static TRIGGER: Form = Form {
    keys: &[("dag", Shape::Text), ("params", Shape::Object), ("wait", Shape::Flag)],
    required: &[&["dag"]],
    short: Some("dag"),
};
static APPROVE: Form = Form {
    keys: &[("message", Shape::Text), ("by", Shape::Texts), ("timeout", Shape::Duration)],
    required: &[&["message"]],
    short: Some("message"),
};
static CELERY: Form = Form {
    keys: &[
        ("task", Shape::Text),
        ("args", Shape::Any),
        ("kwargs", Shape::Object),
        ("queue", Shape::Text),
        ("wait", Shape::Flag),
    ],
    required: &[&["task"]],
    short: Some("task"),
};

/// All of them.
pub(super) static ALL: [Planned; 6] = [
    Planned { key: "http", what: "An HTTP request.", is_for_hooks: true, form: &HTTP },
    Planned { key: "sql", what: "A statement on a database connection.", is_for_hooks: false, form: &SQL },
    Planned {
        key: "wait",
        what: "Waits for a time, a file, an address or another DAG.",
        is_for_hooks: false,
        form: &WAIT,
    },
    Planned { key: "trigger", what: "Starts a run of another DAG.", is_for_hooks: true, form: &TRIGGER },
    Planned { key: "approve", what: "Waits for a person.", is_for_hooks: false, form: &APPROVE },
    Planned { key: "celery", what: "Sends a task to Celery workers.", is_for_hooks: true, form: &CELERY },
];

/// The one of that key.
pub(super) fn find(key: &str) -> Option<&'static Planned> {
    ALL.iter().find(|planned| planned.key == key)
}

impl Planned {
    /// Checks its value, so that a file is right when a later version executes it.
    pub(super) fn check<'s>(&self, reader: &mut Reader<'s>, entry: &MapEntry<'s>) {
        self.form.check(reader, entry);
    }
}
