//! `/runs/{run}/tasks`.

use axum::Json;
use axum::extract::Path;

use super::List;
use super::shapes::TaskShape;
use crate::app::{Ctx, run_id};
use crate::error::Outcome;
use crate::tasks::RunTasks;

/// `GET /runs/{run}/tasks`: every task of the run's version in file order, those that wait too.
pub(crate) async fn list(ctx: Ctx, Path(run): Path<String>) -> Outcome<Json<List<TaskShape>>> {
    let run = ctx.app.run(run_id(&run)?).await?;
    let tasks = RunTasks::load(&ctx, run).await?;
    let items = tasks
        .list
        .iter()
        .map(|task| {
            let shape =
                task.row.clone().map_or_else(|| TaskShape::waiting(task.name.as_str()), TaskShape::from);
            shape.with_why(task.why.clone())
        })
        .collect();
    Ok(Json(List { items, next_cursor: None }))
}
