//! What the audit log hears of the door: who signed in and out, who could not, and which writes were refused.
//!
//! Strangers decide how often that happens, and rows stay for ever, so a flood becomes a few lines: of what happens again
//! and again within a minute the first is written at once and the others as one sum, in the log as in the audit. Nobody waits
//! for the audit's answer: a store that is away must not keep the door shut, and the log has every line as well.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rota_core::port::{Actor, Deed};
use rota_core::sync::lock;
use tracing::{info, warn};

use crate::app::SharedApp;

/// What happens again within it is summed up.
const WINDOW: Duration = Duration::from_secs(60);
/// Different deeds within a window that have a line of their own.
const TOPICS_MAX: usize = 16;
/// Addresses that a sum counts, and those that it names.
const ORIGINS_MAX: usize = 1000;
const ORIGINS_NAMED: usize = 3;
/// Characters of a subject or an outcome that are written.
const TEXT_CHARS_MAX: usize = 200;

/// Somebody who is not signed in.
pub(crate) const STRANGER: &str = "unknown";

/// The deeds of the current minute.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    topics: Mutex<HashMap<DeedTopic, DeedCount>>,
}

/// What is the same deed. Whoever is signed in is told apart by address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct DeedTopic {
    actor: String,
    origin: String,
    action: &'static str,
    subject: String,
}

/// How often it was done again, and from where.
#[derive(Debug, Default)]
struct DeedCount {
    count: u64,
    origins: BTreeSet<String>,
}

impl Journal {
    /// The deed, if it is to be written now; else it is counted.
    fn note(&self, deed: Deed) -> Option<Deed> {
        let mut topics = lock(&self.topics);
        let is_stranger = deed.actor.name == STRANGER;
        let mut topic = DeedTopic {
            actor: deed.actor.name.clone(),
            origin: if is_stranger { String::new() } else { deed.actor.origin.clone() },
            action: deed.action,
            subject: if is_stranger { String::new() } else { deed.subject.clone() },
        };
        if topics.len() >= TOPICS_MAX && !topics.contains_key(&topic) {
            (topic.origin, topic.subject) = (String::new(), String::new());
        }
        if let Some(sum) = topics.get_mut(&topic) {
            sum.count += 1;
            if sum.origins.len() < ORIGINS_MAX {
                sum.origins.insert(deed.actor.origin);
            }
            return None;
        }
        topics.insert(topic, DeedCount::default());
        Some(deed)
    }

    /// What was done again since the last call, a deed for each kind.
    fn sums(&self) -> Vec<Deed> {
        let topics = std::mem::take(&mut *lock(&self.topics));
        let again = topics.into_iter().filter(|(_, sum)| sum.count > 0);
        let deeds = again.map(|(topic, sum)| Deed {
            actor: Actor { name: topic.actor, origin: sum.origin() },
            action: topic.action,
            subject: topic.subject,
            outcome: Some(format!("{} more within a minute", sum.count)),
        });
        deeds.collect()
    }
}

impl DeedCount {
    fn origin(&self) -> String {
        match self.origins.len() {
            count if count >= ORIGINS_MAX => format!("{ORIGINS_MAX} addresses or more"),
            count if count > ORIGINS_NAMED => format!("{count} addresses"),
            _ => self.origins.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        }
    }
}

/// Somebody whose only name is an address; `None` in a test without a network.
pub(crate) fn stranger(address: Option<IpAddr>) -> Actor {
    let origin = address.map(|address| address.to_string()).unwrap_or_default();
    Actor { name: STRANGER.to_owned(), origin }
}

/// Writes a deed, or counts it.
pub(crate) fn tell(app: &SharedApp, actor: Actor, action: &'static str, about: (&str, Option<String>)) {
    let short = |text: &str| text.chars().take(TEXT_CHARS_MAX).collect::<String>();
    let (subject, outcome) = about;
    let outcome = outcome.map(|outcome| short(&outcome));
    let deed = Deed { actor, action, subject: short(subject), outcome };
    if let Some(deed) = app.journal.note(deed) {
        tokio::spawn(write(Arc::clone(app), vec![deed]));
    }
}

/// Writes the sums, minute after minute, until shutdown.
pub(crate) async fn keep(app: SharedApp) {
    while !app.shutdown.is_cancelled() {
        tokio::select! {
            () = tokio::time::sleep(WINDOW) => {}
            () = app.shutdown.cancelled() => {}
        }
        write(Arc::clone(&app), app.journal.sums()).await;
    }
}

async fn write(app: SharedApp, deeds: Vec<Deed>) {
    for Deed { actor, action, subject, outcome } in &deeds {
        let words = outcome.as_deref().unwrap_or_default();
        let line = format!("{action} by {} from {}: {subject} {words}", actor.name, actor.origin);
        match *action {
            "sign_in" | "sign_out" => info!("{line}"),
            _ => warn!("{line}"),
        }
    }
    if !deeds.is_empty()
        && let Err(error) = app.ports.store.audit_add(&deeds).await
    {
        warn!(%error, "the audit has {} line(s) less than this log", deeds.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deed(name: &str, origin: String, subject: String) -> Deed {
        let actor = Actor { name: name.to_owned(), origin };
        Deed { actor, action: "write_refused", subject, outcome: None }
    }

    #[test]
    fn a_flood_of_strangers_is_one_line_at_once_and_one_sum_a_minute() {
        let journal = Journal::default();
        let flood =
            (0..5000).map(|n| deed(STRANGER, format!("10.0.{}.{}", n / 250, n % 250), format!("/{n}")));
        assert_eq!(flood.filter_map(|deed| journal.note(deed)).count(), 1);
        let sums = journal.sums();
        assert_eq!(sums.len(), 1);
        assert_eq!(sums[0].outcome.as_deref(), Some("4999 more within a minute"));
        assert_eq!(sums[0].actor.origin, "1000 addresses or more");
        assert!(journal.sums().is_empty(), "what was said is not said again");
        let again = deed(STRANGER, "10.0.0.1".into(), String::new());
        assert!(journal.note(again.clone()).is_some() && journal.note(again).is_none());
        assert_eq!(journal.sums()[0].actor.origin, "10.0.0.1");
    }

    #[test]
    fn whoever_is_signed_in_has_a_line_for_each_deed_up_to_a_bound() {
        let journal = Journal::default();
        let told = |n: usize| journal.note(deed("admin", "10.0.0.1".into(), format!("/runs/{n}"))).is_some();
        assert!((0..TOPICS_MAX).all(told), "each has its own line");
        assert_eq!((TOPICS_MAX..500).filter(|n| told(*n)).count(), 1, "the others share one");
        assert_eq!(journal.sums().len(), 1);
    }
}
