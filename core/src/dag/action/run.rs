//! `run`: a process, either a script of a shell or a program with its arguments.

use serde_json::{Value, json};

use super::super::model::Action;
use super::super::places;
use super::super::read::Reader;
use super::super::site::{Site, SiteKind};
use super::super::template::{Renderer, TemplateError};
use super::super::yaml::{Kind, Node};

/// Reads its value: a text is a script, a list a program and its arguments.
pub(super) fn read<'s>(reader: &mut Reader<'s>, node: &Node<'s>) -> Option<Action> {
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

/// Where templates stand in it, and what is wrong with where they stand.
pub(super) fn sites<'n, 's>(reader: &mut Reader<'s>, node: &'n Node<'s>, sites: &mut Vec<Site<'n, 's>>) {
    match &node.kind {
        Kind::Scalar(_) => sites.push(Site { node, kind: SiteKind::Script }),
        Kind::List(arguments) => {
            sites.extend(arguments.iter().map(|node| Site { node, kind: SiteKind::Plain }));
            places::check_arguments(reader, arguments);
        }
        Kind::Map(_) => {}
    }
}

/// The shell's words and the script, with the values in their places.
pub(super) fn script_argv(renderer: &mut Renderer<'_>, script: &str) -> Result<Vec<String>, TemplateError> {
    let script = renderer.script(script)?;
    Ok(renderer.shell_argv().into_iter().chain([script]).collect())
}

/// The program and its arguments.
pub(super) fn program_argv(
    renderer: &mut Renderer<'_>,
    argv: &[String],
) -> Result<Vec<String>, TemplateError> {
    argv.iter().map(|argument| renderer.plain("run", argument)).collect()
}

/// For editors.
pub(super) fn schema() -> Value {
    json!({
        "description": "A shell script, or a program and its arguments. Templates; values in a script are quoted.",
        "anyOf": [{"type": "string"}, {"allOf": [{"$ref": "#/$defs/texts"}, {"minItems": 1}]}],
    })
}
