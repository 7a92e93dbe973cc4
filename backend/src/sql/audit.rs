//! The audit log: rows are added and read, and nothing else, which the schema sees to.

use std::borrow::Cow;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rota_core::id::{AuditId, IntentId};
use rota_core::port::{Actor, AuditIntents, AuditPlace, AuditRow, AuditViews, Deed, StoreResult};

use super::cells::{Cells, decode};
use super::rowset::json;
use super::{Conn, Store, clean, failed, limit, micros, write_failed};

const AUDIT: &str = "
    insert into audit (at, actor, origin, action, subject, outcome, intent) values ($1, $2, $3, $4, $5, $6, $7)";

/// A row about an intent.
pub(crate) struct Entry<'a> {
    pub(crate) now: DateTime<Utc>,
    pub(crate) actor: &'a Actor,
    pub(crate) action: &'static str,
    pub(crate) subject: String,
    pub(crate) outcome: Option<String>,
    pub(crate) intent: Option<IntentId>,
}

/// Adds the row of an intent, in its transaction.
pub(crate) async fn audit(conn: &mut Conn, entry: Entry<'_>) -> StoreResult<()> {
    let query = sqlx::query(AUDIT)
        .bind(micros(entry.now))
        .bind(entry.actor.name.as_str())
        .bind(entry.actor.origin.as_str())
        .bind(entry.action)
        .bind(entry.subject)
        .bind(entry.outcome)
        .bind(entry.intent.map(|id| id.0));
    query.execute(conn).await.map(drop).map_err(write_failed)
}

#[async_trait]
impl AuditIntents for Store {
    async fn audit_add(&self, deeds: &[Deed]) -> StoreResult<()> {
        call!(self.intend(deeds), |conn, now| audit_add(conn, now, &deeds))
    }
}

rowset! {
    /// A deed and its instant.
    DeedItem<'a> in deeds {
        done_at: i64 as bigint,
        actor: &'a str as text,
        origin: Cow<'a, str> as text,
        action: &'static str as text,
        subject: Cow<'a, str> as text,
        outcome: Option<Cow<'a, str>> as text,
    }
}

const DEEDS: &str = concat!(
    "insert into audit (at, actor, origin, action, subject, outcome)
     select item.done_at, item.actor, item.origin, item.action, item.subject, item.outcome from ",
    deeds!()
);

/// Adds rows in their order. Each has an instant of its own, by microseconds, so that their times tell their order too.
pub(crate) async fn audit_add(conn: &mut Conn, now: DateTime<Utc>, deeds: &[Deed]) -> StoreResult<()> {
    if deeds.is_empty() {
        return Ok(());
    }
    let items = json((micros(now)..).zip(deeds).map(|(done_at, deed)| DeedItem {
        done_at,
        actor: &deed.actor.name,
        origin: clean(&deed.actor.origin),
        action: deed.action,
        subject: clean(&deed.subject),
        outcome: deed.outcome.as_deref().map(clean),
    }));
    sqlx::query(DEEDS).bind(items).execute(conn).await.map(drop).map_err(write_failed)
}

#[async_trait]
impl AuditViews for Store {
    async fn view_audit(&self, after: Option<AuditPlace>, limit: usize) -> StoreResult<Vec<AuditRow>> {
        call!(self.view(after, limit), |conn, _now| view_audit(conn, *after, *limit))
    }
}

const VIEW_AUDIT: &str = "
    select a.id, a.at, a.actor, a.origin, a.action, a.subject, coalesce(i.outcome, a.outcome)
    from audit as a left join intent as i on i.id = a.intent
    where a.at <= $1 and (a.at < $1 or a.id < $2) order by a.at desc, a.id desc limit $3";

/// What came of an intent is known later than its audit row is written, so it is read from the intent.
async fn view_audit(
    conn: &mut Conn,
    after: Option<AuditPlace>,
    rows_max: usize,
) -> StoreResult<Vec<AuditRow>> {
    let query = sqlx::query(VIEW_AUDIT)
        .bind(after.map_or(i64::MAX, |place| micros(place.at)))
        .bind(after.map_or(i64::MAX, |place| place.id.0))
        .bind(limit(rows_max));
    decode(&query.fetch_all(conn).await.map_err(failed)?, audit_row)
}

fn audit_row(cells: &mut Cells<'_>) -> StoreResult<AuditRow> {
    Ok(AuditRow {
        id: AuditId(cells.take()?),
        at: cells.at()?,
        actor: cells.take()?,
        origin: cells.take()?,
        action: cells.take()?,
        subject: cells.take()?,
        outcome: cells.take()?,
    })
}
