//! `/files`: the DAG files that cannot be read, each with its errors and the lines that have them.

use askama::Template;
use rota_core::dag::FileError;
use rota_core::port::FileErrorRow;

use crate::app::Ctx;
use crate::error::Outcome;
use crate::pages::{Nav, Page, PageFrame, PageTopic};
use crate::show::code::{CodeLine, excerpt};
use crate::show::look::{FAILED, OK, StateStyle};
use crate::show::time::{LocalClock, Stamp, count};

/// Files shown with their errors.
const FILES_MAX: usize = 25;
/// Errors shown of one file.
const ERRORS_MAX: usize = 20;

/// A file.
pub(crate) struct BrokenFile {
    pub(crate) path: String,
    /// The DAG whose last good version goes on.
    pub(crate) dag: Option<String>,
    pub(crate) seen: Stamp,
    pub(crate) errors: Vec<FileError>,
    pub(crate) more: usize,
    pub(crate) lines: Vec<CodeLine>,
}

/// A file that can be read.
pub(crate) struct GoodFile {
    pub(crate) path: String,
    pub(crate) dag: String,
    pub(crate) version: i64,
    pub(crate) stored: Stamp,
}

/// The page.
#[derive(Template)]
#[template(path = "files.html")]
pub(crate) struct FilesPage {
    frame: PageFrame,
    look: StateStyle,
    verdict: String,
    text: String,
    broken: Vec<BrokenFile>,
    more: usize,
    good: Vec<GoodFile>,
    good_said: String,
}

/// Good files listed.
const GOOD_MAX: usize = 200;

/// `GET /files`.
pub(crate) async fn show(ctx: Ctx) -> Outcome<Page<FilesPage>> {
    let frame = PageFrame::load(&ctx, Nav::Files, PageTopic::All).await?;
    let files = ctx.app.ports.store.files_broken().await?;
    let mut dags = ctx.app.ports.store.dags_load().await?;
    dags.retain(|dag| dag.present);
    dags.sort_by(|a, b| a.path.cmp(&b.path));
    let broken = files.len() as u64;
    let (look, verdict) = match (broken, dags.len()) {
        (0, 0) => (OK, "No DAG file yet".to_owned()),
        (0, _) => (OK, format!("All {} can be read", count(dags.len() as u64, "file"))),
        (broken, _) => (FAILED, format!("{} cannot be read", count(broken, "file"))),
    };
    let text = if broken > 0 {
        "Nothing has stopped: the last good version of each DAG goes on running, and a broken file stops no other."
    } else {
        "The DAG directory is watched; a change counts within a second."
    };
    let good = dags.iter().take(GOOD_MAX).map(|dag| GoodFile {
        path: dag.path.clone(),
        dag: dag.dag.to_string(),
        version: dag.version.0,
        stored: ctx.moment.event(dag.updated_at),
    });
    Ok(Page(FilesPage {
        frame,
        look,
        verdict,
        text: text.to_owned(),
        good_said: dags.len().to_string(),
        good: good.collect(),
        more: files.len().saturating_sub(FILES_MAX),
        broken: files.into_iter().take(FILES_MAX).map(|file| one(&ctx.moment, file)).collect(),
    }))
}

fn one(moment: &LocalClock, file: FileErrorRow) -> BrokenFile {
    // An entry written by another version may look otherwise; the file is then shown without its places.
    let mut errors: Vec<FileError> = serde_json::from_value(file.errors).unwrap_or_default();
    let more = errors.len().saturating_sub(ERRORS_MAX);
    errors.truncate(ERRORS_MAX);
    BrokenFile {
        lines: excerpt(&file.source, &errors),
        path: file.path,
        dag: file.dag.map(|dag| dag.to_string()),
        seen: moment.event(file.seen_at),
        errors,
        more,
    }
}
