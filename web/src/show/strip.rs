//! The strip of health on the home page: only what is really known.

use std::time::Duration;

use chrono::TimeDelta;
use rota_core::port::{LeaderRow, WorkerRow, WorkerState};
use tokio::time::Instant;

use super::fleet;
use super::look::{FAILED, OK, StateStyle, WARN};
use super::time::{LocalClock, count, span};
use crate::app::{Ctx, HeaderStatus};
use crate::error::Outcome;
use crate::lead::LeadershipState;

/// What was read.
pub(crate) struct HealthStrip {
    pub(crate) leader: LeaderRow,
    pub(crate) lead: LeadershipState,
    pub(crate) workers: Vec<WorkerRow>,
    /// Of live workers.
    pub(crate) slots: u64,
    pub(crate) running: u64,
    store_wait: Duration,
    dags: usize,
    broken: usize,
    late_max_ms: u64,
}

/// One cell.
pub(crate) struct Gauge {
    pub(crate) look: StateStyle,
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) under: String,
    pub(crate) href: &'static str,
}

impl HealthStrip {
    /// Reads it. The leader's row is also how the store's time to answer is measured.
    pub(crate) async fn load(ctx: &Ctx, dags: usize, late_max_ms: u64) -> Outcome<Self> {
        let began = Instant::now();
        let leader = ctx.app.ports.store.view_leader().await?;
        let store_wait = began.elapsed();
        let workers = ctx.app.ports.store.view_workers().await?;
        let (running, slots) = fleet::load(&workers);
        let HeaderStatus { broken, lead } = ctx.app.pulse().await?;
        Ok(Self { leader, lead, workers, slots, running, store_wait, dags, broken, late_max_ms })
    }
}

/// The cells.
pub(crate) fn gauges(moment: &LocalClock, health: &HealthStrip) -> Vec<Gauge> {
    let slots = Gauge {
        look: if health.slots > 0 { OK } else { WARN },
        name: "Slots in use",
        value: format!("{} of {}", health.running, health.slots),
        under: "processes at a time".to_owned(),
        href: "/cluster",
    };
    let store_wait = TimeDelta::from_std(health.store_wait).unwrap_or(TimeDelta::MAX);
    let store = Gauge {
        look: if store_wait < TimeDelta::milliseconds(250) { OK } else { WARN },
        name: "Store",
        value: format!("{:.1}\u{a0}ms", health.store_wait.as_secs_f64() * 1000.0),
        under: "to answer this page".to_owned(),
        href: "",
    };
    vec![leader(moment, health), workers(moment, health), slots, store, files(health), lateness(health)]
}

fn leader(moment: &LocalClock, health: &HealthStrip) -> Gauge {
    let none = |under: String| Gauge {
        look: FAILED,
        name: "Leader",
        value: "none".to_owned(),
        under,
        href: "/cluster",
    };
    match (&health.lead, &health.leader.holder) {
        (LeadershipState::Stuck { why }, holder) => Gauge {
            look: FAILED,
            name: "Leader",
            value: holder.clone().unwrap_or_else(|| "stuck".to_owned()),
            under: why.clone(),
            href: "/cluster",
        },
        (LeadershipState::Vacant { since }, _) => none(format!("since {}", moment.event(*since).text)),
        (LeadershipState::Never, None) | (LeadershipState::Held, None) => {
            none("since the store was made".to_owned())
        }
        (LeadershipState::Held | LeadershipState::Never, Some(holder)) => {
            let since = health.leader.since.map(|since| format!(", for {}", moment.since(since)));
            let under = format!("epoch {}{}", health.leader.epoch, since.unwrap_or_default());
            Gauge { look: OK, name: "Leader", value: holder.clone(), under, href: "/cluster" }
        }
    }
}

fn workers(moment: &LocalClock, health: &HealthStrip) -> Gauge {
    let newest = fleet::newest(&health.workers);
    let up = newest.iter().filter(|worker| fleet::is_up(worker)).count();
    let dead = newest.iter().find(|worker| worker.state == WorkerState::Dead);
    let under = match (dead, newest.iter().find(|worker| worker.state == WorkerState::Live)) {
        (Some(dead), _) => format!("{} lost {} ago", dead.id, moment.since(dead.heartbeat_at)),
        (None, Some(live)) => format!("{}, beat {} ago", live.id, moment.since(live.heartbeat_at)),
        (None, None) => "start one to run tasks".to_owned(),
    };
    let look = if up == 0 || dead.is_some() { WARN } else { OK };
    let counted = newest.iter().filter(|worker| worker.state != WorkerState::Gone).count();
    Gauge { look, name: "Workers", value: format!("{up} of {}", counted.max(up)), under, href: "/cluster" }
}

fn files(health: &HealthStrip) -> Gauge {
    let good = count(health.dags as u64, "DAG");
    if health.broken == 0 {
        return Gauge {
            look: OK,
            name: "Files",
            value: good,
            under: "all can be read".to_owned(),
            href: "/files",
        };
    }
    let under = format!("{} cannot be read", count(health.broken as u64, "file"));
    Gauge { look: WARN, name: "Files", value: good, under, href: "/files" }
}

fn lateness(health: &HealthStrip) -> Gauge {
    let late = TimeDelta::milliseconds(i64::try_from(health.late_max_ms).unwrap_or(i64::MAX));
    Gauge {
        look: if late > TimeDelta::minutes(1) { WARN } else { OK },
        name: "Lateness",
        value: span(late),
        under: "at most, in a day".to_owned(),
        href: "/ledger",
    }
}
