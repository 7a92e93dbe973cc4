//! Is all right? The title of the home page and the sentence under it, from counts only: no list that may be cut says how
//! many there are.

use chrono::TimeDelta;
use rota_core::port::{FailedDags, SlotCounts};

use super::look::{FAILED, MISSED, OK, PAUSED, StateStyle, WARN};
use super::strip::HealthStrip;
use super::time::{LocalClock, count, grouped, span};
use crate::lead::LeadershipState;

/// What it is told from: all of the last day.
#[derive(Clone, Copy)]
pub(crate) struct HomeVerdict<'a> {
    pub(crate) failed: &'a FailedDags,
    pub(crate) counts: SlotCounts,
    pub(crate) dags: usize,
    pub(crate) health: &'a HealthStrip,
}

impl HomeVerdict<'_> {
    /// The title, and how it looks.
    pub(crate) fn title(&self, moment: &LocalClock) -> (StateStyle, String) {
        let (missed, fired) = (self.counts.missed, self.counts.fired);
        if let LeadershipState::Vacant { since } = &self.health.lead {
            let verdict = format!("No scheduler leads since {}, so nothing fires", moment.event(*since).text);
            return (FAILED, verdict);
        }
        if let LeadershipState::Stuck { why } = &self.health.lead {
            return (FAILED, format!("Nothing moves: {why}"));
        }
        if self.health.leader.holder.is_none() {
            return (FAILED, "No scheduler leads, so nothing fires".to_owned());
        }
        match (self.failed.failing, missed) {
            (0, 0) if self.health.slots == 0 => (WARN, "No worker lives, so nothing runs".to_owned()),
            (0, 0) if self.dags == 0 => (PAUSED, "No DAG yet".to_owned()),
            (0, 0) if fired == 0 => (OK, "All is well, nothing was due yet".to_owned()),
            (0, 0) if fired == 1 => (OK, "The one slot that was due has fired".to_owned()),
            (0, 0) => (OK, format!("All {} fired", count(fired, "slot"))),
            (failing, 0) => (FAILED, needs(&count(failing, "DAG"), "failed", failing)),
            (0, missed) => (MISSED, needs(&count(missed, "missed slot"), "", missed)),
            (failing, missed) => {
                let what = format!(
                    "{} that failed and {} need a look",
                    count(failing, "DAG"),
                    count(missed, "missed slot")
                );
                (FAILED, what)
            }
        }
    }

    /// The sentence under it.
    pub(crate) fn text(&self, moment: &LocalClock) -> String {
        let counts = &self.counts;
        let due = counts.fired + counts.skipped + counts.missed;
        let since = moment.hours(moment.now);
        if due == 0 {
            return format!("No slot came due since yesterday {since}.");
        }
        let mut said = vec![format!("{} fired", grouped(counts.fired))];
        if counts.skipped > 0 {
            said.push(format!("{} skipped by policy", grouped(counts.skipped)));
        }
        if counts.missed > 0 {
            said.push(format!("{} missed", grouped(counts.missed)));
        }
        let late = span(TimeDelta::milliseconds(i64::try_from(counts.late_max_ms).unwrap_or(i64::MAX)));
        let how = if counts.fired > 0 {
            format!(" None fired later than {late} after its time.")
        } else {
            String::new()
        };
        let again = match self.failed.recovered {
            0 => String::new(),
            1 => " One DAG failed and has succeeded since.".to_owned(),
            many => format!(" {many} DAGs failed and have succeeded since."),
        };
        format!("Since yesterday {since}, {} came due: {}.{how}{again}", count(due, "slot"), said.join(", "))
    }
}

fn needs(what: &str, done: &str, number: u64) -> String {
    let verb = if number == 1 { "needs" } else { "need" };
    if done.is_empty() { format!("{what} {verb} a look") } else { format!("{what} {done} and {verb} a look") }
}
