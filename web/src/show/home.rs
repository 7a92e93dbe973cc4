//! The lists of the home page: what failed, what was missed, what runs, what comes.

use std::collections::HashMap;

use chrono::TimeDelta;
use rota_core::id::{DagId, RunId};
use rota_core::port::{ActiveRuns, FailedDag, Outage, RunRow, TaskRow};
use rota_core::state::TaskState;

use super::look::StateStyle;
use super::name::run_name;
use super::rota::DagEntry;
use super::runs::{took, typical};
use super::slots::ScheduleWords;
use super::time::{LocalClock, Stamp, count, span_short};
use crate::app::Ctx;
use crate::error::Outcome;
use crate::tasks::{TaskNow, join};
use crate::why::{RunWaits, SlotSupply};

/// Entries of each list.
pub(crate) const SHOWN_MAX: usize = 5;
const BOARD_MAX: usize = 9;
/// Runs of a DAG that its typical duration is taken from.
const TYPICAL_OF: usize = 25;
/// Tasks drawn one by one in a progress bar.
const PROGRESS_MAX: usize = 60;

/// The first of many: what is listed, and how many there are in all.
pub(crate) struct CutList<T> {
    pub(crate) shown: Vec<T>,
    pub(crate) all: u64,
}

impl<T> CutList<T> {
    /// `all` is counted by the store, never taken from the list.
    pub(crate) fn new(shown: Vec<T>, all: u64) -> Self {
        Self { shown, all }
    }

    /// How many there are, with their noun.
    pub(crate) fn said(&self, noun: &str) -> String {
        count(self.all, noun)
    }

    /// How many are not shown, with their noun; `None`: all are.
    pub(crate) fn more(&self, noun: &str) -> Option<String> {
        let more = self.all.saturating_sub(self.shown.len() as u64);
        (more > 0).then(|| format!("and {}", count(more, noun)))
    }
}

/// The newest failed run of a DAG.
pub(crate) struct FailureNote {
    pub(crate) run: RunId,
    pub(crate) dag: String,
    /// The first task that failed.
    pub(crate) task: Option<String>,
    pub(crate) why: String,
    pub(crate) at: Stamp,
    /// How many more of its runs failed within the day.
    pub(crate) more: u64,
    /// Whether a later run of its DAG succeeded.
    pub(crate) recovered: bool,
}

/// An outage: missed slots that belong together.
pub(crate) struct OutageNote {
    pub(crate) title: String,
    /// If it is of one DAG only.
    pub(crate) dag: Option<String>,
    pub(crate) why: String,
    pub(crate) at: Stamp,
}

/// An active run.
pub(crate) struct ActiveNow {
    pub(crate) run: RunId,
    pub(crate) dag: String,
    pub(crate) look: StateStyle,
    pub(crate) name: String,
    pub(crate) why: String,
    pub(crate) bars: Vec<StatePart>,
    pub(crate) label: String,
    pub(crate) took: String,
    pub(crate) of_about: String,
}

/// A part of a progress bar, in per cent.
pub(crate) struct StatePart {
    pub(crate) class: &'static str,
    pub(crate) x: super::axis::Pct,
    pub(crate) width: super::axis::Pct,
}

/// A departure.
pub(crate) struct HomeBoard {
    pub(crate) dag: String,
    pub(crate) at: Stamp,
    pub(crate) under: String,
    pub(crate) until: String,
}

/// What failed and why, in the order given.
pub(crate) async fn failures(ctx: &Ctx, failed: &[FailedDag]) -> Outcome<Vec<FailureNote>> {
    let ids: Vec<RunId> = failed.iter().map(|dag| dag.run.id).collect();
    let tasks = ctx.app.ports.store.tasks_of_runs(&ids).await?;
    Ok(failed.iter().map(|dag| failure(&ctx.moment, dag, &tasks)).collect())
}

fn failure(moment: &LocalClock, dag: &FailedDag, tasks: &[TaskRow]) -> FailureNote {
    let run = &dag.run;
    let of_run =
        |state: TaskState| tasks.iter().filter(move |task| task.key.run == run.id && task.state == state);
    let task = of_run(TaskState::Failed).next();
    let after = of_run(TaskState::UpstreamFailed).count() as u64;
    let error = task.and_then(|task| task.error.clone()).or_else(|| run.reason.clone());
    let mut why = sentence(&error.unwrap_or_else(|| "no reason was recorded".to_owned()));
    if after > 0 {
        why.push_str(&format!(" {} after it did not run.", count(after, "task")));
    }
    FailureNote {
        run: run.id,
        dag: run.dag.to_string(),
        task: task.map(|task| task.name.to_string()),
        why,
        at: moment.slot(run.finished_at.unwrap_or(run.created_at)).without_seconds(),
        more: dag.runs.saturating_sub(1),
        recovered: dag.recovered,
    }
}

/// With a capital and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// The newest outages, a line each.
pub(crate) fn missed(moment: &LocalClock, outages: &[Outage]) -> Vec<OutageNote> {
    outages.iter().take(SHOWN_MAX).map(|outage| outage_line(moment, outage)).collect()
}

fn outage_line(moment: &LocalClock, outage: &Outage) -> OutageNote {
    let reason = match &outage.reason {
        Some(reason) => sentence(reason),
        None => "The ledger says why.".to_owned(),
    };
    let why = if outage.slots == 1 {
        reason
    } else {
        let (from, to) = (moment.slot_dated(outage.from).text, moment.slot_dated(outage.to).text);
        format!("{} from {from} to {to}. {reason}", count(outage.slots, "slot"))
    };
    let title = match outage.dags {
        1 => outage.dag.to_string(),
        many => format!("{} and {}", outage.dag, count(many - 1, "more DAG")),
    };
    let dag = (outage.dags == 1).then(|| outage.dag.to_string());
    OutageNote { title, dag, why, at: moment.slot(outage.from) }
}

/// Active runs, with how far they are and what of them does not move.
pub(crate) async fn now(ctx: &Ctx, active: &ActiveRuns) -> Outcome<Vec<ActiveNow>> {
    let store = &*ctx.app.ports.store;
    let ids: Vec<RunId> = active.list.iter().map(|run| run.id).collect();
    let mut rows: HashMap<RunId, Vec<TaskRow>> = HashMap::new();
    for row in store.tasks_of_runs(&ids).await? {
        rows.entry(row.key.run).or_default().push(row);
    }
    let mut dags: Vec<DagId> = active.list.iter().map(|run| run.dag.clone()).collect();
    dags.sort_unstable();
    dags.dedup();
    let recent = store.view_recent_runs(&dags, TYPICAL_OF).await?;
    let supply = SlotSupply::load(ctx).await?;
    let mut out = Vec::with_capacity(active.list.len());
    for run in &active.list {
        let own = rows.remove(&run.id).unwrap_or_default();
        let dag = ctx.version(run).await?;
        let waits = RunWaits::with(ctx, &supply, run, dag.clone(), &own).await?;
        let tasks = join(dag.as_deref(), own);
        let of_dag: Vec<RunRow> = recent.iter().filter(|other| other.dag == run.dag).cloned().collect();
        let why = waits.standstill(run, &tasks, ctx.moment.now);
        let typical = typical(&of_dag, ctx.moment.now);
        out.push(ActiveNow {
            why: why.as_deref().map(sentence).unwrap_or_default(),
            ..active_run(&ctx.moment, run, &tasks, typical)
        });
    }
    Ok(out)
}

fn active_run(moment: &LocalClock, run: &RunRow, tasks: &[TaskNow], typical: Option<TimeDelta>) -> ActiveNow {
    let states: Vec<TaskState> = tasks.iter().map(|task| task.state).collect();
    let done = states.iter().filter(|state| state.is_terminal()).count();
    ActiveNow {
        run: run.id,
        dag: run.dag.to_string(),
        look: StateStyle::run(run.state),
        name: run_name(moment, run),
        why: String::new(),
        bars: parts(&states),
        label: format!("{done} of {} done", count(states.len() as u64, "task")),
        took: span_short(took(run, moment.now)),
        of_about: typical.map(|typical| format!("of about {}", span_short(typical))).unwrap_or_default(),
    }
}

fn parts(states: &[TaskState]) -> Vec<StatePart> {
    use super::axis::Pct;
    if states.len() > PROGRESS_MAX {
        let done = states.iter().filter(|state| state.is_terminal()).count();
        let width = done as f64 * 100.0 / states.len() as f64;
        let waiting = StateStyle::task(TaskState::Waiting).class;
        return vec![
            StatePart { class: StateStyle::task(TaskState::Success).class, x: Pct(0.0), width: Pct(width) },
            StatePart { class: waiting, x: Pct(width), width: Pct(100.0 - width) },
        ];
    }
    let mut sorted = states.to_vec();
    sorted.sort_by_key(|state| (!state.is_terminal(), *state == TaskState::Waiting, *state));
    let step = 100.0 / sorted.len().max(1) as f64;
    let part = |(place, state): (usize, &TaskState)| StatePart {
        class: StateStyle::task(*state).class,
        x: Pct(place as f64 * step),
        width: Pct((step - 0.9).max(step * 0.8)),
    };
    sorted.iter().enumerate().map(part).collect()
}

/// How many DAGs have a slot to come.
pub(crate) fn departures(entries: &[DagEntry]) -> u64 {
    entries.iter().filter(|entry| !entry.row.paused && entry.row.next_slot.is_some()).count() as u64
}

/// The next slots, soonest first.
pub(crate) fn board(moment: &LocalClock, entries: &[DagEntry]) -> Vec<HomeBoard> {
    let mut next: Vec<_> = entries
        .iter()
        .filter(|entry| !entry.row.paused)
        .filter_map(|entry| Some((entry.row.next_slot?, entry)))
        .collect();
    next.sort_by_key(|(at, _)| *at);
    next.truncate(BOARD_MAX);
    let one = |(at, entry): (chrono::DateTime<chrono::Utc>, &DagEntry)| {
        let schedule = entry.dag.as_ref().and_then(|dag| dag.schedule.as_ref());
        let under = schedule.map(ScheduleWords::of).map(|says| says.text).unwrap_or_default();
        HomeBoard { dag: entry.row.dag.to_string(), at: moment.slot(at), under, until: moment.until(at) }
    };
    next.into_iter().map(one).collect()
}
