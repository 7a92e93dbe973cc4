//! `/workers`.

use axum::Json;

use super::List;
use super::shapes::WorkerShape;
use crate::app::Ctx;
use crate::error::Outcome;

/// `GET /workers`: those that live, and those seen within the last day.
pub(crate) async fn list(ctx: Ctx) -> Outcome<Json<List<WorkerShape>>> {
    let workers = ctx.app.ports.store.view_workers().await?;
    Ok(Json(List { items: workers.into_iter().map(WorkerShape::from).collect(), next_cursor: None }))
}
