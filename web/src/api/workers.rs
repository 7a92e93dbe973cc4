//! `/workers`: list, drain.

use axum::Json;
use axum::extract::Path;

use super::shapes::WorkerShape;
use super::{List, Switched};
use crate::app::{Ctx, worker_id};
use crate::error::Outcome;
use crate::intent;

/// `GET /workers`: those that live, and those seen within the last day.
pub(crate) async fn list(ctx: Ctx) -> Outcome<Json<List<WorkerShape>>> {
    let workers = ctx.app.ports.store.view_workers().await?;
    Ok(Json(List { items: workers.into_iter().map(WorkerShape::from).collect(), next_cursor: None }))
}

/// `POST /workers/{worker}/drain`: it takes nothing more and finishes what it has. Answers with the worker as it is now,
/// which may be before it has heard.
pub(crate) async fn drain(ctx: Ctx, Path(worker): Path<String>) -> Outcome<Json<Switched<WorkerShape>>> {
    let worker = worker_id(&worker)?;
    let changed = intent::drain(&ctx, &worker).await?;
    let row = intent::worker_row(&ctx, &worker).await?;
    Ok(Json(Switched { now: WorkerShape::from(row), changed }))
}
