//! Reads what a task does: exactly one action. Every action is checked; `run` and `noop` are what this version runs.

use super::error::one_of;
use super::model::Action;
use super::read::{Reader, json};
use super::yaml::{Kind, MapEntry, Node, Pos};

/// The keys of a task that say what it does.
pub(super) const ACTIONS: [&str; 8] = ["run", "http", "sql", "wait", "trigger", "approve", "celery", "noop"];

/// What the schema says of keys that [`unsupported`] refuses.
pub(super) const NOT_YET: &str = "Not executed by this version of rota, which refuses files that use it.";

/// The actions that a hook may take.
const HOOK_ACTIONS: [&str; 4] = ["run", "http", "trigger", "celery"];

/// Says that a key is right but of no use yet.
pub(super) fn unsupported(reader: &mut Reader<'_>, pos: Pos, key: &str) {
    let message = format!("`{key}` is valid, but this version of rota cannot execute it yet");
    reader.sink.push_hint(pos, message, "remove it, or use a version that executes it");
}

/// The one action among `entries` (those whose key is in [`ACTIONS`]) of the task at `pos`.
pub(super) fn read<'s>(
    reader: &mut Reader<'s>,
    entries: &[&MapEntry<'s>],
    task: &str,
    pos: Pos,
) -> Option<Action> {
    match entries {
        [] => {
            let message = format!("task `{task}` has no action: expected one of {}", one_of(&ACTIONS));
            reader.sink.push_hint(
                pos,
                message,
                "write `run: ./script.sh`, or `noop: true` for a task that only joins",
            );
            None
        }
        [entry] => action(reader, entry),
        [_, second, ..] => {
            let names: Vec<String> = entries.iter().map(|entry| format!("`{}`", entry.key)).collect();
            let message = format!("task `{task}` has {} actions: {}", entries.len(), names.join(", "));
            reader.sink.push_hint(second.key_pos, message, "a task has exactly one; make a task of each");
            None
        }
    }
}

/// Checks `on_success`, `on_failure` and `on_missed`: a list of mappings with one action each.
pub(super) fn hooks<'s>(reader: &mut Reader<'s>, entry: &MapEntry<'s>) {
    unsupported(reader, entry.key_pos, &entry.key);
    let Kind::List(hooks) = &entry.value.kind else {
        reader.expected(&entry.value, &entry.key, "a list such as `[{http: {url: \"https://...\"}}]`");
        return;
    };
    for hook in hooks {
        match reader.map(hook, &entry.key) {
            Some([only]) if HOOK_ACTIONS.contains(&&*only.key) => check(reader, only),
            Some([only]) => _ = reader.known(only, "a hook", &HOOK_ACTIONS),
            Some(found) => {
                let message =
                    format!("a hook has exactly one action, {}; got {}", one_of(&HOOK_ACTIONS), found.len());
                reader.sink.push(hook.pos, message);
            }
            None => {}
        }
    }
}

fn action<'s>(reader: &mut Reader<'s>, entry: &MapEntry<'s>) -> Option<Action> {
    match &*entry.key {
        "run" => run(reader, &entry.value),
        "noop" => noop(reader, &entry.value),
        key => {
            unsupported(reader, entry.key_pos, key);
            check(reader, entry);
            // The file is refused; the task stands in for itself, so that the rest of it is checked.
            Some(Action::Noop)
        }
    }
}

fn run<'s>(reader: &mut Reader<'s>, node: &Node<'s>) -> Option<Action> {
    match &node.kind {
        Kind::Scalar(_) => reader.filled(node, "run").map(Action::Script),
        Kind::List(list) if list.is_empty() => {
            reader.expected(node, "run", "a program and its arguments");
            None
        }
        Kind::List(list) => {
            let argv: Vec<String> = list.iter().filter_map(|item| reader.text(item, "run")).collect();
            if argv.first().is_some_and(|program| program.trim().is_empty()) {
                reader.sink.push(list[0].pos, "`run`: the program's name is empty");
            }
            (argv.len() == list.len()).then_some(Action::Argv(argv))
        }
        Kind::Map(_) => {
            let message = "`run`: expected a script or a list of program and arguments, got a mapping";
            reader.sink.push_hint(node.pos, message, "quote a text that starts with `{`");
            None
        }
    }
}

fn noop<'s>(reader: &mut Reader<'s>, node: &Node<'s>) -> Option<Action> {
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

/// What the value of a key of an action must be.
#[derive(Clone, Copy)]
enum Shape {
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
struct Form {
    keys: &'static [(&'static str, Shape)],
    /// Each group: exactly one of these keys.
    required: &'static [&'static [&'static str]],
    /// What a single value means, where that is allowed.
    short: Option<&'static str>,
}

const HTTP: Form = Form {
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
const SQL: Form = Form {
    keys: &[("connection", Shape::Text), ("query", Shape::Text), ("file", Shape::Text), ("args", Shape::Any)],
    required: &[&["connection"], &["query", "file"]],
    short: None,
};
const WAIT: Form = Form {
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
const TRIGGER: Form = Form {
    keys: &[("dag", Shape::Text), ("params", Shape::Object), ("wait", Shape::Flag)],
    required: &[&["dag"]],
    short: Some("dag"),
};
const APPROVE: Form = Form {
    keys: &[("message", Shape::Text), ("by", Shape::Texts), ("timeout", Shape::Duration)],
    required: &[&["message"]],
    short: Some("message"),
};
const CELERY: Form = Form {
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

/// Checks the value of an action by its form.
fn check<'s>(reader: &mut Reader<'s>, entry: &MapEntry<'s>) {
    let form = match &*entry.key {
        "http" => &HTTP,
        "sql" => &SQL,
        "wait" => &WAIT,
        "trigger" => &TRIGGER,
        "approve" => &APPROVE,
        "celery" => &CELERY,
        _ => {
            run(reader, &entry.value);
            return;
        }
    };
    if let (Kind::Scalar(_), Some(short)) = (&entry.value.kind, form.short) {
        let shape = form.keys.iter().find(|(key, _)| *key == short).map_or(Shape::Text, |(_, shape)| *shape);
        value(reader, &entry.value, &entry.key, shape);
        return;
    }
    let names: Vec<&str> = form.keys.iter().map(|(key, _)| *key).collect();
    let Some(entries) = reader.map(&entry.value, &entry.key) else { return };
    for field in entries {
        if reader.known(field, &format!("`{}`", entry.key), &names)
            && let Some((key, shape)) = form.keys.iter().find(|(key, _)| *key == field.key)
        {
            value(reader, &field.value, key, *shape);
        }
    }
    for group in form.required {
        if entries.iter().filter(|field| group.contains(&&*field.key)).count() != 1 {
            let of = if group.len() > 1 { "exactly one of " } else { "" };
            reader.sink.push(entry.value.pos, format!("`{}`: expected {of}{}", entry.key, one_of(group)));
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
