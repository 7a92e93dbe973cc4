//! `/cluster`: who leads and who led, who runs tasks, who serves which queue.

use std::sync::Arc;

use askama::Template;
use axum::extract::Query;
use rota_core::dag::Dag;
use rota_core::port::{LeaderRow, ReplicaState, WorkerRow, WorkerState};
use rota_core::schedule::zone_data;
use serde::Deserialize;

use crate::app::Ctx;
use crate::error::Outcome;
use crate::lead::{LeadershipState, is_silent};
use crate::pages::dag::DagFact;
use crate::pages::{Nav, Page, PageFrame, PageTopic};
use crate::show::fleet::{self, SlotUse, WorkerTable};
use crate::show::lanes::{self, LeaderTimelines, LeadershipFacts};
use crate::show::look::{FAILED, OK, StateStyle, WARN};
use crate::show::queues::{self, QueueLine};
use crate::show::terms::{self, TERMS_SHOWN};
use crate::show::time::LocalClock;

/// Terms that the lanes are drawn from.
const TERMS_MAX: usize = 200;

/// `?done=`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ClusterQuery {
    done: Option<String>,
}

/// The page.
#[derive(Template)]
#[template(path = "cluster.html")]
pub(crate) struct ClusterPage {
    frame: PageFrame,
    look: StateStyle,
    verdict: String,
    text: String,
    facts: Vec<DagFact>,
    lanes: LeaderTimelines,
    /// Such as `3 of 3 live`.
    lanes_said: String,
    terms: Vec<terms::LeaderChange>,
    has_more_terms: bool,
    workers: WorkerTable,
    queues: Vec<QueueLine>,
}

/// What the store says, before it is drawn.
struct Cluster {
    known: LeadershipFacts,
    leader: LeaderRow,
    workers: Vec<WorkerRow>,
    queues: Vec<QueueLine>,
}

/// `GET /cluster`.
pub(crate) async fn show(ctx: Ctx, Query(query): Query<ClusterQuery>) -> Outcome<Page<ClusterPage>> {
    let frame = PageFrame::load(&ctx, Nav::Cluster, PageTopic::Fleet).await?.done(query.done.as_deref());
    let cluster = Cluster::load(&ctx).await?;
    let (look, verdict) = verdict(&ctx.moment, &cluster);
    Ok(Page(ClusterPage {
        frame,
        look,
        verdict,
        text: text(&ctx.moment, &cluster),
        facts: facts(&ctx.moment, &cluster),
        lanes: lanes::lanes(&ctx.moment, &cluster.known),
        lanes_said: cluster.schedulers_said(&ctx.moment),
        terms: terms::rows(&ctx, &cluster.known).await?,
        has_more_terms: cluster.known.terms.len() > TERMS_SHOWN,
        workers: fleet::workers(&ctx.moment, &cluster.workers),
        queues: cluster.queues,
    }))
}

impl Cluster {
    async fn load(ctx: &Ctx) -> Outcome<Self> {
        let store = &*ctx.app.ports.store;
        let (replicas, terms) = (store.view_replicas().await?, store.view_terms(TERMS_MAX).await?);
        let lead = ctx.app.lead(terms.first(), &replicas, ctx.moment.now);
        let workers = store.view_workers().await?;
        let mut rows = store.dags_load().await?;
        rows.retain(|row| row.present);
        let dags = ctx.app.catalog.current(store, &rows).await?;
        let dags: Vec<Arc<Dag>> = dags.into_iter().flatten().collect();
        let queues = queues::queues(&workers, &dags);
        Ok(Self {
            known: LeadershipFacts { replicas, terms, lead },
            leader: store.view_leader().await?,
            workers,
            queues,
        })
    }

    /// Replicas that are up, and all that should be.
    fn schedulers(&self, moment: &LocalClock) -> (usize, usize) {
        let expected = self.known.replicas.iter().filter(|replica| replica.state != ReplicaState::Gone);
        let up = expected.clone().filter(|replica| !is_silent(replica, moment.now));
        (up.count(), expected.count())
    }

    fn schedulers_said(&self, moment: &LocalClock) -> String {
        let (up, expected) = self.schedulers(moment);
        if expected == 0 { String::new() } else { format!("{up} of {expected} live") }
    }

    /// Live ones that claim nothing because they could not start it.
    fn workers_degraded(&self) -> u64 {
        let live = self.workers.iter().filter(|worker| worker.state == WorkerState::Live);
        live.filter(|worker| !worker.takes_tasks()).count() as u64
    }

    fn workers_in(&self, state: WorkerState) -> u64 {
        fleet::newest(&self.workers).iter().filter(|worker| worker.state == state).count() as u64
    }
}

fn verdict(moment: &LocalClock, cluster: &Cluster) -> (StateStyle, String) {
    match &cluster.known.lead {
        LeadershipState::Stuck { why } => return (FAILED, format!("Nothing moves: {why}")),
        LeadershipState::Never => return (FAILED, "No scheduler has led yet, so nothing fires".to_owned()),
        LeadershipState::Vacant { since } => {
            let since = moment.event(*since).text;
            return (FAILED, format!("No scheduler leads since {since}, so nothing fires"));
        }
        LeadershipState::Held => {}
    }
    if !cluster.workers.iter().any(fleet::is_up) {
        return (WARN, "No worker lives, so nothing runs".to_owned());
    }
    let troubles = troubles(moment, cluster);
    let leader = cluster.leader.holder.as_deref().unwrap_or("a scheduler");
    match troubles.as_slice() {
        [] => (OK, format!("{leader} leads, all is well")),
        [one] => (WARN, capital(one)),
        [rest @ .., last] => (WARN, capital(&format!("{} and {last}", rest.join(", ")))),
    }
}

fn troubles(moment: &LocalClock, cluster: &Cluster) -> Vec<String> {
    let mut troubles = Vec::new();
    let (up, expected) = cluster.schedulers(moment);
    let starved: Vec<&QueueLine> = cluster.queues.iter().filter(|queue| queue.is_starved()).collect();
    match expected - up {
        0 => {}
        1 => troubles.push("one scheduler is silent".to_owned()),
        many => troubles.push(format!("{many} schedulers are silent")),
    }
    match cluster.workers_in(WorkerState::Dead) {
        0 => {}
        1 => troubles.push("one worker is lost".to_owned()),
        many => troubles.push(format!("{many} workers are lost")),
    }
    match cluster.workers_degraded() {
        0 => {}
        1 => troubles.push("one worker cannot start tasks".to_owned()),
        many => troubles.push(format!("{many} workers cannot start tasks")),
    }
    if cluster.known.zones(moment.now).len() > 1 {
        troubles.push("schedulers have different time zone data".to_owned());
    }
    match starved.as_slice() {
        [] => {}
        [queue] => troubles.push(format!("queue {} has no worker", queue.name)),
        many => troubles.push(format!("{} queues have no worker", many.len())),
    }
    troubles
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn text(moment: &LocalClock, cluster: &Cluster) -> String {
    let (up, _) = cluster.schedulers(moment);
    let leader = match (&cluster.known.lead, cluster.known.leader()) {
        (LeadershipState::Never, _) => {
            return "Schedulers and workers appear here as soon as they start.".to_owned();
        }
        (
            LeadershipState::Held | LeadershipState::Stuck { .. } | LeadershipState::Vacant { .. },
            Some(term),
        ) => {
            format!("{} leads epoch {} since {}.", term.holder, term.epoch, moment.event(term.began_at).text)
        }
        (LeadershipState::Held | LeadershipState::Stuck { .. } | LeadershipState::Vacant { .. }, None) => {
            return "Tasks that run go on and their results are kept. Start a scheduler: slots that came due meanwhile \
                    fire then, or follow their DAG's catch-up rule."
                .to_owned();
        }
    };
    match up.saturating_sub(1) {
        0 => format!("{leader} No other scheduler stands by: if it ends, nothing fires until one starts."),
        1 => format!("{leader} One more stands by and takes over when it ends."),
        many => format!("{leader} {many} more stand by; one of them takes over when it ends."),
    }
}

fn facts(moment: &LocalClock, cluster: &Cluster) -> Vec<DagFact> {
    let fact = |name, value, under, look| DagFact { name, value, under, look, href: String::new() };
    let worse = |is_bad: bool, look| if is_bad { Some(look) } else { None };
    let (up, expected) = cluster.schedulers(moment);
    let (busy, slots) = fleet::load(&cluster.workers);
    let (live, draining) = (cluster.workers_in(WorkerState::Live), cluster.workers_in(WorkerState::Draining));
    let lost = cluster.workers_in(WorkerState::Dead);
    let under = match (draining, lost) {
        (0, 0) => "none draining, none lost".to_owned(),
        (draining, 0) => format!("{draining} draining"),
        (0, lost) => format!("{lost} lost"),
        (draining, lost) => format!("{draining} draining, {lost} lost"),
    };
    let served = cluster.queues.iter().filter(|queue| !queue.workers.is_empty()).count();
    let starved = cluster.queues.iter().any(QueueLine::is_starved);
    let since = cluster.leader.since.map(|since| format!("since {}", moment.event(since).text));
    let epoch_since = since.unwrap_or_else(|| "no term has begun".to_owned());
    let stand_by = match up.saturating_sub(usize::from(cluster.known.leader().is_some())) {
        0 => "none stands by".to_owned(),
        1 => "1 stands by".to_owned(),
        many => format!("{many} stand by"),
    };
    vec![
        leader_fact(cluster),
        fact("Epoch", cluster.leader.epoch.to_string(), epoch_since, None),
        zones_fact(moment, cluster),
        fact("Schedulers", format!("{up} of {expected} live"), stand_by, worse(up < expected, WARN)),
        fact("Workers", format!("{live} live"), under, worse(live == 0 || lost > 0, WARN)),
        fact("Slots", format!("{busy} of {slots} busy"), "processes at a time".to_owned(), None),
        fact(
            "Queues",
            format!("{served} of {} served", cluster.queues.len()),
            "by live workers".to_owned(),
            worse(starved, WARN),
        ),
    ]
}

/// The time zone data that slots are found with, and this server's own, which finds those that pages foretell.
fn zones_fact(moment: &LocalClock, cluster: &Cluster) -> DagFact {
    let own = zone_data().version();
    let zones: Vec<&str> = cluster.known.zones(moment.now).into_iter().collect();
    let (value, is_one) = match zones.as_slice() {
        [] => (own.to_owned(), true),
        zones => (zones.join(" and "), zones == [own]),
    };
    let under = if is_one { "on schedulers and here".to_owned() } else { format!("this server: {own}") };
    let look = if is_one { None } else { Some(WARN) };
    DagFact { name: "Time zones", value, under, look, href: String::new() }
}

fn leader_fact(cluster: &Cluster) -> DagFact {
    let (value, under, look) = match cluster.known.leader() {
        Some(term) => {
            let host = cluster.known.replicas.iter().find(|replica| replica.id == term.holder);
            let host = host.map(|replica| format!("on {}", replica.host)).unwrap_or_default();
            (term.holder.to_string(), host, None)
        }
        None => ("none".to_owned(), "nothing fires".to_owned(), Some(FAILED)),
    };
    DagFact { name: "Leader", value, under, look, href: String::new() }
}
