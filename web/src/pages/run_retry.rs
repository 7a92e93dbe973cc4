//! `/runs/{run}/retry`: which tasks of a run are to run again, with everything downstream of them.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query};
use axum::response::Redirect;
use rota_core::id::RunId;
use rota_core::port::RetrySelection;
use serde::Deserialize;

use crate::app::{Ctx, run_id};
use crate::error::{Error, Outcome};
use crate::intent;
use crate::pages::{Nav, Page, PageFrame, PageTopic};
use crate::show::look::StateStyle;
use crate::show::name::run_title;
use crate::tasks::RunTasks;

/// Tasks listed.
const LISTED_MAX: usize = 500;

/// `?task=`.
#[derive(Debug, Deserialize)]
pub(crate) struct RetryQuery {
    task: Option<String>,
}

/// A task to choose.
pub(crate) struct RetryChoice {
    pub(crate) task: String,
    pub(crate) look: StateStyle,
    pub(crate) chosen: bool,
    /// How many tasks come after it.
    pub(crate) down: usize,
}

/// The page.
#[derive(Template)]
#[template(path = "run_retry.html")]
pub(crate) struct RetryPage {
    frame: PageFrame,
    run: RunId,
    title: String,
    dag: String,
    failed: Vec<String>,
    by_task: bool,
    choices: Vec<RetryChoice>,
}

/// `GET /runs/{run}/retry`.
pub(crate) async fn show(
    ctx: Ctx,
    Path(run): Path<String>,
    Query(query): Query<RetryQuery>,
) -> Outcome<Page<RetryPage>> {
    let row = ctx.app.run(run_id(&run)?).await?;
    let frame = PageFrame::load(&ctx, Nav::Runs, PageTopic::Still).await?;
    let run = RunTasks::load(&ctx, row).await?;
    let names = run.list.iter().filter(|task| task.state.ended_badly()).map(|task| task.name.to_string());
    let names: Vec<String> = names.collect();
    let choices = run.list.iter().take(LISTED_MAX).map(|task| RetryChoice {
        task: task.name.to_string(),
        look: StateStyle::task(task.state),
        chosen: query.task.as_deref() == Some(task.name.as_str()),
        down: run.dag.as_ref().map_or(0, |dag| dag.graph.down[task.no.0 as usize].len()),
    });
    Ok(Page(RetryPage {
        frame,
        run: run.run.id,
        title: run_title(&ctx.moment, &run.run),
        dag: run.run.dag.to_string(),
        choices: choices.collect(),
        by_task: query.task.is_some() || names.is_empty(),
        failed: names,
    }))
}

/// `POST /runs/{run}/retry`: `what=failed`, or `what=tasks` with a `task` for each.
pub(crate) async fn send(
    ctx: Ctx,
    Path(run): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Outcome<Redirect> {
    let run = run_id(&run)?;
    let whole = pairs.iter().any(|(name, value)| name == "what" && value == "failed");
    let selection = if whole {
        RetrySelection::Failed
    } else {
        let tasks: Vec<String> =
            pairs.into_iter().filter(|(name, _)| name == "task").map(|(_, value)| value).collect();
        if tasks.is_empty() {
            return Err(Error::Invalid("no task is chosen; go back and choose at least one".into()));
        }
        RetrySelection::Tasks(intent::task_names(&ctx, run, &tasks).await?)
    };
    intent::retry(&ctx, run, selection).await?;
    Ok(Redirect::to(&format!("/runs/{run}?done=retried")))
}
