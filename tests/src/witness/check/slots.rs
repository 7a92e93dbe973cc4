//! Slots and keys: each that is owed has one run or a reason, and nothing else has one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Rule, Violation};
use crate::witness::history::{Excuse, History, Plan, Slots};
use crate::witness::record::{Event, Kind};

pub(super) fn check(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut ran: BTreeMap<(&str, i64), BTreeSet<i64>> = BTreeMap::new();
    for event in history.events.iter().filter(|event| event.kind == Kind::Start) {
        if let Some(what) = phantom(history, event) {
            found.push(Violation::new(Rule::Phantom, format!("run {}: {what}", event.run)));
        }
        if let Some(slot) = event.slot {
            ran.entry((&event.dag, slot)).or_default().insert(event.run);
        }
    }
    for ((dag, slot), runs) in &ran {
        if runs.len() > 1 {
            found
                .push(Violation::new(Rule::DoubleRun, format!("slot {slot} of {dag} has the runs {runs:?}")));
        }
    }
    for (dag, plan) in &history.dags {
        if let Some(slots) = plan.slots {
            let owed = slots.between(slots.owed_from, slots.owed_to);
            found.extend(owed.filter_map(|slot| {
                let excuse = excuse(history, dag, slot);
                judge(&slots, slot, ran.contains_key(&(dag.as_str(), slot)), excuse)
                    .map(|(rule, what)| Violation::new(rule, format!("slot {slot} of {dag}: {what}")))
            }));
        }
    }
    found
}

fn judge(slots: &Slots, slot: i64, has_run: bool, excuse: Option<&Excuse>) -> Option<(Rule, String)> {
    match (has_run, excuse) {
        (true, None) => None,
        (true, Some(excuse)) => {
            Some((Rule::RanAndSkipped, format!("it ran, and the ledger says: {}", excuse.reason)))
        }
        (false, None) => Some((Rule::LostSlot, "it did not run, and nothing says why".to_owned())),
        (false, Some(excuse)) if slot <= slots.run_to => {
            Some((Rule::NeedlessSkip, format!("it had to run, and the ledger says: {}", excuse.reason)))
        }
        (false, Some(_)) => None,
    }
}

fn excuse<'a>(history: &'a History, dag: &str, slot: i64) -> Option<&'a Excuse> {
    history
        .excuses
        .iter()
        .find(|it| it.dag == dag && it.from <= slot && slot <= it.to && !it.reason.trim().is_empty())
}

/// Why this start should not be, if it should not.
fn phantom(history: &History, event: &Event) -> Option<String> {
    let Some(plan) = history.dags.get(&event.dag) else {
        return Some(format!("there is no DAG {}", event.dag));
    };
    if history.task(&event.dag, &event.task).is_none() {
        return Some(format!("{} has no task {}", event.dag, event.task));
    }
    wrong_slot(plan, event)
}

fn wrong_slot(plan: &Plan, event: &Event) -> Option<String> {
    match (plan.slots, event.slot) {
        (None, None) => None,
        (None, Some(slot)) => Some(format!("{} has no schedule, and ran for slot {slot}", event.dag)),
        (Some(_), None) => Some(format!("{} was not asked to run", event.dag)),
        (Some(slots), Some(slot)) => {
            let is_due = slots.between(slots.possible_from, slots.possible_to).any(|due| due == slot);
            (!is_due).then(|| format!("{slot} is no slot of {} in this time", event.dag))
        }
    }
}

/// Each granted key has made one run.
pub(super) fn check_keys(history: &History) -> Vec<Violation> {
    let mut runs: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for event in history.events.iter().filter(|event| !event.key.is_empty()) {
        runs.entry(&event.key).or_default().insert(event.run);
    }
    let lost = history.keys.iter().filter(|key| !runs.contains_key(key.as_str()));
    let lost = lost.map(|key| Violation::new(Rule::LostKey, format!("key {key} was granted and never ran")));
    let doubled = runs.iter().filter(|(_, runs)| runs.len() > 1);
    let doubled = doubled
        .map(|(key, runs)| Violation::new(Rule::DoubledKey, format!("key {key} has the runs {runs:?}")));
    lost.chain(doubled).collect()
}
