//! `/ledger`: what became of every slot that was due.

use askama::Template;
use axum::extract::Query;
use rota_core::id::RunId;
use rota_core::port::{SlotFilter, SlotOutcome, SlotPlace, SlotRow};
use serde::Deserialize;

use crate::app::{Ctx, dag_id};
use crate::cursor::{slot_cursor, slot_place};
use crate::error::{Error, Outcome};
use crate::pages::dag::says;
use crate::pages::{Nav, Page, PageFrame, PageTopic};
use crate::show::look::{MISSED, OK, StateStyle};
use crate::show::time::{LocalClock, Stamp, count, grouped, is_utc, zone_name};
use crate::slot_counts;

/// Rows on one page.
const ROWS_MAX: usize = 100;

/// `?dag=&outcome=&before=`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct LedgerQuery {
    #[serde(default)]
    dag: String,
    #[serde(default)]
    outcome: String,
    #[serde(default)]
    before: String,
}

/// An entry.
pub(crate) struct LedgerEntry {
    pub(crate) dag: String,
    pub(crate) at: Stamp,
    pub(crate) utc: String,
    /// The last slot of a range.
    pub(crate) to: Option<(Stamp, String)>,
    pub(crate) look: StateStyle,
    pub(crate) says: String,
    pub(crate) run: Option<RunId>,
}

/// The page.
#[derive(Template)]
#[template(path = "ledger.html")]
pub(crate) struct LedgerPage {
    frame: PageFrame,
    zone: String,
    beside_utc: bool,
    query: LedgerQuery,
    look: StateStyle,
    verdict: String,
    text: String,
    outcomes: Vec<(&'static str, StateStyle, bool)>,
    rows: Vec<LedgerEntry>,
    older: String,
}

/// `GET /ledger`.
pub(crate) async fn show(ctx: Ctx, Query(query): Query<LedgerQuery>) -> Outcome<Page<LedgerPage>> {
    let store = &*ctx.app.ports.store;
    let dag = (!query.dag.is_empty()).then(|| dag_id(&query.dag)).transpose()?;
    let outcome = (!query.outcome.is_empty()).then(|| outcome(&query.outcome)).transpose()?;
    let after = (!query.before.is_empty()).then(|| place(&query.before)).transpose()?;
    let topic =
        if after.is_some() { PageTopic::Still } else { dag.clone().map_or(PageTopic::All, PageTopic::Dag) };
    let frame = PageFrame::load(&ctx, Nav::Ledger, topic).await?;
    let counts = slot_counts::counts(&ctx, dag.as_ref(), slot_counts::last_day(&ctx.moment)).await?.total;
    let whose = dag.as_ref().map_or("all DAGs".to_owned(), ToString::to_string);
    let filter = SlotFilter { dag, outcome, after, limit: ROWS_MAX + 1, ..SlotFilter::default() };
    let mut slots = store.view_slots(&filter).await?;
    let more = slots.len() > ROWS_MAX;
    slots.truncate(ROWS_MAX);
    let missed = counts.missed > 0;
    let text = format!(
        "In the last day, {whose}: {} fired, {} skipped by policy, {} missed.",
        grouped(counts.fired),
        grouped(counts.skipped),
        grouped(counts.missed)
    );
    Ok(Page(LedgerPage {
        frame,
        zone: zone_name(ctx.moment.zone),
        beside_utc: !is_utc(ctx.moment.zone),
        look: if missed { MISSED } else { OK },
        verdict: if missed {
            format!("{} missed in the last day", count(counts.missed, "slot"))
        } else {
            "Nothing was missed in the last day".to_owned()
        },
        text,
        outcomes: [SlotOutcome::Fired, SlotOutcome::Skipped, SlotOutcome::Missed]
            .map(|outcome| (outcome.as_str(), StateStyle::slot(outcome), query.outcome == outcome.as_str()))
            .to_vec(),
        older: slots.last().filter(|_| more).map(|slot| slot_cursor(&slot.place())).unwrap_or_default(),
        rows: slots.iter().map(|slot| row(&ctx.moment, slot)).collect(),
        query,
    }))
}

fn outcome(word: &str) -> Outcome<SlotOutcome> {
    let refused = || Error::BadRequest("expected `outcome` fired, skipped or missed".into());
    SlotOutcome::parse(word).ok_or_else(refused)
}

fn place(text: &str) -> Outcome<SlotPlace> {
    slot_place(text)
        .ok_or_else(|| Error::BadRequest("`before` is none of ours; use the page's own links".into()))
}

fn row(moment: &LocalClock, slot: &SlotRow) -> LedgerEntry {
    LedgerEntry {
        dag: slot.dag.to_string(),
        at: moment.slot_dated(slot.slot),
        utc: crate::show::time::utc(slot.slot),
        to: (slot.count > 1).then(|| (moment.slot_dated(slot.to), crate::show::time::utc(slot.to))),
        look: StateStyle::slot(slot.outcome),
        says: says(slot),
        run: slot.run,
    }
}
