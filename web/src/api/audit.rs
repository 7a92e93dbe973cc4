//! `/audit`.

use axum::Json;
use axum::extract::Query;
use rota_core::port::AuditRow;
use serde::Deserialize;

use super::{List, limit};
use crate::app::Ctx;
use crate::cursor::{audit_cursor, audit_place};
use crate::error::{Error, Outcome};

/// `?limit=&cursor=`.
#[derive(Debug, Deserialize)]
pub(crate) struct AuditListQuery {
    limit: Option<usize>,
    cursor: Option<String>,
}

/// `GET /audit`: newest first.
pub(crate) async fn list(ctx: Ctx, Query(query): Query<AuditListQuery>) -> Outcome<Json<List<AuditRow>>> {
    let limit = limit(query.limit);
    let refused =
        || Error::BadRequest("`cursor` is none of ours; pass `next_cursor` of the page before".into());
    let after = query.cursor.as_deref().map(|text| audit_place(text).ok_or_else(refused)).transpose()?;
    let rows = ctx.app.ports.store.view_audit(after, limit + 1).await?;
    Ok(Json(List::cut(rows, limit, |row: &AuditRow| audit_cursor(row.place()))))
}
