//! `/runs/{run}`: what holds this run up or why it ended so, its graph, and its tasks in time.

use askama::Template;
use axum::extract::{Path, Query};
use rota_core::id::RunId;
use rota_core::port::{RunFilter, RunRow, SlotFilter};
use rota_core::state::{RunState, TaskState, Trigger};
use serde::Deserialize;

use crate::app::{Ctx, run_id};
use crate::error::Outcome;
use crate::pages::dag::{DagFact, note};
use crate::pages::{Nav, Page, PageFrame, PageTopic};
use crate::show::gantt::{Gantt, History, gantt};
use crate::show::graph::{Graph, NodeState, graph};
use crate::show::home::sentence;
use crate::show::look::{StateStyle, WARN};
use crate::show::name::run_title;
use crate::show::runs::{took, typical};
use crate::show::time::{LocalClock, count, is_utc, span, span_short, utc, zone_name};
use crate::tasks::RunTasks;

/// Tasks whose earlier attempts are read for the table.
const HISTORY_MAX: usize = 30;
/// Tasks named above the graph; the table names all.
const NAMED_MAX: usize = 4;
/// Tasks shown in the table.
const LINES_MAX: usize = 500;

/// `?done=`.
#[derive(Debug, Deserialize)]
pub(crate) struct RunQuery {
    done: Option<String>,
}

/// What stops the run, or how it ended.
pub(crate) struct Callout {
    pub(crate) look: StateStyle,
    pub(crate) title: String,
    /// Each with the task it is about, if it is about one.
    pub(crate) lines: Vec<(String, String)>,
    /// How many tasks more there are to be said of.
    pub(crate) more: usize,
}

impl Callout {
    /// The same in words.
    pub(crate) fn more_said(&self) -> Option<String> {
        (self.more > 0).then(|| format!("and {}", count(self.more as u64, "more task")))
    }
}

/// The page.
#[derive(Template)]
#[template(path = "run.html")]
pub(crate) struct RunPage {
    frame: PageFrame,
    run: RunId,
    dag: String,
    title: String,
    look: StateStyle,
    pill: String,
    active: bool,
    retryable: bool,
    earlier: Option<(RunId, String)>,
    callout: Option<Callout>,
    facts: Vec<DagFact>,
    params: Vec<(String, String)>,
    legend: Vec<(StateStyle, usize)>,
    graph: Option<Graph>,
    gantt: Gantt,
    tasks: usize,
    more: usize,
}

/// `GET /runs/{run}`.
pub(crate) async fn show(
    ctx: Ctx,
    Path(run): Path<String>,
    Query(query): Query<RunQuery>,
) -> Outcome<Page<RunPage>> {
    let row = ctx.app.run(run_id(&run)?).await?;
    let id = row.id;
    let frame = PageFrame::load(&ctx, Nav::Runs, PageTopic::Run(id)).await?.done(query.done.as_deref());
    let run = RunTasks::load(&ctx, row).await?;
    let filter =
        RunFilter { dag: Some(run.run.dag.clone()), before: Some(id), limit: 25, ..RunFilter::default() };
    let before = ctx.app.ports.store.view_runs(&filter).await?;
    let history = history(&ctx, &run).await?;
    let look = StateStyle::run(run.run.state);
    let shown = &run.list[..run.list.len().min(LINES_MAX)];
    Ok(Page(RunPage {
        frame,
        run: id,
        dag: run.run.dag.to_string(),
        title: run_title(&ctx.moment, &run.run),
        look,
        pill: format!("{}, {}", look.word, span(took(&run.run, ctx.moment.now))),
        active: !run.run.state.is_terminal(),
        retryable: run.run.state.is_terminal(),
        earlier: before.first().map(|run| (run.id, run_title(&ctx.moment, run))),
        callout: callout(&run),
        facts: facts(&ctx, &run, &before).await?,
        params: run
            .run
            .params
            .iter()
            .map(|(name, value)| (name.clone(), crate::show::plain(value)))
            .collect(),
        legend: legend(&run),
        graph: run.dag.as_ref().and_then(|dag| graph(dag, &nodes(&ctx.moment, &run))),
        gantt: gantt(&ctx.moment, &run.run, shown, &history),
        tasks: run.list.len(),
        more: run.list.len() - shown.len(),
    }))
}

async fn history(ctx: &Ctx, run: &RunTasks) -> Outcome<History> {
    let mut history = History::new();
    let again = run.list.iter().filter_map(|task| task.row.as_ref()).filter(|row| row.attempt > 1);
    for row in again.take(HISTORY_MAX) {
        history.insert(row.key.task, ctx.app.ports.store.view_attempts(row.key).await?);
    }
    Ok(history)
}

/// The failures of a run that failed, or the waits of one that does not move.
fn callout(run: &RunTasks) -> Option<Callout> {
    let whole = |look, title: &str, why: &Option<String>| {
        let lines = why.iter().map(|why| (String::new(), sentence(why))).collect();
        Some(Callout { look, title: title.to_owned(), lines, more: 0 })
    };
    let look = StateStyle::run(run.run.state);
    match run.run.state {
        RunState::Success => None,
        RunState::Queued => whole(look, "This run has not started", &run.why),
        RunState::Cancelled => whole(look, "This run was cancelled", &run.why),
        RunState::Failed => {
            let after = run.count(|state| state == TaskState::UpstreamFailed) as u64;
            let title = match after {
                0 => "This run failed".to_owned(),
                after => format!("This run failed; {} did not run because of it", count(after, "task")),
            };
            let failed = of_tasks(run, &[TaskState::Failed]);
            failed.map_or_else(
                || whole(look, &title, &run.why),
                |(lines, more)| Some(Callout { look, title: title.clone(), lines, more }),
            )
        }
        RunState::Running => match &run.run.ending {
            Some(ending) => whole(WARN, "This run is being ended", &Some(ending.reason.clone())),
            None => held_up(run),
        },
    }
}

/// What an active run waits for; `None` if it moves.
fn held_up(run: &RunTasks) -> Option<Callout> {
    let bad = of_tasks(run, &[TaskState::UpForRetry, TaskState::Failed]);
    if bad.is_none() && run.count(|state| state == TaskState::Running) > 0 {
        return None;
    }
    let (lines, more) = bad.or_else(|| of_tasks(run, &[TaskState::Queued, TaskState::Waiting]))?;
    let title = match lines.len() + more {
        1 => "One task holds this run up".to_owned(),
        many => format!("{many} tasks hold this run up"),
    };
    Some(Callout { look: StateStyle::task(TaskState::UpForRetry), title, lines, more })
}

/// Some tasks in these states with what is to be said of them, and how many more there are; `None` without any.
fn of_tasks(run: &RunTasks, states: &[TaskState]) -> Option<(Vec<(String, String)>, usize)> {
    let all: Vec<&crate::tasks::TaskNow> =
        run.list.iter().filter(|task| states.contains(&task.state)).collect();
    let say = |task: &&crate::tasks::TaskNow| {
        let error = task.row.as_ref().and_then(|row| row.error.clone());
        let why = task.why.clone().or(error).unwrap_or_else(|| "no reason was recorded".to_owned());
        (task.name.to_string(), why)
    };
    let lines: Vec<_> = all.iter().take(NAMED_MAX).map(say).collect();
    let more = all.len() - lines.len();
    (!lines.is_empty()).then_some((lines, more))
}

async fn facts(ctx: &Ctx, run: &RunTasks, before: &[RunRow]) -> Outcome<Vec<DagFact>> {
    let (row, local) = (&run.run, &ctx.moment);
    let fact = |name, value, under| DagFact { name, value, under, look: None, href: String::new() };
    let mut facts = Vec::new();
    match row.slot {
        Some(slot) => {
            let late = fired_late(ctx, row).await?.unwrap_or_default();
            let value = format!("{} {}", local.slot(slot).text, zone_name(local.zone));
            let in_utc = format!("{} UTC, {late}", utc(slot));
            let under = if is_utc(local.zone) { late } else { in_utc };
            facts.push(fact("Slot", value, under.trim_end_matches(", ").to_owned()));
        }
        None => facts.push(fact("Slot", "none".to_owned(), "triggered, not scheduled".to_owned())),
    }
    let done = run.count(TaskState::is_terminal);
    let usual = typical(before, ctx.moment.now);
    let under = usual.map(|usual| format!("typical run {}", span_short(usual))).unwrap_or_default();
    facts.push(fact("Done", format!("{done} of {}", count(run.list.len() as u64, "task")), under));
    facts.push(match (row.finished_at, row.started_at) {
        (Some(end), _) => {
            fact("Ended", local.event(end).text, format!("after {}", span(took(row, ctx.moment.now))))
        }
        (None, Some(start)) => {
            fact("Began", local.event(start).text, format!("{} ago", ctx.moment.since(start)))
        }
        (None, None) => fact("Created", local.event(row.created_at).text, "not started".to_owned()),
    });
    let by = match row.trigger {
        Trigger::Schedule => "its schedule".to_owned(),
        Trigger::Manual => "a trigger".to_owned(),
        Trigger::Backfill => "a backfill".to_owned(),
        Trigger::Parent => "a task of another run".to_owned(),
    };
    facts.push(fact("Started by", by, format!("run {}", row.id)));
    if let (Some(from), Some(slot)) = (row.interval_start, row.slot) {
        let value = format!("{} to {}", local.slot(from).text, local.slot(slot).text);
        facts.push(fact("Data interval", value, "the slot before, to this one".to_owned()));
    }
    facts.push(DagFact {
        href: format!("/dags/{}/file?version={}", row.dag, row.version),
        ..fact("Version", format!("version {}", row.version), "the file as this run knows it".to_owned())
    });
    Ok(facts)
}

/// `fired 38 ms late`, from the ledger.
async fn fired_late(ctx: &Ctx, run: &RunRow) -> Outcome<Option<String>> {
    let Some(slot) = run.slot else { return Ok(None) };
    let before = Some(slot + chrono::TimeDelta::milliseconds(1));
    let dag = Some(run.dag.clone());
    let filter = SlotFilter { dag, since: Some(slot), before, limit: 1, ..SlotFilter::default() };
    let entries = ctx.app.ports.store.view_slots(&filter).await?;
    let entry = entries.first().filter(|entry| entry.run == Some(run.id));
    Ok(entry.map(|entry| format!("fired {} late", span(entry.decided_at - entry.slot))))
}

fn legend(run: &RunTasks) -> Vec<(StateStyle, usize)> {
    let of = |state: &TaskState| (StateStyle::task(*state), run.count(|known| known == *state));
    TaskState::ALL.iter().map(of).filter(|(_, number)| *number > 0).collect()
}

fn nodes(moment: &LocalClock, run: &RunTasks) -> Vec<NodeState> {
    let node = |task: &crate::tasks::TaskNow| NodeState {
        state: Some(task.state),
        note: task
            .why
            .clone()
            .unwrap_or_else(|| task.row.as_ref().map(|row| note(moment, row)).unwrap_or_default()),
        href: format!("/runs/{}/tasks/{}", run.run.id, task.name),
    };
    run.list.iter().map(node).collect()
}
