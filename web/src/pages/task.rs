//! `/runs/{run}/tasks/{task}`: attempts side by side, log, outputs, and the command as it ran.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Redirect, Response};
use chrono::Offset as _;
use rota_core::dag::{Action, Command, Dag, Rendered, Scope, Task, render};
use rota_core::id::RunId;
use rota_core::port::{RunRow, TaskRow};
use rota_core::state::TaskState;
use serde::Deserialize;

use crate::app::{Ctx, run_id};
use crate::error::{Error, Outcome};
use crate::pages::task_log::{self, ChosenAttempt, LogAnswer, LogQuery, LogView};
use crate::pages::{Nav, Page, PageFrame, PageTopic};
use crate::show::attempts::{AttemptLine, attempts, rail};
use crate::show::axis::Drawing;
use crate::show::home::sentence;
use crate::show::look::StateStyle;
use crate::show::name::run_title;
use crate::show::plain;
use crate::show::time::zone_name;
use crate::tasks::{RunTasks, attempts_of};

/// `?attempt=&index=`; which part of the log is in [`LogQuery`].
#[derive(Debug, Default, Deserialize)]
pub(crate) struct TaskQuery {
    attempt: Option<u32>,
    #[serde(default)]
    index: u32,
}

/// The page.
#[derive(Template)]
#[template(path = "task.html")]
pub(crate) struct TaskPage {
    frame: PageFrame,
    run: RunId,
    run_title: String,
    dag: String,
    task: String,
    look: StateStyle,
    pill: String,
    text: String,
    active: bool,
    rail: Option<Drawing>,
    attempts: Vec<AttemptLine>,
    said: String,
    log: LogView,
    log_url: String,
    chosen: u32,
    index: u32,
    offset_ms: i64,
    zone: String,
    outputs: Vec<(String, String)>,
    readers: String,
    shell: String,
    command: String,
    command_note: String,
    env: Vec<(String, String)>,
}

/// `GET /runs/{run}/tasks/{task}`.
pub(crate) async fn show(
    ctx: Ctx,
    Path((run, task)): Path<(String, String)>,
    Query(query): Query<TaskQuery>,
    Query(log_query): Query<LogQuery>,
) -> Outcome<Response> {
    let row = ctx.app.run(run_id(&run)?).await?;
    let (key, rows) = attempts_of(&ctx, &row, &task, query.index).await?;
    let frame = PageFrame::load(&ctx, Nav::Runs, PageTopic::Run(row.id)).await?;
    let run = RunTasks::load(&ctx, row).await?;
    let now =
        run.list.iter().find(|now| now.name.as_str() == task).ok_or_else(|| Error::missing("task", &task))?;
    let chosen = match query.attempt {
        Some(number) => rows.iter().find(|row| row.attempt == number),
        None => rows.last(),
    };
    if let (None, Some(number)) = (chosen, query.attempt) {
        return Err(Error::NotFound(format!("task `{task}` of run {} has no attempt {number}", run.run.id)));
    }
    let number = chosen.map_or(0, |row| row.attempt);
    let log = ctx.app.logs.open(&ctx.app.ports.store, key.attempt(number)).await?;
    let run_goes_on = !run.run.state.is_terminal();
    let wanted = ChosenAttempt { task: now, row: chosen, run_goes_on, index: query.index };
    let log = match task_log::show(&ctx, &log, &wanted, &log_query).await? {
        LogAnswer::Hit(to) => {
            return Ok(Redirect::to(&format!("/runs/{}/tasks/{task}{to}", run.run.id)).into_response());
        }
        LogAnswer::Page(log) => *log,
    };
    let local = ctx.moment.now.with_timezone(&ctx.moment.zone);
    let definition =
        run.dag.as_ref().and_then(|dag| Some((dag.clone(), dag.task(dag.task_no(&task)?).clone())));
    let (command, command_note) = command(&run, definition.as_ref(), number);
    let (shell, body) = words(&command, definition.as_ref());
    Ok(Page(TaskPage {
        run_title: run_title(&ctx.moment, &run.run),
        dag: run.run.dag.to_string(),
        look: StateStyle::task(now.state),
        pill: pill(now.state, &rows, definition.as_ref()),
        text: text(&run, now.why.as_deref(), definition.as_ref()),
        active: !run.run.state.is_terminal(),
        rail: rail(&ctx.moment, &rows),
        attempts: attempts(&ctx.moment, &rows, number),
        said: tries(&rows, definition.as_ref()),
        log_url: log_url(&run, &task, query.index, number),
        index: query.index,
        offset_ms: i64::from(local.offset().fix().local_minus_utc()) * 1000,
        zone: zone_name(ctx.moment.zone),
        outputs: outputs(chosen),
        readers: readers(definition.as_ref()),
        shell,
        command: body,
        env: command.env.into_iter().collect(),
        run: run.run.id,
        frame,
        task,
        log,
        chosen: number,
        command_note,
    })
    .into_response())
}

/// Without an attempt the newest one is meant, also one that comes later.
fn log_url(run: &RunTasks, task: &str, index: u32, attempt: u32) -> String {
    let attempt = if attempt > 0 { format!("&attempt={attempt}") } else { String::new() };
    format!("/api/v1/runs/{}/tasks/{task}/logs?index={index}{attempt}", run.run.id)
}

type Definition = (Arc<Dag>, Task);

fn pill(state: TaskState, rows: &[TaskRow], definition: Option<&Definition>) -> String {
    let word = StateStyle::task(state).word;
    match (rows.last().map(|row| row.attempt).filter(|attempt| *attempt > 0), definition) {
        (Some(attempt), Some((_, task))) if task.retries > 0 => {
            format!("{word}, attempt {attempt} of {}", task.retries + 1)
        }
        (Some(attempt), _) if attempt > 1 => format!("{word}, attempt {attempt}"),
        _ => word.to_owned(),
    }
}

fn text(run: &RunTasks, why: Option<&str>, definition: Option<&Definition>) -> String {
    let mut said = why.map(sentence).unwrap_or_default();
    if let Some((dag, task)) = definition
        && let Some(no) = dag.task_no(task.name.as_str())
    {
        let down = &dag.graph.down[no.0 as usize];
        let waiting: Vec<&str> = down
            .iter()
            .filter(|no| run.list.get(no.0 as usize).is_some_and(|task| task.state == TaskState::Waiting))
            .map(|no| dag.task(*no).name.as_str())
            .collect();
        if !waiting.is_empty() && !run.run.state.is_terminal() {
            let verb = if waiting.len() == 1 { "waits" } else { "wait" };
            said.push_str(&format!(" {} {verb} for it.", waiting.join(", ")));
        }
    }
    said.trim().to_owned()
}

fn tries(rows: &[TaskRow], definition: Option<&Definition>) -> String {
    let Some((_, task)) = definition else { return rows.len().to_string() };
    match (rows.len(), task.retries) {
        (0, 0) => "none yet".to_owned(),
        (0, retries) => format!("none yet, up to {}", retries + 1),
        (made, 0) => made.to_string(),
        (made, retries) => {
            let delay = rota_core::schedule::format_duration(task.backoff.delay);
            format!("{made} of {}, {delay} between them", retries + 1)
        }
    }
}

fn outputs(row: Option<&TaskRow>) -> Vec<(String, String)> {
    let outputs = row.and_then(|row| row.outputs.as_ref());
    outputs.into_iter().flatten().map(|(key, value)| (key.clone(), plain(value))).collect()
}

/// The tasks that read this one's outputs.
fn readers(definition: Option<&Definition>) -> String {
    let Some((dag, task)) = definition else { return String::new() };
    let Some(no) = dag.task_no(task.name.as_str()) else { return String::new() };
    let reads =
        |task: &&Task| task.reads_outputs_of.contains(&no) || task.when_reads_outputs_of.contains(&no);
    let names: Vec<&str> = dag.tasks.iter().filter(reads).map(|task| task.name.as_str()).collect();
    names.join(", ")
}

/// The command as the worker renders it, or the template with the reason why it cannot be rendered.
fn command(run: &RunTasks, definition: Option<&Definition>, attempt: u32) -> (Command, String) {
    let Some((dag, task)) = definition else {
        return (Command::default(), "The version of this run can no longer be read.".to_owned());
    };
    let outputs = upstream_outputs(run);
    let scope = scope(&run.run, &outputs, attempt);
    match render(dag, task, &scope) {
        Ok(Rendered::Nothing) => {
            (Command::default(), "It does nothing: it succeeds when a worker claims it.".to_owned())
        }
        Ok(Rendered::Process(command)) if attempt > 0 => (command, String::new()),
        Ok(Rendered::Process(command)) => (command, "As it would run now.".to_owned()),
        Err(error) => {
            let note = format!("The template, because it cannot be filled in yet: {error}.");
            (Command { argv: task.action.texts().to_vec(), ..Command::default() }, note)
        }
    }
}

/// The shell and the script, or nothing and the words of the command.
fn words(command: &Command, definition: Option<&Definition>) -> (String, String) {
    match (definition.map(|(_, task)| &task.action), command.argv.as_slice()) {
        (Some(Action::Script(_)), [shell @ .., script]) => (shell.join(" "), script.clone()),
        (_, argv) => (String::new(), argv.join(" ")),
    }
}

fn upstream_outputs(run: &RunTasks) -> BTreeMap<String, serde_json::Value> {
    let rows = run.list.iter().filter_map(|task| task.row.as_ref());
    rows.filter_map(|row| Some((row.name.to_string(), serde_json::Value::Object(row.outputs.clone()?))))
        .collect()
}

fn scope<'a>(run: &'a RunRow, outputs: &'a BTreeMap<String, serde_json::Value>, attempt: u32) -> Scope<'a> {
    Scope {
        run: run.id,
        run_state: run.state,
        slot: run.slot,
        interval_start: run.interval_start,
        created_at: run.created_at,
        params: &run.params,
        index: 0,
        attempt: attempt.max(1),
        outputs,
        shell: Default::default(),
    }
}
