//! How late slots began, by what was being done to the system when they came due. Reports; judges nothing.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::history::History;
use super::record::{Kind, Micros};

/// What no fault hit.
const QUIET: &str = "quiet";

/// How late each slot of a DAG began: from the slot to the first line of its run, by fault. A slot that several faults hit
/// counts for each of them.
#[must_use]
pub fn of(history: &History, dag: &str) -> BTreeMap<String, Vec<Micros>> {
    let mut firsts: BTreeMap<i64, Micros> = BTreeMap::new();
    for event in history.events.iter().filter(|event| event.kind == Kind::Start && event.dag == dag) {
        if let Some(slot) = event.slot {
            let first = firsts.entry(slot).or_insert(event.at);
            *first = event.at.min(*first);
        }
    }
    let mut late: BTreeMap<String, Vec<Micros>> = BTreeMap::new();
    for (slot, first) in firsts {
        let due = slot * 1_000_000;
        let hits = history.faults.iter().filter(|fault| fault.at <= due && due <= fault.until);
        let mut names: Vec<&str> = hits.map(|fault| fault.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            names.push(QUIET);
        }
        for name in names {
            late.entry(name.to_owned()).or_default().push(first - due);
        }
    }
    late.values_mut().for_each(|all| all.sort_unstable());
    late
}

/// A line per fault: how many slots, and their lateness in seconds at p50, p99 and most.
#[must_use]
pub fn table(late: &BTreeMap<String, Vec<Micros>>) -> String {
    let mut text = String::new();
    for (name, all) in late {
        let at = |percent: usize| {
            let place = (all.len() * percent).div_ceil(100).clamp(1, all.len()) - 1;
            all[place] as f64 / 1e6
        };
        let (p50, p99, most) = (at(50), at(99), at(100));
        writeln!(text, "  {name:<36} {:>4} slots, late p50 {p50:.3} p99 {p99:.3} max {most:.3} s", all.len())
            .unwrap();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::history::Fault;
    use crate::witness::record::Event;

    #[test]
    fn slots_count_for_the_faults_that_hit_them() {
        let start = |slot: i64, late: i64| Event {
            host: "w1".to_owned(),
            kind: Kind::Start,
            dag: "d".to_owned(),
            slot: Some(slot),
            run: slot,
            task: "a".to_owned(),
            attempt: 1,
            token: slot,
            pid: 1,
            at: slot * 1_000_000 + late,
            boot: 0,
            key: String::new(),
        };
        let mut history =
            History { events: vec![start(1, 5), start(1, 9), start(2, 7)], ..History::default() };
        history.events.push(Event { dag: "other".to_owned(), ..start(3, 1) });
        history.faults.push(Fault { name: "kill".to_owned(), at: 1_500_000, until: 2_500_000 });
        let late = of(&history, "d");
        assert_eq!(late["quiet"], [5]);
        assert_eq!(late["kill"], [7]);
        assert_eq!(table(&late).lines().count(), 2);
    }
}
