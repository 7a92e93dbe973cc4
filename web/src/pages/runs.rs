//! `/runs`: all runs, newest first.

use askama::Template;
use axum::extract::Query;
use rota_core::id::RunId;
use rota_core::port::{RunFilter, RunRow};
use rota_core::state::RunState;
use serde::Deserialize;

use crate::api::run_states;
use crate::app::{Ctx, dag_id, run_id};
use crate::error::Outcome;
use crate::pages::{Nav, Page, PageFrame, PageTopic};
use crate::show::look::StateStyle;
use crate::show::name::run_name;
use crate::show::runs::took;
use crate::show::time::{LocalClock, Stamp, span};

/// Rows on one page.
const ROWS_MAX: usize = 50;

/// `?dag=&state=&before=`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct RunsQuery {
    #[serde(default)]
    dag: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    before: String,
}

/// A row.
pub(crate) struct ListedRun {
    pub(crate) run: RunId,
    pub(crate) dag: String,
    pub(crate) name: String,
    pub(crate) look: StateStyle,
    pub(crate) reason: String,
    pub(crate) created: Stamp,
    pub(crate) took: String,
}

/// The page.
#[derive(Template)]
#[template(path = "runs.html")]
pub(crate) struct RunsPage {
    frame: PageFrame,
    query: RunsQuery,
    title: String,
    states: Vec<(&'static str, StateStyle, bool)>,
    rows: Vec<ListedRun>,
    older: Option<RunId>,
}

/// `GET /runs`.
pub(crate) async fn show(ctx: Ctx, Query(query): Query<RunsQuery>) -> Outcome<Page<RunsPage>> {
    let dag = (!query.dag.is_empty()).then(|| dag_id(&query.dag)).transpose()?;
    let before = (!query.before.is_empty()).then(|| run_id(&query.before)).transpose()?;
    let states = run_states(Some(&query.state))?;
    let topic =
        if before.is_some() { PageTopic::Still } else { dag.clone().map_or(PageTopic::All, PageTopic::Dag) };
    let frame = PageFrame::load(&ctx, Nav::Runs, topic).await?;
    let filter = RunFilter { dag: dag.clone(), states, before, limit: ROWS_MAX + 1 };
    let mut runs = ctx.app.ports.store.view_runs(&filter).await?;
    let more = runs.len() > ROWS_MAX;
    runs.truncate(ROWS_MAX);
    Ok(Page(RunsPage {
        frame,
        title: dag.map_or("Runs".to_owned(), |dag| format!("Runs of {dag}")),
        states: RunState::ALL
            .iter()
            .map(|state| (state.as_str(), StateStyle::run(*state), query.state == state.as_str()))
            .collect(),
        older: runs.last().map(|run| run.id).filter(|_| more),
        rows: runs.iter().map(|run| row(&ctx.moment, run)).collect(),
        query,
    }))
}

fn row(moment: &LocalClock, run: &RunRow) -> ListedRun {
    let began = run.state != RunState::Queued;
    ListedRun {
        run: run.id,
        dag: run.dag.to_string(),
        name: run_name(moment, run),
        look: StateStyle::run(run.state),
        reason: run.reason.clone().unwrap_or_default(),
        created: moment.event(run.started_at.unwrap_or(run.created_at)),
        took: if began { span(took(run, moment.now)) } else { String::new() },
    }
}
