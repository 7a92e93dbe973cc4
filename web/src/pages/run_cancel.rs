//! `/runs/{run}/cancel`: names what it will end, then ends it.

use askama::Template;
use axum::extract::Path;
use axum::response::Redirect;
use rota_core::id::RunId;
use rota_core::port::IntentKind;
use rota_core::state::TaskState;

use crate::app::{Ctx, run_id};
use crate::error::{Error, Outcome};
use crate::intent;
use crate::pages::{Nav, Page, PageFrame, PageTopic};
use crate::show::look::StateStyle;
use crate::show::name::run_title;
use crate::show::time::span_short;
use crate::tasks::RunTasks;

/// Tasks that are named one by one.
const NAMED_MAX: usize = 20;

/// A task that ends.
pub(crate) struct EndingTask {
    pub(crate) task: String,
    pub(crate) look: StateStyle,
    pub(crate) says: String,
}

/// The page.
#[derive(Template)]
#[template(path = "run_cancel.html")]
pub(crate) struct CancelPage {
    frame: PageFrame,
    run: RunId,
    title: String,
    dag: String,
    ends: Vec<EndingTask>,
    more: usize,
    waiting: String,
}

/// `GET /runs/{run}/cancel`.
pub(crate) async fn show(ctx: Ctx, Path(run): Path<String>) -> Outcome<Page<CancelPage>> {
    let row = ctx.app.run(run_id(&run)?).await?;
    if row.state.is_terminal() {
        return Err(Error::Conflict(format!("run {} has ended; there is nothing to cancel", row.id)));
    }
    let frame = PageFrame::load(&ctx, Nav::Runs, PageTopic::Still).await?;
    let run = RunTasks::load(&ctx, row).await?;
    let active = |state| matches!(state, TaskState::Running | TaskState::Queued | TaskState::UpForRetry);
    let all = run.count(active);
    let ends = run.list.iter().filter(|task| active(task.state)).take(NAMED_MAX).map(|task| {
        let started =
            task.row.as_ref().and_then(|row| row.started_at).filter(|_| task.state == TaskState::Running);
        EndingTask {
            task: task.name.to_string(),
            look: StateStyle::task(task.state),
            says: started.map(|at| format!("for {}", span_short(ctx.moment.now - at))).unwrap_or_default(),
        }
    });
    Ok(Page(CancelPage {
        frame,
        run: run.run.id,
        title: run_title(&ctx.moment, &run.run),
        dag: run.run.dag.to_string(),
        ends: ends.collect(),
        more: all.saturating_sub(NAMED_MAX),
        waiting: waiting(run.count(|state| state == TaskState::Waiting)),
    }))
}

fn waiting(tasks: usize) -> String {
    match tasks {
        0 => "No other task waits.".to_owned(),
        1 => "One task that waits will not start.".to_owned(),
        many => format!("{many} tasks that wait will not start."),
    }
}

/// `POST /runs/{run}/cancel`.
pub(crate) async fn send(ctx: Ctx, Path(run): Path<String>) -> Outcome<Redirect> {
    let run = run_id(&run)?;
    intent::add(&ctx, run, IntentKind::Cancel).await?;
    Ok(Redirect::to(&format!("/runs/{run}?done=cancelled")))
}
