//! `/audit`.

use axum::Json;
use axum::extract::Query;
use chrono::{DateTime, SecondsFormat, Utc};
use rota_core::port::AuditRow;
use serde::Deserialize;

use super::{List, limit};
use crate::app::Ctx;
use crate::error::{Error, Outcome};

/// `?limit=&cursor=`.
#[derive(Debug, Deserialize)]
pub(crate) struct ListQuery {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /audit`: newest first.
pub(crate) async fn list(ctx: Ctx, Query(query): Query<ListQuery>) -> Outcome<Json<List<AuditRow>>> {
    let limit = limit(query.limit);
    let before = query.cursor.as_deref().map(cursor).transpose()?;
    let rows = ctx.app.ports.store.view_audit(before, limit + 1).await?;
    let cursor = |row: &AuditRow| row.at.to_rfc3339_opts(SecondsFormat::Micros, true);
    Ok(Json(List::cut(rows, limit, cursor)))
}

fn cursor(text: &str) -> Outcome<DateTime<Utc>> {
    text.parse().map_err(|_| {
        Error::BadRequest("`cursor` is none of ours; pass `next_cursor` of the page before".into())
    })
}
