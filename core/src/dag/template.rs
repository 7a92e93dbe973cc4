//! Renders what a task runs. Templates are minijinja with strict names and a fixed set of filters; nothing in them
//! reads a file, a clock or the environment, and both their steps and their output are bounded. Values are never
//! read as templates.

use std::collections::BTreeMap;
use std::io;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value as Cell, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use serde_json::{Map, Value};

use crate::id::{RunId, TaskName};
use crate::state::RunState;

use super::functions;
use super::model::{Action, Dag, Task};
use super::scan::{Block, BlockKind, blocks, excess, is_template};
use super::shell::{self, MARK};

/// Most bytes of one rendered text.
pub const RENDERED_BYTES_MAX: usize = 1 << 20;

/// Most steps of one template: a loop of some ten thousand turns.
const FUEL: u64 = 200_000;

const SHELL: &str = "shell";

/// What a template can see of the run and the attempt.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The run.
    pub run: RunId,
    /// Where the run is (`run.state`).
    pub run_state: RunState,
    /// The run's slot; `None` for a manual run.
    pub slot: Option<DateTime<Utc>>,
    /// The slot before it.
    pub interval_start: Option<DateTime<Utc>>,
    /// When the run was created: stands in for the slot of a manual run.
    pub created_at: DateTime<Utc>,
    /// The run's parameters, checked.
    pub params: &'a Map<String, Value>,
    /// Which instance of a `for_each` task; 0 for all others.
    pub index: u32,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The outputs of upstream tasks by task name, at least of those in `reads_outputs_of` that have any.
    pub outputs: &'a BTreeMap<String, Value>,
    /// The shell of scripts without `shell:`.
    pub shell: DefaultShell,
}

/// The shell of scripts whose task names none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DefaultShell {
    /// `bash -euo pipefail -c`, where there is bash.
    #[default]
    Bash,
    /// `sh -eu -c`.
    Sh,
}

/// What a worker starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments; a script is the last argument of its shell. Empty for `noop`.
    pub argv: Vec<String>,
    /// The DAG's and the task's environment and all `ROTA_` variables but `ROTA_OUTPUT` and `ROTA_FENCE_TOKEN`, which
    /// only the worker knows.
    pub env: BTreeMap<String, String>,
    /// The working directory, relative to the DAG file's folder.
    pub cwd: Option<String>,
}

/// A template that cannot be rendered with these values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` of task `{task}`: {message}")]
pub struct TemplateError {
    /// The task.
    pub task: TaskName,
    /// The field: `run`, `env.NAME`, `cwd` or `when`.
    pub field: String,
    /// What is wrong, with the expression.
    pub message: String,
}

/// The command of one attempt.
///
/// # Errors
/// The first template that cannot be rendered: a name without a value, a value that cannot be placed where it stands,
/// a wrong type, or too much output.
pub fn render_command(dag: &Dag, task: &Task, scope: &Scope<'_>) -> Result<Command, TemplateError> {
    let mut renderer = Renderer { dag, task, scope, names: None };
    let argv = match &task.action {
        Action::Noop => return Ok(Command::default()),
        Action::Argv(argv) => {
            argv.iter().map(|argument| renderer.plain("run", argument)).collect::<Result<_, _>>()?
        }
        Action::Script(script) => {
            let script = renderer.script(script)?;
            shell_argv(task, scope.shell).into_iter().chain([script]).collect()
        }
    };
    let mut env = BTreeMap::new();
    for (name, text) in dag.env.iter().chain(&task.env) {
        env.insert(name.clone(), renderer.plain(&format!("env.{name}"), text)?);
    }
    env.extend(functions::variables(dag, task, scope));
    let cwd = task.cwd.as_ref().map(|cwd| renderer.plain("cwd", cwd)).transpose()?;
    Ok(Command { argv, env, cwd })
}

/// Whether the task's `when` holds; a task without one always does.
///
/// # Errors
/// A name without a value, a wrong type, or a result that is neither true nor false (a text other than `true`,
/// `false` and nothing).
pub fn eval_when(dag: &Dag, task: &Task, scope: &Scope<'_>) -> Result<bool, TemplateError> {
    let Some(when) = &task.when else { return Ok(true) };
    let mut renderer = Renderer { dag, task, scope, names: None };
    renderer.condition(when).map_err(|message| renderer.error("when", message))
}

/// The expression of a `when`, and where it starts: `{{ expression }}` or a bare one.
pub(super) fn expression(when: &str) -> Result<(usize, &str), &'static str> {
    let trimmed = when.trim();
    let lead = when.len() - when.trim_start().len();
    let (at, inner) = match trimmed.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
        Some(inner) => (lead + 2, inner),
        None => (lead, trimmed),
    };
    if inner.contains("{{") || inner.contains("{%") {
        return Err("`when` is one expression: `{{ params.region == 'eu' }}` or `params.region == 'eu'`");
    }
    Ok((at, inner))
}

/// The environment that all templates of all DAGs are rendered in.
pub(super) static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::empty();
    engine.set_syntax(syntax());
    functions::register(&mut engine);
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_fuel(Some(FUEL));
    engine.set_debug(true);
    engine.set_recursion_limit(50);
    engine.set_auto_escape_callback(|name| match name {
        SHELL => AutoEscape::Custom(SHELL.into()),
        _ => AutoEscape::None,
    });
    engine.set_formatter(write_value);
    engine
});

/// Jinja's, without its comments: `{#` means something to shells (`${#list[@]}`), and a script must run as it is written.
fn syntax() -> SyntaxConfig {
    let builder = &mut SyntaxConfig::builder();
    // No text of a file can hold a NUL.
    builder.comment_delimiters("\0#", "#\0").build().expect("the delimiters differ from each other")
}

/// What minijinja says, with the expression instead of its listing of the source.
pub(super) fn words(error: &Error) -> String {
    let detail = error.detail().map(str::to_owned);
    let mut text = match error.kind() {
        ErrorKind::UndefinedError => "has no value".to_owned(),
        ErrorKind::OutOfFuel => "the template takes too many steps".to_owned(),
        ErrorKind::SyntaxError => detail.unwrap_or_else(|| "not a valid template".to_owned()),
        kind => detail.unwrap_or_else(|| kind.to_string()),
    };
    if let (Some(source), Some(range)) = (error.template_source(), error.range())
        && error.kind() != ErrorKind::SyntaxError
    {
        let blocks = blocks(source);
        let block = blocks.iter().find(|block| block.whole.contains(&range.start));
        text = format!("`{}`: {text}", super::error::cut(block.map_or(source, |block| block.body).trim()));
    }
    text
}

struct Renderer<'a> {
    dag: &'a Dag,
    task: &'a Task,
    scope: &'a Scope<'a>,
    /// What templates can name, once one needs it.
    names: Option<Cell>,
}

impl Renderer<'_> {
    fn error(&self, field: &str, message: String) -> TemplateError {
        TemplateError { task: self.task.name.clone(), field: field.to_owned(), message }
    }

    fn names(&mut self) -> Cell {
        let (dag, task, scope) = (self.dag, self.task, self.scope);
        self.names.get_or_insert_with(|| functions::names(dag, task, scope)).clone()
    }

    fn plain(&mut self, field: &str, text: &str) -> Result<String, TemplateError> {
        if !is_template(text) {
            return Ok(text.to_owned());
        }
        let names = self.names();
        render("plain", text, names).map_err(|message| self.error(field, message))
    }

    fn script(&mut self, text: &str) -> Result<String, TemplateError> {
        if !is_template(text) {
            return Ok(text.to_owned());
        }
        let names = self.names();
        let quotes = is_posix(self.task.shell.as_deref());
        let script = render(SHELL, text, names).and_then(|marked| {
            if !quotes && marked.contains(MARK) {
                return Err(FOREIGN_SHELL.to_owned());
            }
            shell::place(&marked).map_err(|refused| refused.reason.to_owned())
        });
        script.map_err(|message| self.error("run", message))
    }

    fn condition(&mut self, when: &str) -> Result<bool, String> {
        let (at, expression) = expression(when)?;
        let block = Block { kind: BlockKind::Value, whole: 0..when.len(), body: expression, at };
        looked_at(&[block])?;
        let names = self.names();
        let compiled = ENGINE.compile_expression(expression).map_err(|error| words(&error))?;
        let result = compiled.eval(names).map_err(|error| words(&error))?;
        truth(&result)
    }
}

/// Why a value cannot stand in a script for a shell whose quoting is not known.
pub(super) const FOREIGN_SHELL: &str = "values can be quoted for POSIX shells only; read `ROTA_PARAM_` and `env:` variables in the script, or use `| raw`";

/// Whether scripts of that `shell:` follow the quoting of POSIX shells.
pub(super) fn is_posix(shell: Option<&[String]>) -> bool {
    let Some(argv) = shell else { return true };
    let name = |word: &String| word.rsplit('/').next().unwrap_or(word).to_owned();
    let known = |name: &str| matches!(name, "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh");
    match argv.first().map(name).as_deref() {
        Some("env" | "busybox" | "nice") => argv.iter().skip(1).map(name).any(|word| known(&word)),
        Some(program) => known(program),
        None => true,
    }
}

fn shell_argv(task: &Task, default: DefaultShell) -> Vec<String> {
    let words: &[&str] = match default {
        DefaultShell::Bash => &["bash", "-euo", "pipefail", "-c"],
        DefaultShell::Sh => &["sh", "-eu", "-c"],
    };
    task.shell.clone().unwrap_or_else(|| words.iter().map(|&word| word.to_owned()).collect())
}

/// Reading the file has looked for what is too large already. It is done again right before each compilation, because what
/// gets by ends the whole process.
fn looked_at(blocks: &[Block<'_>]) -> Result<(), String> {
    excess(blocks).map_or(Ok(()), |(_, what)| Err(what))
}

fn render(name: &str, text: &str, names: Cell) -> Result<String, String> {
    looked_at(&blocks(text))?;
    let template = ENGINE.template_from_named_str(name, text).map_err(|error| words(&error))?;
    let mut sink = Bounded { bytes: Vec::new() };
    template.render_captured_to(names, &mut sink).map_err(|error| match error.kind() {
        ErrorKind::WriteFailure => format!("the rendered text is larger than {RENDERED_BYTES_MAX} bytes"),
        _ => words(&error),
    })?;
    String::from_utf8(sink.bytes).map_err(|_| "the rendered text is not UTF-8".to_owned())
}

/// Takes a rendered text up to [`RENDERED_BYTES_MAX`].
struct Bounded {
    bytes: Vec<u8>,
}

impl io::Write for Bounded {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + part.len() > RENDERED_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a value: marked for [`shell::place`] in a script, as text elsewhere. A list in a script is words.
fn write_value(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Cell) -> Result<(), Error> {
    if let (true, Some(text)) = (value.is_safe(), value.as_str()) {
        return out.write_str(text).map_err(failed);
    }
    if !matches!(state.auto_escape(), AutoEscape::Custom(_)) {
        return out.write_str(&text_of(value)?).map_err(failed);
    }
    if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        for (no, item) in value.try_iter()?.enumerate() {
            let space = if no > 0 { " " } else { "" };
            write!(out, "{space}{MARK}{}{MARK}", text_of(&item)?).map_err(failed)?;
        }
        return Ok(());
    }
    write!(out, "{MARK}{}{MARK}", text_of(value)?).map_err(failed)
}

fn failed(_: std::fmt::Error) -> Error {
    Error::new(ErrorKind::WriteFailure, "too large")
}

/// Texts as they are, nothing for none, JSON for lists and objects.
pub(super) fn text_of(value: &Cell) -> Result<String, Error> {
    let text = match value.kind() {
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        // As JSON has them: the shell's `true`, not Python's `True`.
        ValueKind::Bool => value.is_true().to_string(),
        ValueKind::Number => value.to_string(),
        ValueKind::None | ValueKind::Undefined => String::new(),
        _ => serde_json::to_string(value)
            .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?,
    };
    if text.contains(MARK) {
        return Err(Error::new(ErrorKind::InvalidOperation, "the value holds a NUL character"));
    }
    Ok(text)
}

fn truth(value: &Cell) -> Result<bool, String> {
    match value.kind() {
        ValueKind::Undefined => Err("the expression has no value".to_owned()),
        ValueKind::String => match value.as_str().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" | "" => Ok(false),
            text => {
                let text = super::error::cut(text);
                Err(format!(
                    "expected true or false, got the text `{text}`; compare it, as in `... == 'yes'`"
                ))
            }
        },
        _ => Ok(value.is_true()),
    }
}
