//! `/dags`: list, show, pause, trigger.

use axum::Json;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rota_core::port::{Change, Object};
use serde::Deserialize;

use super::exact::Exact;
use super::shapes::{DagShape, RunShape, SourceShape};
use super::{List, Switched, limit};
use crate::app::{Ctx, dag_id};
use crate::error::{Error, Outcome};
use crate::trigger::{self, TriggerWish};

/// `?limit=&cursor=`.
#[derive(Debug, Deserialize)]
pub(crate) struct DagListQuery {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// The body of a PATCH.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DagPatch {
    paused: bool,
}

/// The body of a trigger.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TriggerBody {
    #[serde(default)]
    params: Object,
    #[serde(default)]
    idempotency_key: Option<String>,
}

/// `GET /dags`: by id.
pub(crate) async fn list(ctx: Ctx, Query(query): Query<DagListQuery>) -> Outcome<Json<List<DagShape>>> {
    let store = &*ctx.app.ports.store;
    let limit = limit(query.limit);
    let after = query.cursor.unwrap_or_default();
    let mut rows = store.dags_load().await?;
    rows.retain(|row| row.dag.as_str() > after.as_str());
    rows.truncate(limit + 1);
    let dags = ctx.app.catalog.current(store, &rows).await?;
    let shapes = rows.into_iter().zip(dags).map(|(row, dag)| DagShape::new(row, dag.as_deref())).collect();
    Ok(Json(List::cut(shapes, limit, |dag: &DagShape| dag.id().to_owned())))
}

/// `GET /dags/{dag}`.
pub(crate) async fn show(ctx: Ctx, Path(dag): Path<String>) -> Outcome<Json<DagShape>> {
    let found = ctx.dag(&dag_id(&dag)?).await?;
    Ok(Json(DagShape::new(found.row, found.dag.as_deref())))
}

/// `GET /dags/{dag}/source`: the text of its current version, with the path of its file.
pub(crate) async fn source(ctx: Ctx, Path(dag): Path<String>) -> Outcome<Json<SourceShape>> {
    let row = ctx.dag(&dag_id(&dag)?).await?.row;
    let found = ctx.app.ports.store.view_source(&row.dag, row.version).await?;
    let (source, _) = found.ok_or_else(|| Error::missing("version of DAG", row.dag.as_str()))?;
    Ok(Json(SourceShape { dag: row.dag.to_string(), version: row.version.0, path: row.path, source }))
}

/// `PATCH /dags/{dag}`: holds or releases its schedule.
pub(crate) async fn patch(
    ctx: Ctx,
    Path(dag): Path<String>,
    Json(patch): Json<DagPatch>,
) -> Outcome<Json<Switched<DagShape>>> {
    let id = dag_id(&dag)?;
    let changed = ctx.app.ports.store.dag_pause(&id, patch.paused, &ctx.who.actor).await?;
    ctx.app.wake(Change::Dag(id.clone())).await;
    let found = ctx.dag(&id).await?;
    Ok(Json(Switched { now: DagShape::new(found.row, found.dag.as_deref()), changed }))
}

/// `POST /dags/{dag}/runs`: 201 with the new run, 200 with the one that the same key made before.
pub(crate) async fn trigger(
    ctx: Ctx,
    Path(dag): Path<String>,
    Exact(body): Exact<TriggerBody>,
) -> Outcome<Response> {
    let found = ctx.dag(&dag_id(&dag)?).await?;
    let wish = TriggerWish { params: body.params, idempotency_key: body.idempotency_key };
    let triggered = trigger::run(&ctx, &found, wish).await?;
    let status = if triggered.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(RunShape::from(triggered.run))).into_response())
}
