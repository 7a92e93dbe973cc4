//! The pages. One file per page; this one holds what they all have: the frame around a page, and how it is answered.

pub(crate) mod audit;
pub(crate) mod dag;
pub(crate) mod dag_file;
pub(crate) mod error;
pub(crate) mod files;
pub(crate) mod go;
pub(crate) mod home;
pub(crate) mod ledger;
pub(crate) mod login;
pub(crate) mod pause;
pub(crate) mod run;
pub(crate) mod run_cancel;
pub(crate) mod run_retry;
pub(crate) mod runs;
pub(crate) mod task;
pub(crate) mod trigger;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use chrono::SecondsFormat;
use rota_core::id::{DagId, RunId};

use crate::app::Ctx;
use crate::error::{Error, Outcome};
use crate::show::time::{count, zone_name};

/// A page, drawn when it is answered.
pub(crate) struct Page<T>(pub(crate) T);

impl<T: Template> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        match self.0.render() {
            Ok(html) => Html(html).into_response(),
            Err(error) => Error::from(error).into_response(),
        }
    }
}

/// Which entry of the navigation a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nav {
    Home,
    Dags,
    Runs,
    Ledger,
    Files,
    Audit,
}

/// What a page is about, for live updates: an event about anything else does not make it read itself again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Everything.
    All,
    /// One DAG and its runs.
    Dag(DagId),
    /// One run.
    Run(RunId),
    /// Nothing: the page stays as it is.
    Still,
}

/// An entry of the navigation.
pub(crate) struct Link {
    pub(crate) href: &'static str,
    pub(crate) name: &'static str,
    pub(crate) current: bool,
}

/// The frame around a page.
pub(crate) struct Frame {
    pub(crate) place: String,
    pub(crate) links: Vec<Link>,
    pub(crate) broken: usize,
    pub(crate) broken_title: String,
    pub(crate) clock: String,
    pub(crate) clock_iso: String,
    pub(crate) clock_ms: i64,
    pub(crate) day_zone: String,
    pub(crate) csrf: String,
    pub(crate) topics: String,
    pub(crate) toast: Option<&'static str>,
}

const LINKS: &[(Nav, &str, &str)] = &[
    (Nav::Home, "/", "Home"),
    (Nav::Dags, "/#dags", "DAGs"),
    (Nav::Runs, "/runs", "Runs"),
    (Nav::Ledger, "/ledger", "Ledger"),
    (Nav::Files, "/files", "Files"),
    (Nav::Audit, "/audit", "Audit"),
];

/// What an address may ask to be said about the step before, and the words for it.
const DONE: &[(&str, &str)] = &[
    ("triggered", "The run was triggered."),
    ("repeated", "That form had been sent already; this is its run."),
    ("cancelled", "The run is being cancelled."),
    ("retried", "The tasks will run again."),
    ("paused", "The schedule is held."),
    ("unpaused", "The schedule goes on."),
];

impl Frame {
    /// The frame of a page for this request.
    pub(crate) async fn load(ctx: &Ctx, nav: Nav, topic: Topic) -> Outcome<Self> {
        let broken = ctx.app.files_broken().await?;
        let local = ctx.moment.now.with_timezone(&ctx.moment.zone);
        let link =
            |(at, href, name): &(Nav, &'static str, &'static str)| Link { href, name, current: *at == nav };
        Ok(Self {
            place: ctx.app.options.place.clone(),
            links: LINKS.iter().map(link).collect(),
            broken,
            broken_title: format!("{} cannot be read", count(broken as u64, "file")),
            clock: ctx.moment.seconds(ctx.moment.now),
            clock_iso: local.to_rfc3339_opts(SecondsFormat::Secs, true),
            clock_ms: ctx.moment.now.timestamp_millis(),
            day_zone: format!("{}, {}", local.format("%a %-d %b"), zone_name(ctx.moment.zone)),
            csrf: ctx.who.csrf.clone().unwrap_or_default(),
            topics: topic.text(),
            toast: None,
        })
    }

    /// Says what the step before did, if the address names it.
    pub(crate) fn done(self, word: Option<&str>) -> Self {
        let toast = DONE.iter().find(|(known, _)| Some(*known) == word).map(|(_, says)| *says);
        Self { toast, ..self }
    }
}

impl Topic {
    fn text(&self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Dag(dag) => format!("dag:{dag}"),
            Self::Run(run) => format!("run:{run}"),
            Self::Still => String::new(),
        }
    }
}
