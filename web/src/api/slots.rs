//! `/slots`: the ledger, what became of every slot that was due.

use axum::Json;
use axum::extract::Query;
use chrono::{DateTime, Utc};
use rota_core::port::{SlotFilter, SlotOutcome, SlotRow};
use serde::Deserialize;

use super::{List, limit};
use crate::app::{Ctx, dag_id};
use crate::cursor::{slot_cursor, slot_place};
use crate::error::{Error, Outcome};

/// `?dag=&outcome=&since=&until=&limit=&cursor=`.
#[derive(Debug, Deserialize)]
pub(crate) struct SlotListQuery {
    dag: Option<String>,
    outcome: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /slots`: newest first; of those that begin at the same instant, by DAG. A range counts if any of it lies within.
pub(crate) async fn list(ctx: Ctx, Query(query): Query<SlotListQuery>) -> Outcome<Json<List<SlotRow>>> {
    let limit = limit(query.limit);
    let foreign =
        || Error::BadRequest("`cursor` is none of ours; pass `next_cursor` of the page before".into());
    let filter = SlotFilter {
        dag: query.dag.as_deref().map(dag_id).transpose()?,
        outcome: query.outcome.as_deref().map(outcome).transpose()?,
        since: query.since.as_deref().map(|text| instant("since", text)).transpose()?,
        before: query.until.as_deref().map(|text| instant("until", text)).transpose()?,
        after: query.cursor.as_deref().map(|text| slot_place(text).ok_or_else(foreign)).transpose()?,
        limit: limit + 1,
    };
    let slots = ctx.app.ports.store.view_slots(&filter).await?;
    Ok(Json(List::cut(slots, limit, |slot: &SlotRow| slot_cursor(&slot.place()))))
}

fn outcome(word: &str) -> Outcome<SlotOutcome> {
    let refused = || Error::BadRequest("expected `outcome` fired, skipped or missed".into());
    SlotOutcome::parse(word).ok_or_else(refused)
}

fn instant(name: &str, text: &str) -> Outcome<DateTime<Utc>> {
    let refused = |_| Error::BadRequest(format!("`{name}` is no RFC 3339 time such as 2026-11-20T13:00:00Z"));
    DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).map_err(refused)
}
