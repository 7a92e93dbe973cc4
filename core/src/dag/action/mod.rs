//! What a task does: exactly one action. Each has a file with its form, its checks, its rendering and its part of the schema;
//! here is what all of them are asked. Every action of the format is checked; `run` and `noop` are what this version executes,
//! `planned` has the others.
//!
//! A new action is a file beside these, a line in `Action` and its `match`es, which the compiler names, and a runner in the worker.

mod form;
mod noop;
mod planned;
mod run;

use serde_json::{Map, Value, json};

use super::error::one_of;
use super::model::Action;
use super::read::Reader;
use super::site::Site;
use super::template::{Rendered, Renderer, TemplateError};
use super::yaml::{Kind, MapEntry, Pos};

impl Action {
    /// Puts the values into their places.
    pub(super) fn render(&self, renderer: &mut Renderer<'_>) -> Result<Rendered, TemplateError> {
        let argv = match self {
            Self::Script(script) => run::script_argv(renderer, script)?,
            Self::Argv(argv) => run::program_argv(renderer, argv)?,
            Self::Noop => return Ok(Rendered::Nothing),
        };
        renderer.process(argv).map(Rendered::Process)
    }

    /// Where templates stand in its value.
    pub(super) fn sites<'n, 's>(
        &self,
        reader: &mut Reader<'s>,
        entry: &'n MapEntry<'s>,
        sites: &mut Vec<Site<'n, 's>>,
    ) {
        match self {
            Self::Script(_) | Self::Argv(_) => run::sites(reader, &entry.value, sites),
            Self::Noop => {}
        }
    }
}

/// The keys of a task that say what it does.
pub(super) const ACTIONS: [&str; 8] = ["run", "http", "sql", "wait", "trigger", "approve", "celery", "noop"];

/// What the schema says of keys that [`unsupported`] refuses.
pub(super) const NOT_YET: &str = "Not executed by this version of rota, which refuses files that use it.";

/// The actions that a hook may take.
fn hook_actions() -> Vec<&'static str> {
    let planned = planned::ALL.iter().filter(|planned| planned.is_for_hooks).map(|planned| planned.key);
    std::iter::once("run").chain(planned).collect()
}

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
    let actions = hook_actions();
    for hook in hooks {
        match reader.map(hook, &entry.key) {
            Some([only]) if actions.contains(&&*only.key) => check(reader, only),
            Some([only]) => _ = reader.known(only, "a hook", &actions),
            Some(found) => {
                let message =
                    format!("a hook has exactly one action, {}; got {}", one_of(&actions), found.len());
                reader.sink.push(hook.pos, message);
            }
            None => {}
        }
    }
}

fn action<'s>(reader: &mut Reader<'s>, entry: &MapEntry<'s>) -> Option<Action> {
    match (&*entry.key, planned::find(&entry.key)) {
        ("run", _) => run::read(reader, &entry.value),
        (_, None) => noop::read(reader, &entry.value),
        (key, Some(planned)) => {
            unsupported(reader, entry.key_pos, key);
            planned.check(reader, entry);
            // The file is refused; the task stands in for itself, so that the rest of it is checked.
            Some(Action::Noop)
        }
    }
}

/// Checks the action of a hook.
fn check<'s>(reader: &mut Reader<'s>, entry: &MapEntry<'s>) {
    match planned::find(&entry.key) {
        Some(planned) => planned.check(reader, entry),
        None => _ = run::read(reader, &entry.value),
    }
}

/// The actions' keys and values, for editors, in the order in which people meet them.
pub(super) fn schemas() -> Map<String, Value> {
    let planned = planned::ALL.iter().map(|planned| {
        (planned.key.to_owned(), json!({"description": format!("{} {NOT_YET}", planned.what)}))
    });
    let executed = [("run".to_owned(), run::schema()), ("noop".to_owned(), noop::schema())];
    executed.into_iter().chain(planned).collect()
}
