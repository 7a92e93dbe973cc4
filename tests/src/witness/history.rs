//! What a test knows without asking rota: what the tasks witnessed, what was to run, and what was done to the server.

use std::collections::BTreeMap;

use super::record::{Event, Kind, Micros};

/// What a checker judges.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What the tasks witnessed, in the order of its writing.
    pub events: Vec<Event>,
    /// Lines of the witness that could not be read.
    pub unreadable: Vec<String>,
    /// The DAGs, by name.
    pub dags: BTreeMap<String, Plan>,
    /// What was done to the server or to runs, in the order of time.
    pub interruptions: Vec<Interruption>,
    /// The idempotency keys under which runs were asked for, and granted.
    pub keys: Vec<String>,
    /// The ledger's reasons for slots that did not run.
    pub excuses: Vec<Excuse>,
    /// When everything had come to rest.
    pub quiet_at: Micros,
}

/// A DAG as the test wrote it.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Its tasks.
    pub tasks: Vec<Task>,
    /// Its slots; `None` for a DAG that runs only when it is asked to.
    pub slots: Option<Slots>,
    /// Whether people ask for tasks to run again: then a success may be followed by another attempt.
    pub has_people: bool,
    /// Whether one run must have ended before the next begins (`max_active_runs: 1`).
    pub is_narrow: bool,
}

/// A task as the test wrote it.
#[derive(Debug, Clone, Default)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// The tasks before it.
    pub needs: Vec<String>,
    /// Whether it waits for all of them to end in whatever way, not for their success.
    pub after_any_end: bool,
    /// Whether it must never be started twice (`on_lost: fail` and no retries).
    pub once: bool,
}

/// The slots of a DAG, in seconds since 1970: the multiples of `every`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slots {
    /// Between two slots.
    pub every: i64,
    /// From here on slots are possible.
    pub possible_from: i64,
    /// From here on each slot is owed.
    pub owed_from: i64,
    /// Up to here, inclusive, each slot must have run: no reason for not running counts.
    pub run_to: i64,
    /// Up to here, inclusive, each slot must have run or have a reason.
    pub owed_to: i64,
    /// Up to here, inclusive, slots are possible.
    pub possible_to: i64,
}

/// Something that ends attempts before their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interruption {
    /// From when on attempts may be ended by it.
    pub at: Micros,
    /// By when it was over: whatever it ended is gone.
    pub until: Micros,
    /// The run that was cancelled; `None`: all runs.
    pub run: Option<i64>,
}

/// A reason in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excuse {
    /// The DAG.
    pub dag: String,
    /// The first slot, in seconds since 1970.
    pub from: i64,
    /// The last slot.
    pub to: i64,
    /// The reason, in words.
    pub reason: String,
}

/// An attempt, as it was witnessed.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Its first line.
    pub start: &'a Event,
    /// When it ended by itself, and with which exit code.
    pub end: Option<(Micros, i32)>,
}

impl Slots {
    /// The slots from one second to another, both inclusive.
    pub fn between(&self, from: i64, to: i64) -> impl Iterator<Item = i64> {
        let every = self.every;
        (from..=to).filter(move |second| second % every == 0)
    }
}

impl History {
    /// All attempts by run and task, in the order of their starts.
    #[must_use]
    pub fn attempts(&self) -> BTreeMap<(i64, &str), Vec<Attempt<'_>>> {
        let mut attempts: BTreeMap<(i64, &str), Vec<Attempt<'_>>> = BTreeMap::new();
        for start in self.events.iter().filter(|event| event.kind == Kind::Start) {
            let end = self.events.iter().find_map(|event| match event.kind {
                Kind::End(code) if event.token == start.token && event.run == start.run => {
                    Some((event.at, code))
                }
                _ => None,
            });
            attempts.entry((start.run, &start.task)).or_default().push(Attempt { start, end });
        }
        for list in attempts.values_mut() {
            list.sort_by_key(|attempt| attempt.start.at);
        }
        attempts
    }

    /// The task of a DAG, as the test wrote it.
    #[must_use]
    pub fn task(&self, dag: &str, name: &str) -> Option<&Task> {
        self.dags.get(dag)?.tasks.iter().find(|task| task.name == name)
    }

    /// What may have ended an attempt of this run between two instants.
    pub fn interruptions(&self, run: i64, from: Micros, to: Micros) -> impl Iterator<Item = &Interruption> {
        self.interruptions
            .iter()
            .filter(move |it| it.run.is_none_or(|hit| hit == run) && it.at <= to && it.until >= from)
    }
}
