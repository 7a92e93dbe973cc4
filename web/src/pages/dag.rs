//! `/dags/{dag}`: how this DAG fared, its slots before and after now, its graph, its ledger.

use askama::Template;
use axum::extract::{Path, Query};
use chrono::{DateTime, Utc};
use rota_core::dag::{Dag, Remark};
use rota_core::id::RunId;
use rota_core::port::{RunFilter, RunRow, SlotFilter, SlotRow, TaskRow};
use rota_core::schedule::{Catchup, Schedule, Zone};
use rota_core::state::{RunState, TaskState};
use serde::Deserialize;

use crate::app::{Ctx, FoundDag, dag_id};
use crate::error::Outcome;
use crate::pages::{Nav, Page, PageFrame, PageTopic};
use crate::show::axis::Drawing;
use crate::show::course::{CourseFire, CoursePast, by_id, next, rail, slot_look};
use crate::show::graph::{Graph, NodeState, graph};
use crate::show::grid::{Grid, RUNS_MAX, grid, run_at};
use crate::show::look::StateStyle;
use crate::show::name::{run_name, the_run};
use crate::show::runs::{took, typical};
use crate::show::slots::ScheduleWords;
use crate::show::time::{LocalClock, Stamp, count, is_utc, span, span_short, utc, zone_name};
use crate::tasks::join;

/// Runs read: for the grid, the rail and the typical duration.
const RUNS_READ: usize = 60;
/// Ledger entries read for the rail, and shown.
const SLOTS_READ: usize = 60;
const SLOTS_SHOWN: usize = 8;

/// `?done=`.
#[derive(Debug, Deserialize)]
pub(crate) struct DagQuery {
    done: Option<String>,
}

/// What every page of a DAG has above its tabs.
pub(crate) struct DagHead {
    pub(crate) dag: String,
    pub(crate) owner: String,
    pub(crate) description: String,
    pub(crate) tags: Vec<String>,
    pub(crate) scheduled: bool,
    pub(crate) paused: bool,
    pub(crate) present: bool,
    pub(crate) readable: bool,
    /// Whether the file on disk cannot be read, and an older version goes on.
    pub(crate) broken: bool,
    pub(crate) tab: &'static str,
}

/// A fact.
pub(crate) struct DagFact {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) under: String,
    pub(crate) look: Option<StateStyle>,
    pub(crate) href: String,
}

/// An entry of the ledger.
pub(crate) struct DagSlot {
    pub(crate) at: Stamp,
    /// The last slot of a range.
    pub(crate) to: Option<Stamp>,
    pub(crate) look: StateStyle,
    pub(crate) says: String,
    pub(crate) run: Option<RunId>,
}

/// The page.
#[derive(Template)]
#[template(path = "dag.html")]
pub(crate) struct DagPage {
    frame: PageFrame,
    head: DagHead,
    remarks: Vec<Remark>,
    pill: Option<(StateStyle, String)>,
    facts: Vec<DagFact>,
    rail: Option<Drawing>,
    grid: Option<Grid>,
    zone: String,
    /// The zone of the second column of fire times.
    beside: Option<String>,
    fires: Vec<CourseFire>,
    ledger: Vec<DagSlot>,
    graph: Option<Graph>,
    graph_of: String,
    graph_run: Option<RunId>,
    tasks: usize,
}

/// `GET /dags/{dag}`.
pub(crate) async fn show(
    ctx: Ctx,
    Path(dag): Path<String>,
    Query(query): Query<DagQuery>,
) -> Outcome<Page<DagPage>> {
    let found = ctx.dag(&dag_id(&dag)?).await?;
    let store = &*ctx.app.ports.store;
    let id = found.row.dag.clone();
    let frame =
        PageFrame::load(&ctx, Nav::Dags, PageTopic::Dag(id.clone())).await?.done(query.done.as_deref());
    let filter = RunFilter { dag: Some(id.clone()), limit: RUNS_READ, ..RunFilter::default() };
    let runs = store.view_runs(&filter).await?;
    let slots = SlotFilter { dag: Some(id.clone()), limit: SLOTS_READ, ..SlotFilter::default() };
    let slots = store.view_slots(&slots).await?;
    let known = CoursePast { runs: &runs, slots: &slots, since: known_since(&runs, &slots) };
    let states = vec![RunState::Success, RunState::Failed, RunState::Cancelled];
    let ended = RunFilter { dag: Some(id), states, limit: 1, ..RunFilter::default() };
    let ended = store.view_runs(&ended).await?;
    let ids: Vec<RunId> = runs.iter().take(RUNS_MAX).map(|run| run.id).collect();
    let tasks = store.tasks_of_runs(&ids).await?;
    let schedule = found.dag.as_ref().and_then(|dag| dag.schedule.clone());
    let beside = ctx.moment.beside(schedule.as_ref().map(|schedule| schedule.spec().timezone));
    let (graph, graph_of, graph_run) = drawn(&ctx, found.dag.as_deref(), &runs, &tasks).await?;
    Ok(Page(DagPage {
        frame,
        head: DagHead::load(&ctx, &found, "").await?,
        remarks: found.dag.as_ref().map(|dag| dag.remarks.clone()).unwrap_or_default(),
        pill: pill(&ctx.moment, &found, &runs),
        facts: facts(&ctx.moment, &found, (ended.first(), &runs)),
        rail: rail(&ctx.moment, schedule.as_ref().filter(|_| !found.row.paused), known),
        grid: found
            .dag
            .as_deref()
            .filter(|_| !runs.is_empty())
            .map(|dag| grid(&ctx.moment, dag, &runs, &tasks)),
        zone: zone_name(ctx.moment.zone),
        beside: beside.map(zone_name),
        fires: fires(&ctx.moment, beside, &found),
        ledger: ledger(&ctx.moment, &slots, &runs),
        graph,
        graph_of,
        graph_run,
        tasks: found.dag.as_ref().map_or(0, |dag| dag.tasks.len()),
    }))
}

impl DagHead {
    /// Of this DAG, on the tab of that name.
    pub(crate) async fn load(ctx: &Ctx, found: &FoundDag, tab: &'static str) -> Outcome<Self> {
        let broken = ctx.app.files_broken().await? > 0 && {
            let files = ctx.app.ports.store.files_broken().await?;
            files.iter().any(|file| file.dag.as_ref() == Some(&found.row.dag))
        };
        let dag = found.dag.as_deref();
        Ok(Self {
            dag: found.row.dag.to_string(),
            owner: dag.and_then(|dag| dag.owner.clone()).unwrap_or_default(),
            description: dag.and_then(|dag| dag.description.clone()).unwrap_or_default(),
            tags: dag.map(|dag| dag.tags.clone()).unwrap_or_default(),
            scheduled: dag.is_some_and(|dag| dag.schedule.is_some()),
            paused: found.row.paused,
            present: found.row.present,
            readable: dag.is_some(),
            broken,
            tab,
        })
    }
}

/// From when on the runs and slots that were read are all there are; `None`: they all were read.
fn known_since(runs: &[RunRow], slots: &[SlotRow]) -> Option<DateTime<Utc>> {
    let run = runs.last().filter(|_| runs.len() >= RUNS_READ).map(run_at);
    let slot = slots.last().filter(|_| slots.len() >= SLOTS_READ).map(|slot| slot.slot);
    run.max(slot)
}

fn pill(moment: &LocalClock, found: &FoundDag, runs: &[RunRow]) -> Option<(StateStyle, String)> {
    if found.row.paused {
        return Some((crate::show::look::PAUSED, "paused".to_owned()));
    }
    let run = runs.first()?;
    let look = StateStyle::run(run.state);
    let text = match run.state {
        RunState::Running => format!("running, {}", span_short(took(run, moment.now))),
        RunState::Queued | RunState::Success | RunState::Failed | RunState::Cancelled => look.word.to_owned(),
    };
    Some((look, text))
}

fn fact(name: &'static str, value: String, under: String) -> DagFact {
    DagFact { name, value, under, look: None, href: String::new() }
}

fn facts(moment: &LocalClock, found: &FoundDag, (ended, runs): (Option<&RunRow>, &[RunRow])) -> Vec<DagFact> {
    let row = &found.row;
    let dag = found.dag.as_deref();
    let schedule = dag.and_then(|dag| dag.schedule.as_ref());
    let mut facts = Vec::new();
    let says = schedule.map(ScheduleWords::of);
    let (text, zone) =
        says.map_or(("only when triggered".to_owned(), String::new()), |says| (says.text, says.zone));
    facts.push(fact("Schedule", text, zone));
    let next = row.next_slot.filter(|_| schedule.is_some() && !row.paused && row.present);
    facts.push(match next {
        Some(at) => fact(
            "Next slot",
            format!("{}, {}", moment.slot_named(at), moment.until(at)),
            if is_utc(moment.zone) { String::new() } else { format!("{} UTC", utc(at)) },
        ),
        None if row.paused => fact("Next slot", "none while paused".to_owned(), String::new()),
        None => fact("Next slot", "none".to_owned(), String::new()),
    });
    facts.push(last_finished(moment, ended));
    let fraction = runs.iter().filter(|run| run.state == RunState::Success).count();
    facts.push(match typical(runs, moment.now) {
        Some(middle) => {
            fact("Typical run", span(middle), format!("median of the last {fraction} that succeeded"))
        }
        None => fact("Typical run", "not known yet".to_owned(), String::new()),
    });
    if let (Some(dag), Some(schedule)) = (dag, schedule) {
        facts.push(piling(dag, schedule));
    }
    let href = format!("/dags/{}/file", row.dag);
    let age = format!("version {}, {} old", row.version, span_short(moment.now - row.updated_at));
    facts.push(DagFact { href, ..fact("File", row.path.clone(), age) });
    facts
}

fn last_finished(moment: &LocalClock, last: Option<&RunRow>) -> DagFact {
    let Some((run, at)) = last.and_then(|run| Some((run, run.finished_at?))) else {
        return fact("Last finished run", "none yet".to_owned(), String::new());
    };
    let look = StateStyle::run(run.state);
    DagFact {
        look: Some(look),
        href: format!("/runs/{}", run.id),
        ..fact(
            "Last finished run",
            format!("{} {}", look.word, moment.event(at).text),
            format!("{}, after {}", run_name(moment, run), span(took(run, moment.now))),
        )
    }
}

fn piling(dag: &Dag, schedule: &Schedule) -> DagFact {
    use rota_core::dag::Overlap;
    let late = match schedule.spec().catchup {
        Catchup::None => "Old slots are missed",
        Catchup::Latest => "The latest of old slots fires",
        Catchup::All => "Every old slot fires",
    };
    let overlap = match dag.overlap {
        Overlap::Queue => "later ones queue",
        Overlap::Skip => "later slots are skipped",
        Overlap::CancelPrevious => "the oldest is cancelled",
    };
    let active = count(u64::from(dag.max_active_runs), "active run");
    fact("When slots pile up", late.to_owned(), format!("{active}, {overlap}"))
}

fn fires(moment: &LocalClock, beside: Option<Zone>, found: &FoundDag) -> Vec<CourseFire> {
    let goes_on = found.row.present && !found.row.paused;
    let schedule = found.dag.as_ref().and_then(|dag| dag.schedule.as_ref()).filter(|_| goes_on);
    schedule.map(|schedule| next(moment, beside, schedule)).unwrap_or_default()
}

fn ledger(moment: &LocalClock, slots: &[SlotRow], runs: &[RunRow]) -> Vec<DagSlot> {
    let runs = by_id(runs);
    let one = |slot: &SlotRow| DagSlot {
        at: moment.slot(slot.slot),
        to: (slot.count > 1).then(|| moment.slot(slot.to)),
        look: slot_look(slot, &runs),
        says: says(slot),
        run: slot.run,
    };
    slots.iter().take(SLOTS_SHOWN).map(one).collect()
}

/// What a ledger entry says beside its outcome: how late, how many, why.
pub(crate) fn says(slot: &SlotRow) -> String {
    let mut parts = Vec::new();
    if slot.count > 1 {
        parts.push(count(slot.count, "slot"));
    }
    match &slot.reason {
        Some(reason) => parts.push(reason.clone()),
        None if slot.run.is_some() => parts.push(format!("{} late", span(slot.decided_at - slot.slot))),
        None => {}
    }
    parts.join(", ")
}

/// The graph as it stands in the run that says most: an active one, else the newest.
async fn drawn(
    ctx: &Ctx,
    dag: Option<&Dag>,
    runs: &[RunRow],
    tasks: &[TaskRow],
) -> Outcome<(Option<Graph>, String, Option<RunId>)> {
    let Some(dag) = dag else { return Ok((None, String::new(), None)) };
    let run = runs.iter().find(|run| run.state == RunState::Running).or(runs.first());
    let Some(run) = run.filter(|run| ctx_same_tasks(dag, run, tasks)) else {
        let bare = vec![NodeState { state: None, note: String::new(), href: String::new() }; dag.tasks.len()];
        return Ok((graph(dag, &bare), "as the file says".to_owned(), None));
    };
    let rows = tasks.iter().filter(|row| row.key.run == run.id).cloned().collect();
    let states: Vec<NodeState> = join(Some(dag), rows)
        .into_iter()
        .map(|task| NodeState {
            state: Some(task.state),
            note: task.row.as_ref().map(|row| note(&ctx.moment, row)).unwrap_or_default(),
            href: format!("/runs/{}/tasks/{}", run.id, task.name),
        })
        .collect();
    let of = format!("as it stands in {}", the_run(&ctx.moment, run));
    Ok((graph(dag, &states), of, Some(run.id)))
}

/// Whether a run's tasks are those of the current version, so that places mean the same.
fn ctx_same_tasks(dag: &Dag, run: &RunRow, tasks: &[TaskRow]) -> bool {
    tasks
        .iter()
        .filter(|row| row.key.run == run.id)
        .all(|row| dag.tasks.get(row.key.task.0 as usize).is_some_and(|task| task.name == row.name))
}

/// One line about a task's attempt.
pub(crate) fn note(moment: &LocalClock, row: &TaskRow) -> String {
    let took = || {
        let from = row.started_at?;
        Some(span(row.finished_at.unwrap_or(moment.now) - from))
    };
    match row.state {
        TaskState::Success if row.attempt > 1 => {
            format!("{}, attempt {}", took().unwrap_or_default(), row.attempt)
        }
        TaskState::Success | TaskState::Running => took().unwrap_or_default(),
        TaskState::UpForRetry => {
            row.retry_at.map(|at| format!("again {}", moment.until(at))).unwrap_or_default()
        }
        TaskState::Waiting
        | TaskState::Queued
        | TaskState::Deferred
        | TaskState::Failed
        | TaskState::UpstreamFailed
        | TaskState::Skipped
        | TaskState::Cancelled => row.error.clone().unwrap_or_default(),
    }
}
