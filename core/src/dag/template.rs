//! Renders what a task runs. All templates of one attempt share one [`Meter`]: their steps and what they make are
//! bounded together. Values are never read as templates.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::id::TaskName;

use super::expr::{Datum, Expression, Meter, Template, Writer, is_template};
use super::model::{Dag, Task};
use super::scope::{DefaultShell, Scope};
use super::shell::{self, MARK};
use super::template_names::{self, AttemptNames};

/// Most bytes of one rendered text.
pub const RENDERED_BYTES_MAX: usize = 1 << 20;

/// What a worker starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments; a script is the last argument of its shell.
    pub argv: Vec<String>,
    /// The DAG's and the task's environment and all `ROTA_` variables but `ROTA_OUTPUT` and `ROTA_FENCE_TOKEN`, which
    /// only the worker knows.
    pub env: BTreeMap<String, String>,
    /// The working directory, relative to the DAG file's folder.
    pub cwd: Option<String>,
}

/// An action with its values in their places: what a worker carries out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rendered {
    /// A process.
    Process(Command),
    /// Nothing to do.
    Nothing,
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

/// What one attempt does.
///
/// # Errors
/// The first template that cannot be rendered: a name without a value, a value that cannot be placed where it stands,
/// a wrong type, or too much output.
pub fn render(dag: &Dag, task: &Task, scope: &Scope<'_>) -> Result<Rendered, TemplateError> {
    task.action.render(&mut Renderer::new(dag, task, scope))
}

/// What a task's `when` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether it holds; or why that cannot be said: a name without a value, a wrong type, a result that is neither true nor
    /// false (a text other than `true`, `false` and nothing), or too many steps.
    pub holds: Result<bool, TemplateError>,
    /// What it took: one step is some 0.1 µs, and there are at most 200,000.
    pub steps: u64,
}

/// Whether the task's `when` holds; a task without one always does.
pub fn eval_when(dag: &Dag, task: &Task, scope: &Scope<'_>) -> Answer {
    let Some(when) = &task.when else { return Answer { holds: Ok(true), steps: 0 } };
    let mut renderer = Renderer::new(dag, task, scope);
    let holds = renderer.condition(when).map_err(|message| renderer.error("when", message));
    Answer { holds, steps: renderer.meter.steps() }
}

/// The expression of a `when`, and where it stands in it: `{{ expression }}` or a bare one.
pub(super) fn expression(when: &str) -> Result<Range<usize>, &'static str> {
    let trimmed = when.trim();
    let lead = when.len() - when.trim_start().len();
    let (at, inner) = match trimmed.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
        Some(inner) => (lead + 2, inner),
        None => (lead, trimmed),
    };
    if inner.contains("{{") || inner.contains("{%") {
        return Err("`when` is one expression: `{{ params.region == 'eu' }}` or `params.region == 'eu'`");
    }
    Ok(at..at + inner.len())
}

/// Renders the texts of one attempt, on one meter.
pub(super) struct Renderer<'a> {
    dag: &'a Dag,
    task: &'a Task,
    scope: &'a Scope<'a>,
    meter: Meter,
    /// What templates can name, once one needs it.
    names: Option<AttemptNames<'a>>,
}

impl<'a> Renderer<'a> {
    fn new(dag: &'a Dag, task: &'a Task, scope: &'a Scope<'a>) -> Self {
        Self { dag, task, scope, meter: Meter::default(), names: None }
    }

    fn error(&self, field: &str, message: String) -> TemplateError {
        TemplateError { task: self.task.name.clone(), field: field.to_owned(), message }
    }

    /// What an evaluation needs.
    fn names_and_meter(&mut self) -> (&AttemptNames<'a>, &mut Meter) {
        let (dag, task, scope) = (self.dag, self.task, self.scope);
        (self.names.get_or_insert_with(|| AttemptNames::new(dag, task, scope)), &mut self.meter)
    }

    fn render(&mut self, text: &str, writer: &dyn Writer) -> Result<String, String> {
        let template = Template::read(text).map_err(|fault| fault.message)?;
        let (names, meter) = self.names_and_meter();
        template.render(names, writer, RENDERED_BYTES_MAX, meter)
    }

    /// A process that starts with these words, in the environment and the directory of its task.
    pub(super) fn process(&mut self, argv: Vec<String>) -> Result<Command, TemplateError> {
        let (dag, task, scope) = (self.dag, self.task, self.scope);
        let mut env = BTreeMap::new();
        for (name, text) in dag.env.iter().chain(&task.env) {
            env.insert(name.clone(), self.plain(&format!("env.{name}"), text)?);
        }
        env.extend(template_names::variables(dag, task, scope));
        let cwd = task.cwd.as_ref().map(|cwd| self.plain("cwd", cwd)).transpose()?;
        Ok(Command { argv, env, cwd })
    }

    /// The shell that takes a script of this task as its last argument.
    pub(super) fn shell_argv(&self) -> Vec<String> {
        let words: &[&str] = match self.scope.shell {
            DefaultShell::Bash => &["bash", "-euo", "pipefail", "-c"],
            DefaultShell::Sh => &["sh", "-eu", "-c"],
        };
        self.task.shell.clone().unwrap_or_else(|| words.iter().map(|&word| word.to_owned()).collect())
    }

    /// A text whose values stand as they are.
    pub(super) fn plain(&mut self, field: &str, text: &str) -> Result<String, TemplateError> {
        if !is_template(text) {
            return Ok(text.to_owned());
        }
        self.render(text, &Plain).map_err(|message| self.error(field, message))
    }

    /// A script whose values are quoted for where they stand.
    pub(super) fn script(&mut self, text: &str) -> Result<String, TemplateError> {
        if !is_template(text) {
            return Ok(text.to_owned());
        }
        let quotes = is_posix(self.task.shell.as_deref());
        let script = self.render(text, &Marked).and_then(|marked| {
            if !quotes && marked.contains(MARK) {
                return Err(FOREIGN_SHELL.to_owned());
            }
            shell::place(&marked).map_err(|refused| refused.reason.to_owned())
        });
        script.map_err(|message| self.error("run", message))
    }

    fn condition(&mut self, when: &str) -> Result<bool, String> {
        let part = expression(when)?;
        let expression = Expression::read(when, part.clone()).map_err(|fault| fault.message)?;
        let (names, meter) = self.names_and_meter();
        let value = expression.value(names, meter);
        value
            .and_then(|value| truth(&value))
            .map_err(|message| format!("`{}`: {message}", super::error::cut(when[part].trim())))
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

/// Values as text.
struct Plain;

impl Writer for Plain {
    fn write(&self, value: &Datum, out: &mut String, meter: &mut Meter) -> Result<(), String> {
        let from = out.len();
        value.write_text(out, meter)?;
        without_nul(&out[from..])
    }
}

/// Values marked for [`shell::place`], but those of `| raw`. A list is words.
struct Marked;

impl Writer for Marked {
    fn write(&self, value: &Datum, out: &mut String, meter: &mut Meter) -> Result<(), String> {
        let mut mark = |value: &Datum, out: &mut String| {
            out.push(MARK);
            Plain.write(value, out, meter)?;
            out.push(MARK);
            Ok(())
        };
        match value {
            Datum::Raw(_) => Plain.write(value, out, meter),
            Datum::List(list) => list.iter().enumerate().try_for_each(|(no, item)| {
                out.push_str(if no > 0 { " " } else { "" });
                mark(item, out)
            }),
            value => mark(value, out),
        }
    }
}

/// No program can be given a NUL, and scripts mark values with it.
fn without_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') { Err("the value holds a NUL character".to_owned()) } else { Ok(()) }
}

fn truth(value: &Datum) -> Result<bool, String> {
    let Some(text) = value.as_text() else {
        return value.is_true();
    };
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" | "" => Ok(false),
        text => {
            let text = super::error::cut(text);
            Err(format!("expected true or false, got the text `{text}`; compare it, as in `... == 'yes'`"))
        }
    }
}
