//! Brings a server, or a cluster, to rest: holds all schedules at a moment when no slot waits for its decision, and waits
//! until everything that was begun has ended. Notes for the checker which slots were owed by then.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::api::Api;
use super::dag::Dag;
use super::rng::now;
use super::wait_within;
use crate::witness::check::{Rule, Violation};
use crate::witness::history::{History, Slots};
use crate::witness::record::Micros;

/// From a pause that was answered to the last slot that may still fire.
const PAUSE_SECONDS: i64 = 3;
const SECOND: Micros = 1_000_000;

/// Changes what the checker knows of the slots of each DAG with a schedule. The change is told whether each slot must run.
pub fn set_slots(history: &mut History, dags: &[Dag], change: impl Fn(&mut Slots, bool)) {
    for dag in dags {
        if let Some(slots) = history.dags.get_mut(dag.name).and_then(|plan| plan.slots.as_mut()) {
            change(slots, dag.must_run);
        }
    }
}

/// Settles everything within `limit` after the last disturbance, and says what did not come to rest.
pub fn settle(api: &Api, dags: &[Dag], history: &mut History, limit: Duration) -> Vec<Violation> {
    let deadline = Instant::now() + limit;
    let run_to = now() / SECOND - 2;
    set_slots(history, dags, |slots, must_run| slots.run_to = if must_run { run_to } else { 0 });
    let mut found = Vec::new();
    loop {
        if let Err(what) = hold(api, dags, history, deadline) {
            let what = format!("{what} did not come within {limit:?} after the last disturbance");
            found.push(Violation::new(Rule::Stuck, what));
            break;
        }
        // Runs that still wait for their turn wait until their DAG is released.
        let active = api.runs("state=queued,running");
        if active.as_ref().is_some_and(Vec::is_empty) {
            break;
        }
        if Instant::now() > deadline {
            let what = format!("runs {active:?} had not ended {limit:?} after the last disturbance");
            found.push(Violation::new(Rule::Stuck, what));
            break;
        }
    }
    history.quiet_at = now();
    found
}

/// Holds all schedules when no slot waits for its decision and no run for its turn, and waits until no run runs, or the
/// time is over.
///
/// # Errors
/// What did not come in time.
fn hold(api: &Api, dags: &[Dag], history: &mut History, deadline: Instant) -> Result<(), String> {
    let within = |what: &str, done: &mut dyn FnMut() -> bool| {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        if wait_within(left, done) { Ok(()) } else { Err(what.to_owned()) }
    };
    let scheduled: Vec<&str> = dags.iter().filter(|dag| dag.every > 0).map(|dag| dag.name).collect();
    for dag in &scheduled {
        within("the answer to a release", &mut || api.release(dag))?;
    }
    let before = now() / SECOND;
    within("the decisions about all slots", &mut || {
        let is_decided = |dag: &&str| {
            let next = api.get(&format!("/dags/{dag}")).and_then(|(_, dag)| seconds(&dag["next_slot"]));
            next.is_some_and(|next| next >= before - 1)
        };
        scheduled.iter().all(is_decided)
    })?;
    within("the start of all runs", &mut || api.runs("state=queued").is_some_and(|runs| runs.is_empty()))?;
    let pause_at = now() / SECOND;
    for dag in &scheduled {
        within("the answer to a pause", &mut || api.hold(dag))?;
    }
    let paused_at = now() / SECOND;
    set_slots(history, dags, |slots, _| {
        slots.owed_to = pause_at - 1;
        slots.possible_to = paused_at + PAUSE_SECONDS;
    });
    // A slot may be on its way while its DAG is paused. Whoever called knows what it means if this takes too long.
    let is_calm = || api.runs("state=running").is_some_and(|runs| runs.is_empty());
    while Instant::now() < deadline && (now() / SECOND <= paused_at + 1 || !is_calm()) {
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// An instant of the API, in seconds since 1970.
fn seconds(instant: &Value) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(instant.as_str()?).ok().map(|at| at.timestamp())
}
