//! `/`: is all right, what failed and why, what runs, what comes, and the rota of all DAGs.

use std::collections::{HashMap, HashSet};

use askama::Template;
use axum::extract::Query;
use chrono::TimeDelta;
use rota_core::id::{DagId, RunId};
use rota_core::port::{DagRow, RunFilter, RunRow, SlotCounts, SlotFilter, SlotOutcome, SlotRow};
use rota_core::state::RunState;
use serde::Deserialize;

use crate::app::Ctx;
use crate::error::Outcome;
use crate::lead::Lead;
use crate::pages::{Frame, Nav, Page, Topic};
use crate::show::axis::Drawing;
use crate::show::day::{self, Day};
use crate::show::home::{Board, Failure, Missed, Now, board, failures, missed, now};
use crate::show::look::{Look, OK, PAUSED, WARN};
use crate::show::rota::{self, Entry, Plight, Row};
use crate::show::runs::RUNS_MAX;
use crate::show::strip::{Gauge, Health, gauges};
use crate::show::time::{Moment, count, span};

/// Rows of the rota on one page.
const ROWS_MAX: usize = 50;
/// Failed and active runs that are looked at.
const NOTABLE_MAX: usize = 200;
/// Ledger entries that the rail of the day is drawn from.
const SLOTS_MAX: usize = 4000;

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
    frame: Frame,
    look: Look,
    verdict: String,
    text: String,
    gauges: Vec<Gauge>,
    rail: Drawing,
    rail_cut: bool,
    failures: Vec<Failure>,
    failures_more: usize,
    missed: Vec<Missed>,
    missed_count: u64,
    running: Vec<Now>,
    running_count: usize,
    board: Vec<Board>,
    zone: String,
    query: HomeQuery,
    filters: Vec<Filter>,
    tags: Vec<String>,
    axis: Drawing,
    rows: Vec<Row>,
    dags: usize,
    dags_said: String,
    first: usize,
    last: usize,
    matching: usize,
    pages: usize,
}

/// A segment of the state filter.
pub(crate) struct Filter {
    word: &'static str,
    name: &'static str,
    look: Option<Look>,
    count: usize,
    current: bool,
}

/// What the store says, before it is drawn.
struct Facts {
    entries: Vec<Entry>,
    failed: Vec<RunRow>,
    active: Vec<RunRow>,
    missed: Vec<SlotRow>,
    counts: SlotCounts,
}

/// `GET /`.
pub(crate) async fn show(ctx: Ctx, Query(query): Query<HomeQuery>) -> Outcome<Page<Home>> {
    let frame = Frame::load(&ctx, Nav::Home, Topic::All).await?.done(query.done.as_deref());
    let facts = Facts::load(&ctx).await?;
    let health = Health::load(&ctx, facts.entries.len(), facts.counts.late_max_ms).await?;
    let day_slots = day_slots(&ctx).await?;
    let rail = rail(&ctx, &facts, &day_slots);
    let failures = failures(&ctx, &facts.failed).await?;
    let failing = failures.iter().filter(|failure| !failure.recovered).count();
    let (look, verdict) = verdict(&ctx.moment, &facts, failing, &health);
    let chosen = choose(&facts.entries, &query);
    let pages = chosen.len().div_ceil(ROWS_MAX).max(1);
    let page = query.page.clamp(1, pages);
    let first = (page - 1) * ROWS_MAX;
    let shown: Vec<Entry> = chosen.iter().skip(first).take(ROWS_MAX).map(|entry| (*entry).clone()).collect();
    let recent = recent(&ctx, &shown).await?;
    Ok(Page(Home {
        frame,
        look,
        verdict,
        text: text(&ctx, &facts, failures.len() - failing),
        gauges: gauges(&ctx.moment, &health),
        rail,
        rail_cut: day_slots.len() >= SLOTS_MAX,
        failures_more: failures.len().saturating_sub(5),
        failures: failures.into_iter().take(5).collect(),
        missed: missed(&ctx.moment, &facts.missed),
        missed_count: facts.counts.missed,
        running_count: facts.active.len(),
        running: now(&ctx, &facts.active).await?,
        board: board(&ctx.moment, &facts.entries),
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

impl Facts {
    async fn load(ctx: &Ctx) -> Outcome<Self> {
        let store = &*ctx.app.ports.store;
        let since = ctx.moment.now - TimeDelta::days(1);
        let runs = |states| RunFilter { states, limit: NOTABLE_MAX, ..RunFilter::default() };
        let mut failed = store.view_runs(&runs(vec![RunState::Failed])).await?;
        failed.retain(|run| run.finished_at.unwrap_or(run.created_at) >= since);
        let active = store.view_runs(&runs(vec![RunState::Running, RunState::Queued])).await?;
        let outcome = Some(SlotOutcome::Missed);
        let slots = SlotFilter { outcome, since: Some(since), limit: NOTABLE_MAX, ..SlotFilter::default() };
        let missed = store.view_slots(&slots).await?;
        let counts = store.view_slot_counts(since).await?;
        let entries = entries(ctx, &missed).await?;
        Ok(Self { entries, failed, active, missed, counts })
    }
}

/// Every DAG whose file is there or that still runs, trouble first, then by next slot.
async fn entries(ctx: &Ctx, missed: &[SlotRow]) -> Outcome<Vec<Entry>> {
    let store = &*ctx.app.ports.store;
    let mut rows = store.view_dags().await?;
    rows.retain(|row| row.present);
    let ids: Vec<DagId> = rows.iter().map(|row: &DagRow| row.dag.clone()).collect();
    let newest = store.view_recent_runs(&ids, 1).await?;
    let mut newest: HashMap<DagId, RunRow> = newest.into_iter().map(|run| (run.dag.clone(), run)).collect();
    let missed: HashSet<&DagId> = missed.iter().map(|slot| &slot.dag).collect();
    let dags = ctx.app.catalog.current(store, &rows).await?;
    let mut entries: Vec<Entry> = rows
        .into_iter()
        .zip(dags)
        .map(|(row, dag)| {
            let (newest, missed) = (newest.remove(&row.dag), missed.contains(&row.dag));
            Entry { row, dag, newest, missed }
        })
        .collect();
    // The order must not depend on what changes every few seconds, or rows would jump about.
    entries.sort_by_key(|entry| {
        let rank = match entry.plight() {
            Plight::Failed => 0,
            Plight::Missed => 1,
            Plight::Running | Plight::Well => 2,
            Plight::Paused => 3,
        };
        (rank, entry.row.dag.clone())
    });
    Ok(entries)
}

async fn day_slots(ctx: &Ctx) -> Outcome<Vec<SlotRow>> {
    let since = Some(day::stretch(ctx.moment.now).from);
    let filter = SlotFilter { since, limit: SLOTS_MAX, ..SlotFilter::default() };
    Ok(ctx.app.ports.store.view_slots(&filter).await?)
}

fn rail(ctx: &Ctx, facts: &Facts, slots: &[SlotRow]) -> Drawing {
    let ids = |runs: &[RunRow]| runs.iter().map(|run| run.id).collect::<HashSet<RunId>>();
    let schedules: Vec<_> = facts
        .entries
        .iter()
        .filter(|entry| !entry.row.paused)
        .filter_map(|entry| Some((entry.row.dag.clone(), entry.dag.as_ref()?.schedule.clone()?)))
        .collect();
    let (failed, running) = (ids(&facts.failed), ids(&facts.active));
    day::rail(&ctx.moment, &Day { slots, failed: &failed, running: &running, schedules: &schedules })
}

async fn recent(ctx: &Ctx, shown: &[Entry]) -> Outcome<HashMap<DagId, Vec<RunRow>>> {
    let ids: Vec<DagId> = shown.iter().map(|entry| entry.row.dag.clone()).collect();
    let mut recent: HashMap<DagId, Vec<RunRow>> = HashMap::new();
    for run in ctx.app.ports.store.view_recent_runs(&ids, RUNS_MAX).await? {
        recent.entry(run.dag.clone()).or_default().push(run);
    }
    Ok(recent)
}

fn verdict(moment: &Moment, facts: &Facts, failing: usize, health: &Health) -> (Look, String) {
    let (missed, fired) = (facts.counts.missed, facts.counts.fired);
    let failing = failing as u64;
    if let Lead::Vacant { since } = health.lead {
        let verdict = format!("No scheduler leads since {}, so nothing fires", moment.event(since).text);
        return (crate::show::look::FAILED, verdict);
    }
    if health.leader.holder.is_none() {
        return (crate::show::look::FAILED, "No scheduler leads, so nothing fires".to_owned());
    }
    match (failing, missed) {
        (0, 0) if health.slots == 0 => (WARN, "No worker lives, so nothing runs".to_owned()),
        (0, 0) if facts.entries.is_empty() => (PAUSED, "No DAG yet".to_owned()),
        (0, 0) if fired == 0 => (OK, "All is well, nothing was due yet".to_owned()),
        (0, 0) if fired == 1 => (OK, "The one slot that was due has fired".to_owned()),
        (0, 0) => (OK, format!("All {} fired", count(fired, "slot"))),
        (failing, 0) => (crate::show::look::FAILED, needs(&count(failing, "DAG"), "failed", failing)),
        (0, missed) => (crate::show::look::MISSED, needs(&count(missed, "missed slot"), "", missed)),
        (failing, missed) => {
            let what = format!(
                "{} that failed and {} need a look",
                count(failing, "DAG"),
                count(missed, "missed slot")
            );
            (crate::show::look::FAILED, what)
        }
    }
}

fn needs(what: &str, done: &str, number: u64) -> String {
    let verb = if number == 1 { "needs" } else { "need" };
    if done.is_empty() { format!("{what} {verb} a look") } else { format!("{what} {done} and {verb} a look") }
}

fn text(ctx: &Ctx, facts: &Facts, recovered: usize) -> String {
    let counts = &facts.counts;
    let due = counts.fired + counts.skipped + counts.missed;
    let since = ctx.moment.hours(ctx.moment.now);
    if due == 0 {
        return format!("No slot came due since yesterday {since}.");
    }
    let mut said = vec![format!("{} fired", crate::show::time::grouped(counts.fired))];
    if counts.skipped > 0 {
        said.push(format!("{} skipped by policy", crate::show::time::grouped(counts.skipped)));
    }
    if counts.missed > 0 {
        said.push(format!("{} missed", crate::show::time::grouped(counts.missed)));
    }
    let late = span(TimeDelta::milliseconds(i64::try_from(counts.late_max_ms).unwrap_or(i64::MAX)));
    let how = if counts.fired > 0 {
        format!(" None fired later than {late} after its time.")
    } else {
        String::new()
    };
    let again = match recovered {
        0 => String::new(),
        1 => " One DAG failed and has succeeded since.".to_owned(),
        many => format!(" {many} DAGs failed and have succeeded since."),
    };
    format!("Since yesterday {since}, {} came due: {}.{how}{again}", count(due, "slot"), said.join(", "))
}

fn choose<'a>(entries: &'a [Entry], query: &HomeQuery) -> Vec<&'a Entry> {
    let text = query.q.trim().to_lowercase();
    let plight = Plight::parse(&query.state);
    entries
        .iter()
        .filter(|entry| plight.is_none_or(|plight| in_plight(entry, plight)))
        .filter(|entry| query.tag.is_empty() || entry.has_tag(&query.tag))
        .filter(|entry| text.is_empty() || entry.matches(&text))
        .collect()
}

fn in_plight(entry: &Entry, plight: Plight) -> bool {
    match plight {
        Plight::Missed => entry.missed,
        Plight::Paused => entry.row.paused,
        Plight::Failed | Plight::Running | Plight::Well => entry.plight() == plight,
    }
}

fn filters(entries: &[Entry], query: &HomeQuery) -> Vec<Filter> {
    let all = [
        ("", "All", None),
        ("failed", "Failed", Some(crate::show::look::FAILED)),
        ("running", "Running", Some(Look::run(RunState::Running))),
        ("missed", "Missed", Some(crate::show::look::MISSED)),
        ("paused", "Paused", Some(PAUSED)),
    ];
    all.into_iter()
        .map(|(word, name, look)| {
            let of = |plight| entries.iter().filter(|entry| in_plight(entry, plight)).count();
            let count = Plight::parse(word).map_or(entries.len(), of);
            Filter { word, name, look, count, current: word == query.state }
        })
        .collect()
}

fn tags(entries: &[Entry]) -> Vec<String> {
    let dags = entries.iter().filter_map(|entry| entry.dag.as_ref());
    let mut tags: Vec<String> = dags.flat_map(|dag| dag.tags.iter().cloned()).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}
