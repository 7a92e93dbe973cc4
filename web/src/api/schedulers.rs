//! `/schedulers` and `/terms`: who is there, who leads, who led.

use axum::Json;
use axum::extract::Query;
use serde::Deserialize;

use super::shapes::{SchedulerShape, TermShape};
use super::{List, limit};
use crate::app::Ctx;
use crate::error::Outcome;

/// `?limit=`.
#[derive(Debug, Deserialize)]
pub(crate) struct TermsQuery {
    limit: Option<usize>,
}

/// `GET /schedulers`: the replicas seen within the last day, by id.
pub(crate) async fn list(ctx: Ctx) -> Outcome<Json<List<SchedulerShape>>> {
    let (store, now) = (&ctx.app.ports.store, ctx.moment.now);
    let replicas = store.view_replicas().await?;
    let leader = store.view_leader().await?;
    let terms = store.view_terms(1).await?;
    // A term that was given away belongs to nobody, though its holder is named until the next one begins.
    let holder = leader.holder.filter(|_| terms.first().is_none_or(|term| term.ended_at.is_none()));
    let lead = ctx.app.lead(terms.first(), &replicas, now);
    let one = |replica| SchedulerShape::new(replica, now);
    let items = replicas.into_iter().map(|replica| {
        if holder.as_deref() == Some(replica.id.as_str()) {
            one(replica).leading(leader.epoch, leader.since, &lead)
        } else {
            one(replica)
        }
    });
    Ok(Json(List { items: items.collect(), next_cursor: None }))
}

/// `GET /terms`: the newest terms, newest first.
pub(crate) async fn terms(ctx: Ctx, Query(query): Query<TermsQuery>) -> Outcome<Json<List<TermShape>>> {
    let limit = limit(query.limit);
    let store = &ctx.app.ports.store;
    // One more than is shown: the gap before the last one needs the one before it.
    let terms = store.view_terms(limit + 1).await?;
    let lead = ctx.app.lead(terms.first(), &store.view_replicas().await?, ctx.moment.now);
    let one = |place: usize| {
        let next = place.checked_sub(1).map(|place| &terms[place]);
        TermShape::new(&terms[place], next, terms.get(place + 1), &lead)
    };
    Ok(Json(List { items: (0..terms.len().min(limit)).map(one).collect(), next_cursor: None }))
}
