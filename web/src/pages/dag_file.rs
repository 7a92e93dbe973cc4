//! `/dags/{dag}/file`: the text of a DAG version.

use askama::Template;
use axum::extract::{Path, Query};
use rota_core::id::DagVersion;
use serde::Deserialize;

use crate::app::{Ctx, dag_id};
use crate::error::{Error, Outcome};
use crate::pages::dag::DagHead;
use crate::pages::{Nav, Page, PageFrame, PageTopic};
use crate::show::code::{CodeLine, LINES_MAX, lines};
use crate::show::look::StateStyle;
use crate::show::time::Stamp;

/// `?version=`.
#[derive(Debug, Deserialize)]
pub(crate) struct FileQuery {
    version: Option<i64>,
}

/// The page.
#[derive(Template)]
#[template(path = "dag_file.html")]
pub(crate) struct FilePage {
    frame: PageFrame,
    head: DagHead,
    pill: Option<(StateStyle, String)>,
    path: String,
    version: i64,
    current: i64,
    stored: Stamp,
    hash: String,
    lines: Vec<CodeLine>,
    cut: bool,
}

/// `GET /dags/{dag}/file`.
pub(crate) async fn show(
    ctx: Ctx,
    Path(dag): Path<String>,
    Query(query): Query<FileQuery>,
) -> Outcome<Page<FilePage>> {
    let found = ctx.dag(&dag_id(&dag)?).await?;
    let version = query.version.map_or(found.row.version, DagVersion);
    let source = ctx.app.ports.store.view_source(&found.row.dag, version).await?;
    let missing = || Error::NotFound(format!("DAG `{}` has no version {version}", found.row.dag));
    let (source, stored_at) = source.ok_or_else(missing)?;
    let frame = PageFrame::load(&ctx, Nav::Dags, PageTopic::Dag(found.row.dag.clone())).await?;
    let newest = version == found.row.version;
    Ok(Page(FilePage {
        frame,
        head: DagHead::load(&ctx, &found, "file").await?,
        pill: None,
        path: found.row.path.clone(),
        version: version.0,
        current: found.row.version.0,
        stored: ctx.moment.event(stored_at),
        hash: if newest { found.row.hash.chars().take(12).collect() } else { String::new() },
        cut: source.lines().count() > LINES_MAX,
        lines: lines(&source),
    }))
}
