//! The pages. One file per page; this one holds what they all have: the frame around a page, and how it is answered.

pub(crate) mod audit;
pub(crate) mod cluster;
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
pub(crate) mod task_log;
pub(crate) mod trigger;
pub(crate) mod worker_drain;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use chrono::SecondsFormat;
use rota_core::id::{DagId, RunId};

use crate::app::{Ctx, HeaderStatus};
use crate::error::{Error, Outcome};
use crate::lead::LeadershipState;
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
    Cluster,
    Files,
    Audit,
}

/// What a page is about, for live updates: an event about anything else does not make it read itself again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PageTopic {
    /// Everything.
    All,
    /// One DAG and its runs.
    Dag(DagId),
    /// One run.
    Run(RunId),
    /// Schedulers and workers.
    Fleet,
    /// Nothing: the page stays as it is.
    Still,
}

/// An entry of the navigation.
pub(crate) struct NavLink {
    pub(crate) href: &'static str,
    pub(crate) name: &'static str,
    pub(crate) current: bool,
}

/// The frame around a page.
pub(crate) struct PageFrame {
    pub(crate) place: String,
    pub(crate) links: Vec<NavLink>,
    pub(crate) broken: usize,
    pub(crate) broken_title: String,
    pub(crate) clock: String,
    pub(crate) clock_iso: String,
    pub(crate) clock_ms: i64,
    pub(crate) day_zone: String,
    pub(crate) csrf: String,
    pub(crate) topics: String,
    pub(crate) toast: Option<&'static str>,
    /// What is to be said on every page: that nobody leads.
    pub(crate) alarm: Option<String>,
}

const LINKS: &[(Nav, &str, &str)] = &[
    (Nav::Home, "/", "Home"),
    (Nav::Dags, "/#dags", "DAGs"),
    (Nav::Runs, "/runs", "Runs"),
    (Nav::Ledger, "/ledger", "Ledger"),
    (Nav::Cluster, "/cluster", "Cluster"),
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
    ("drained", "The worker finishes what it has and takes nothing more."),
];

impl PageFrame {
    /// The frame of a page for this request.
    pub(crate) async fn load(ctx: &Ctx, nav: Nav, topic: PageTopic) -> Outcome<Self> {
        let pulse = ctx.app.pulse().await?;
        Ok(Self::of(ctx, Some(nav), topic, Some(pulse)))
    }

    /// The same of a page that may belong to no entry of the navigation, while the store may not answer.
    pub(crate) fn of(ctx: &Ctx, nav: Option<Nav>, topic: PageTopic, pulse: Option<HeaderStatus>) -> Self {
        let local = ctx.moment.now.with_timezone(&ctx.moment.zone);
        let link = |(at, href, name): &(Nav, &'static str, &'static str)| NavLink {
            href,
            name,
            current: Some(*at) == nav,
        };
        let broken = pulse.as_ref().map_or(0, |pulse| pulse.broken);
        Self {
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
            alarm: pulse.and_then(|pulse| alarm(ctx, nav, &pulse.lead)),
        }
    }

    /// Says what the step before did, if the address names it.
    pub(crate) fn done(self, word: Option<&str>) -> Self {
        let toast = DONE.iter().find(|(known, _)| Some(*known) == word).map(|(_, says)| *says);
        Self { toast, ..self }
    }
}

/// Said once: the title of the home page and of the cluster's says it already.
fn alarm(ctx: &Ctx, nav: Option<Nav>, lead: &LeadershipState) -> Option<String> {
    match lead {
        _ if matches!(nav, Some(Nav::Home | Nav::Cluster)) => None,
        LeadershipState::Vacant { since } => {
            Some(format!("No scheduler leads since {}", ctx.moment.event(*since).text))
        }
        LeadershipState::Stuck { why } => Some(format!("Nothing moves: {why}")),
        LeadershipState::Never | LeadershipState::Held => None,
    }
}

impl PageTopic {
    fn text(&self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Dag(dag) => format!("dag:{dag}"),
            Self::Run(run) => format!("run:{run}"),
            Self::Fleet => "fleet".to_owned(),
            Self::Still => String::new(),
        }
    }
}
