//! `/workers/{worker}/drain`: says what it means, then asks the worker to take nothing more.

use askama::Template;
use axum::extract::Path;
use axum::response::Redirect;
use rota_core::id::QueueName;
use rota_core::port::{WorkerRow, WorkerState};

use crate::app::{Ctx, worker_id};
use crate::error::{Error, Outcome};
use crate::intent;
use crate::pages::{Nav, Page, PageFrame, PageTopic};
use crate::show::fleet;
use crate::show::look::{OK, StateStyle, WARN};
use crate::show::time::count;

/// The page.
#[derive(Template)]
#[template(path = "worker_drain.html")]
pub(crate) struct DrainPage {
    frame: PageFrame,
    worker: String,
    host: String,
    finishes: String,
    queues: Vec<TaskLeft>,
}

/// A queue, and who serves it then.
pub(crate) struct TaskLeft {
    name: String,
    look: StateStyle,
    says: String,
}

/// `GET /workers/{worker}/drain`.
pub(crate) async fn show(ctx: Ctx, Path(worker): Path<String>) -> Outcome<Page<DrainPage>> {
    let row = intent::worker_row(&ctx, &worker_id(&worker)?).await?;
    if row.state != WorkerState::Live {
        let is = if row.state == WorkerState::Draining { "is draining already" } else { "does not live" };
        return Err(Error::Conflict(format!("worker {} {is}; there is nothing to drain", row.id)));
    }
    let frame = PageFrame::load(&ctx, Nav::Cluster, PageTopic::Still).await?;
    let workers = ctx.app.ports.store.view_workers().await?;
    let finishes = match row.running {
        0 => "It runs nothing at this moment.".to_owned(),
        1 => "It finishes the task that it runs.".to_owned(),
        running => format!("It finishes the {} that it runs.", count(u64::from(running), "task")),
    };
    Ok(Page(DrainPage {
        frame,
        worker: row.id.to_string(),
        queues: fleet::queues(&row).map(|queue| left(queue, &row, &workers)).collect(),
        host: row.host,
        finishes,
    }))
}

fn left(queue: &QueueName, drained: &WorkerRow, workers: &[WorkerRow]) -> TaskLeft {
    let others = workers.iter().filter(|worker| {
        worker.state == WorkerState::Live && worker.id != drained.id && worker.queues.contains(queue)
    });
    let (number, slots) =
        others.fold((0u64, 0u64), |(number, slots), worker| (number + 1, slots + u64::from(worker.slots)));
    let (look, says) = match number {
        0 => (WARN, "no live worker is left: its tasks wait until one serves it".to_owned()),
        _ => (OK, format!("{} left with {}", count(number, "worker"), count(slots, "slot"))),
    };
    TaskLeft { name: queue.to_string(), look, says }
}

/// `POST /workers/{worker}/drain`.
pub(crate) async fn send(ctx: Ctx, Path(worker): Path<String>) -> Outcome<Redirect> {
    intent::drain(&ctx, &worker_id(&worker)?).await?;
    Ok(Redirect::to("/cluster?done=drained#workers"))
}
