//! `/`: is all right, what failed and why, what runs, what comes, and the rota of all DAGs.

use std::collections::HashMap;

use askama::Template;
use axum::extract::Query;
use rota_core::id::DagId;
use rota_core::port::{ActiveRuns, DagRow, FailedDags, Outages, RunRow};
use rota_core::state::RunState;
use serde::Deserialize;

use crate::app::Ctx;
use crate::error::Outcome;
use crate::pages::{Nav, Page, PageFrame, PageTopic};
use crate::show::axis::Drawing;
use crate::show::day::{self, Day};
use crate::show::home::{
    ActiveNow, CutList, FailureNote, HomeBoard, OutageNote, SHOWN_MAX, board, departures, failures, missed,
    now,
};
use crate::show::look::{PAUSED, StateStyle};
use crate::show::rota::{self, DagEntry, DagHealth, DagLine};
use crate::show::runs::RUNS_MAX;
use crate::show::strip::{Gauge, HealthStrip, gauges};
use crate::show::time::count;
use crate::show::verdict::HomeVerdict;
use crate::slot_counts::{self, Counts};

/// Rows of the rota on one page.
const ROWS_MAX: usize = 50;
/// Outages that are drawn on the rail of the day.
const OUTAGES_MAX: usize = 200;

/// `?q=&state=&tag=&page=&done=`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct HomeQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    tag: String,
    #[serde(default)]
    page: usize,
    done: Option<String>,
}

/// The page.
#[derive(Template)]
#[template(path = "home.html")]
pub(crate) struct Home {
    frame: PageFrame,
    look: StateStyle,
    verdict: String,
    text: String,
    gauges: Vec<Gauge>,
    rail: Drawing,
    failures: CutList<FailureNote>,
    missed: CutList<OutageNote>,
    running: CutList<ActiveNow>,
    board: CutList<HomeBoard>,
    zone: String,
    query: HomeQuery,
    filters: Vec<StateFilter>,
    tags: Vec<String>,
    axis: Drawing,
    rows: Vec<DagLine>,
    dags: usize,
    dags_said: String,
    first: usize,
    last: usize,
    matching: usize,
    pages: usize,
}

/// A segment of the state filter.
pub(crate) struct StateFilter {
    word: &'static str,
    name: &'static str,
    look: Option<StateStyle>,
    count: usize,
    current: bool,
}

/// What the store says, before it is drawn.
struct HomeFacts {
    entries: Vec<DagEntry>,
    failed: FailedDags,
    active: ActiveRuns,
    outages: Outages,
    counts: Counts,
}

/// `GET /`.
pub(crate) async fn show(ctx: Ctx, Query(query): Query<HomeQuery>) -> Outcome<Page<Home>> {
    let frame = PageFrame::load(&ctx, Nav::Home, PageTopic::All).await?.done(query.done.as_deref());
    let facts = HomeFacts::load(&ctx).await?;
    let total = facts.counts.total;
    let health = HealthStrip::load(&ctx, facts.entries.len(), total.late_max_ms).await?;
    let so = HomeVerdict { failed: &facts.failed, counts: total, dags: facts.entries.len(), health: &health };
    let (look, verdict) = so.title(&ctx.moment);
    let chosen = choose(&facts.entries, &query);
    let pages = chosen.len().div_ceil(ROWS_MAX).max(1);
    let page = query.page.clamp(1, pages);
    let first = (page - 1) * ROWS_MAX;
    let shown: Vec<DagEntry> =
        chosen.iter().skip(first).take(ROWS_MAX).map(|entry| (*entry).clone()).collect();
    let recent = recent(&ctx, &shown).await?;
    let failures = failures(&ctx, &facts.failed.list).await?;
    let missed = missed(&ctx.moment, &facts.outages.list);
    let running = now(&ctx, &facts.active).await?;
    let board = board(&ctx.moment, &facts.entries);
    Ok(Page(Home {
        frame,
        look,
        verdict,
        text: so.text(&ctx.moment),
        gauges: gauges(&ctx.moment, &health),
        rail: rail(&ctx, &facts).await?,
        failures: CutList::new(failures, facts.failed.failing + facts.failed.recovered),
        missed: CutList::new(missed, facts.outages.total),
        running: CutList::new(running, facts.active.running + facts.active.queued),
        board: CutList::new(board, departures(&facts.entries)),
        zone: crate::show::time::zone_name(ctx.moment.zone),
        filters: filters(&facts.entries, &query),
        tags: tags(&facts.entries),
        axis: rota::axis(&ctx.moment),
        rows: rota::rows(&ctx.moment, &shown, &recent),
        dags: facts.entries.len(),
        dags_said: count(facts.entries.len() as u64, "DAG"),
        first: if chosen.is_empty() { 0 } else { first + 1 },
        last: first + shown.len(),
        matching: chosen.len(),
        pages,
        query: HomeQuery { page, ..query },
    }))
}

impl HomeFacts {
    async fn load(ctx: &Ctx) -> Outcome<Self> {
        let store = &*ctx.app.ports.store;
        let day = slot_counts::last_day(&ctx.moment);
        let counts = slot_counts::counts(ctx, None, day).await?;
        Ok(Self {
            entries: entries(ctx, &counts).await?,
            failed: store.view_failed_dags(day.from, SHOWN_MAX).await?,
            active: store.view_active_runs(None, SHOWN_MAX).await?,
            outages: store.view_outages(day, OUTAGES_MAX).await?,
            counts,
        })
    }
}

/// Every DAG whose file is there or that still runs, trouble first, then by next slot.
async fn entries(ctx: &Ctx, counts: &Counts) -> Outcome<Vec<DagEntry>> {
    let store = &*ctx.app.ports.store;
    let mut rows = store.dags_load().await?;
    rows.retain(|row| row.present);
    let ids: Vec<DagId> = rows.iter().map(|row: &DagRow| row.dag.clone()).collect();
    let newest = store.view_recent_runs(&ids, 1).await?;
    let mut newest: HashMap<DagId, RunRow> = newest.into_iter().map(|run| (run.dag.clone(), run)).collect();
    let dags = ctx.app.catalog.current(store, &rows).await?;
    let mut entries: Vec<DagEntry> = rows
        .into_iter()
        .zip(dags)
        .map(|(row, dag)| {
            let missed = counts.by_dag.get(&row.dag).is_some_and(|counts| counts.missed > 0);
            let newest = newest.remove(&row.dag);
            DagEntry { row, dag, newest, missed }
        })
        .collect();
    // The order must not depend on what changes every few seconds, or rows would jump about.
    entries.sort_by_key(|entry| {
        let rank = match entry.plight() {
            DagHealth::Failed => 0,
            DagHealth::Missed => 1,
            DagHealth::Running | DagHealth::Well => 2,
            DagHealth::Paused => 3,
        };
        (rank, entry.row.dag.clone())
    });
    Ok(entries)
}

async fn rail(ctx: &Ctx, facts: &HomeFacts) -> Outcome<Drawing> {
    let schedules: Vec<_> = facts
        .entries
        .iter()
        .filter(|entry| !entry.row.paused)
        .filter_map(|entry| Some((entry.row.dag.clone(), entry.dag.as_ref()?.schedule.clone()?)))
        .collect();
    let steps = ctx.app.ports.store.view_slot_steps(&day::past(ctx.moment.now, &schedules)).await?;
    let (outages, missed) = (&*facts.outages.list, facts.counts.total.missed);
    Ok(day::rail(&ctx.moment, &Day { steps: &steps, outages, missed, schedules: &schedules }))
}

async fn recent(ctx: &Ctx, shown: &[DagEntry]) -> Outcome<HashMap<DagId, Vec<RunRow>>> {
    let ids: Vec<DagId> = shown.iter().map(|entry| entry.row.dag.clone()).collect();
    let mut recent: HashMap<DagId, Vec<RunRow>> = HashMap::new();
    for run in ctx.app.ports.store.view_recent_runs(&ids, RUNS_MAX).await? {
        recent.entry(run.dag.clone()).or_default().push(run);
    }
    Ok(recent)
}

fn choose<'a>(entries: &'a [DagEntry], query: &HomeQuery) -> Vec<&'a DagEntry> {
    let text = query.q.trim().to_lowercase();
    let plight = DagHealth::parse(&query.state);
    entries
        .iter()
        .filter(|entry| plight.is_none_or(|plight| in_plight(entry, plight)))
        .filter(|entry| query.tag.is_empty() || entry.has_tag(&query.tag))
        .filter(|entry| text.is_empty() || entry.matches(&text))
        .collect()
}

fn in_plight(entry: &DagEntry, plight: DagHealth) -> bool {
    match plight {
        DagHealth::Missed => entry.missed,
        DagHealth::Paused => entry.row.paused,
        DagHealth::Failed | DagHealth::Running | DagHealth::Well => entry.plight() == plight,
    }
}

fn filters(entries: &[DagEntry], query: &HomeQuery) -> Vec<StateFilter> {
    let all = [
        ("", "All", None),
        ("failed", "Failed", Some(crate::show::look::FAILED)),
        ("running", "Running", Some(StateStyle::run(RunState::Running))),
        ("missed", "Missed", Some(crate::show::look::MISSED)),
        ("paused", "Paused", Some(PAUSED)),
    ];
    all.into_iter()
        .map(|(word, name, look)| {
            let of = |plight| entries.iter().filter(|entry| in_plight(entry, plight)).count();
            let count = DagHealth::parse(word).map_or(entries.len(), of);
            StateFilter { word, name, look, count, current: word == query.state }
        })
        .collect()
}

fn tags(entries: &[DagEntry]) -> Vec<String> {
    let dags = entries.iter().filter_map(|entry| entry.dag.as_ref());
    let mut tags: Vec<String> = dags.flat_map(|dag| dag.tags.iter().cloned()).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}
