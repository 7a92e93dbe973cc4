//! `/audit`: who did what.

use askama::Template;
use axum::extract::Query;
use rota_core::port::AuditRow;
use serde::Deserialize;

use crate::app::Ctx;
use crate::cursor::{audit_cursor, audit_place};
use crate::error::{Error, Outcome};
use crate::pages::{Nav, Page, PageFrame, PageTopic};
use crate::show::time::{LocalClock, Stamp};

/// Rows on one page.
const ROWS_MAX: usize = 100;

/// The one action whose subject is neither a DAG nor a run.
const WORKER_DRAIN: &str = "worker_drain";

/// `?before=`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct AuditQuery {
    #[serde(default)]
    before: String,
}

/// A row.
pub(crate) struct AuditEntry {
    pub(crate) at: Stamp,
    pub(crate) actor: String,
    pub(crate) origin: String,
    pub(crate) action: String,
    pub(crate) subject: String,
    /// Where the subject's page is; empty if it is not clear.
    pub(crate) href: String,
    pub(crate) outcome: String,
}

/// The page.
#[derive(Template)]
#[template(path = "audit.html")]
pub(crate) struct AuditPage {
    frame: PageFrame,
    query: AuditQuery,
    rows: Vec<AuditEntry>,
    older: String,
}

/// `GET /audit`.
pub(crate) async fn show(ctx: Ctx, Query(query): Query<AuditQuery>) -> Outcome<Page<AuditPage>> {
    let refused = || Error::BadRequest("`before` is none of ours; use the page's own links".into());
    let after = match query.before.as_str() {
        "" => None,
        text => Some(audit_place(text).ok_or_else(refused)?),
    };
    let frame = PageFrame::load(&ctx, Nav::Audit, PageTopic::Still).await?;
    let mut rows = ctx.app.ports.store.view_audit(after, ROWS_MAX + 1).await?;
    let more = rows.len() > ROWS_MAX;
    rows.truncate(ROWS_MAX);
    let older = rows.last().filter(|_| more).map(|row| audit_cursor(row.place()));
    let rows = rows.into_iter().map(|known| row(&ctx.moment, known)).collect();
    Ok(Page(AuditPage { frame, query, rows, older: older.unwrap_or_default() }))
}

fn row(moment: &LocalClock, row: AuditRow) -> AuditEntry {
    let numeric = row.subject.bytes().all(|byte| byte.is_ascii_digit()) && !row.subject.is_empty();
    let name = row.subject.parse::<rota_core::id::DagId>().is_ok();
    let href = match (numeric, name) {
        _ if row.action == WORKER_DRAIN => "/cluster#workers".to_owned(),
        (true, _) => format!("/runs/{}", row.subject),
        (false, true) => format!("/dags/{}", row.subject),
        (false, false) => String::new(),
    };
    AuditEntry {
        at: moment.event(row.at),
        action: says(&row.action),
        actor: row.actor,
        origin: row.origin,
        subject: row.subject,
        href,
        outcome: row.outcome.unwrap_or_default(),
    }
}

/// The action in words.
fn says(action: &str) -> String {
    match action {
        "run_trigger" => "triggered a run of".to_owned(),
        "dag_pause" => "held the schedule of".to_owned(),
        "dag_unpause" => "released the schedule of".to_owned(),
        "run_cancel" => "cancelled run".to_owned(),
        "run_retry" => "retried tasks of run".to_owned(),
        WORKER_DRAIN => "drained worker".to_owned(),
        "dag_version" => "stored a new version of".to_owned(),
        "sign_in" => "signed in".to_owned(),
        "sign_in_failed" => "could not sign in".to_owned(),
        "sign_out" => "signed out".to_owned(),
        "write_refused" => "was refused a change at".to_owned(),
        other => other.to_owned(),
    }
}
