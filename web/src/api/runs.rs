//! `/runs`: list, show, cancel, retry.

use axum::Json;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use rota_core::id::{DagId, RunId};
use rota_core::port::{IntentKind, RetrySelection, RunFilter};
use serde::Deserialize;

use super::shapes::RunShape;
use super::{List, limit, run_states};
use crate::app::{Ctx, dag_id, run_id};
use crate::error::{Error, Outcome};
use crate::intent;

/// `?dag=&state=&limit=&cursor=`.
#[derive(Debug, Deserialize)]
pub(crate) struct RunListQuery {
    dag: Option<String>,
    state: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// The body of a retry.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryBody {
    #[serde(default)]
    tasks: Vec<String>,
    #[serde(default)]
    failed_only: bool,
}

/// `GET /runs`: newest first.
pub(crate) async fn list(ctx: Ctx, Query(query): Query<RunListQuery>) -> Outcome<Json<List<RunShape>>> {
    let dag = query.dag.as_deref().map(dag_id).transpose()?;
    listed(ctx, dag, query).await
}

/// `GET /dags/{dag}/runs`: newest first.
pub(crate) async fn list_of_dag(
    ctx: Ctx,
    Path(dag): Path<String>,
    Query(query): Query<RunListQuery>,
) -> Outcome<Json<List<RunShape>>> {
    let dag = ctx.dag(&dag_id(&dag)?).await?.row.dag;
    listed(ctx, Some(dag), query).await
}

async fn listed(ctx: Ctx, dag: Option<DagId>, query: RunListQuery) -> Outcome<Json<List<RunShape>>> {
    let limit = limit(query.limit);
    let before = query.cursor.as_deref().map(cursor).transpose()?;
    let filter = RunFilter { dag, states: run_states(query.state.as_deref())?, before, limit: limit + 1 };
    let runs = ctx.app.ports.store.view_runs(&filter).await?;
    let shapes = runs.into_iter().map(RunShape::from).collect();
    Ok(Json(List::cut(shapes, limit, |run: &RunShape| run.id().to_string())))
}

fn cursor(text: &str) -> Outcome<RunId> {
    run_id(text).map_err(|_| {
        Error::BadRequest("`cursor` is none of ours; pass `next_cursor` of the page before".into())
    })
}

/// `GET /runs/{run}`.
pub(crate) async fn show(ctx: Ctx, Path(run): Path<String>) -> Outcome<Json<RunShape>> {
    Ok(Json(ctx.app.run(run_id(&run)?).await?.into()))
}

/// `POST /runs/{run}/cancel`: 202; the leader ends the run.
pub(crate) async fn cancel(ctx: Ctx, Path(run): Path<String>) -> Outcome<(StatusCode, Json<RunShape>)> {
    let run = intent::add(&ctx, run_id(&run)?, IntentKind::Cancel).await?;
    Ok((StatusCode::ACCEPTED, Json(run.into())))
}

/// `POST /runs/{run}/retry`: 202; the leader runs the tasks again.
pub(crate) async fn retry(
    ctx: Ctx,
    Path(run): Path<String>,
    Json(body): Json<RetryBody>,
) -> Outcome<(StatusCode, Json<RunShape>)> {
    let id = run_id(&run)?;
    let selection = match (body.tasks.as_slice(), body.failed_only) {
        ([], true) => RetrySelection::Failed,
        ([], false) => return Err(Error::Invalid("name `tasks`, or set `failed_only` to true".into())),
        (_, true) => return Err(Error::Invalid("give either `tasks` or `failed_only`, not both".into())),
        (tasks, false) => RetrySelection::Tasks(intent::task_names(&ctx, id, tasks).await?),
    };
    let run = intent::retry(&ctx, id, selection).await?;
    Ok((StatusCode::ACCEPTED, Json(run.into())))
}
