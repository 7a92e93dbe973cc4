//! What a test knows without asking rota: what the tasks witnessed, what was to run, and what was done to the server.

use std::collections::BTreeMap;

use super::record::{Event, Kind, Micros};

/// What a checker judges.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What the tasks witnessed, in the order of time.
    pub events: Vec<Event>,
    /// Lines of the witness that could not be read.
    pub unreadable: Vec<String>,
    /// The DAGs, by name.
    pub dags: BTreeMap<String, Plan>,
    /// What was done to the server or to runs, in the order of time.
    pub interruptions: Vec<Interruption>,
    /// The same and everything else that was done, by name.
    pub faults: Vec<Fault>,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interruption {
    /// From when on attempts may be ended by it.
    pub at: Micros,
    /// By when it was over: whatever it ended is gone.
    pub until: Micros,
    /// Which attempts.
    pub hit: Hit,
    /// Whether it spares any.
    pub effect: Effect,
}

/// Which attempts something ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hit {
    /// Those of all hosts.
    All,
    /// Those of one host.
    Host(String),
    /// Those of one run.
    Run(i64),
}

/// How sure an end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that it hits lives on.
    Ends,
    /// Some may live on.
    MayEnd,
}

/// A fault, for the report: slots that come due in this time are counted as hit by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What was done.
    pub name: String,
    /// When it began.
    pub at: Micros,
    /// When it was healed.
    pub until: Micros,
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

impl Interruption {
    /// All attempts of all hosts were ended.
    #[must_use]
    pub fn all(at: Micros, until: Micros) -> Self {
        Self { at, until, hit: Hit::All, effect: Effect::Ends }
    }

    /// All attempts of one host were ended.
    #[must_use]
    pub fn host(host: &str, at: Micros, until: Micros) -> Self {
        Self { hit: Hit::Host(host.to_owned()), ..Self::all(at, until) }
    }

    /// Attempts of one run may have been ended.
    #[must_use]
    pub fn run(run: i64, at: Micros, until: Micros) -> Self {
        Self { hit: Hit::Run(run), ..Self::all(at, until) }.spares_some()
    }

    /// It need not have ended all of them.
    #[must_use]
    pub fn spares_some(self) -> Self {
        Self { effect: Effect::MayEnd, ..self }
    }

    /// Whether it can have ended this attempt, by one of its lines.
    #[must_use]
    pub fn hits(&self, event: &Event) -> bool {
        match &self.hit {
            Hit::All => true,
            Hit::Host(host) => *host == event.host,
            Hit::Run(run) => *run == event.run,
        }
    }

    fn is_between(&self, from: Micros, to: Micros) -> bool {
        self.at <= to && self.until >= from
    }
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

    /// What may have ended this attempt between two instants.
    pub fn interruptions(
        &self,
        event: &Event,
        from: Micros,
        to: Micros,
    ) -> impl Iterator<Item = &Interruption> {
        self.interruptions.iter().filter(move |it| it.hits(event) && it.is_between(from, to))
    }

    /// What may have ended an attempt of this run that left no line, on whatever host, between two instants.
    pub fn interruptions_anywhere(
        &self,
        run: i64,
        from: Micros,
        to: Micros,
    ) -> impl Iterator<Item = &Interruption> {
        let is_of = move |it: &Interruption| !matches!(it.hit, Hit::Run(hit) if hit != run);
        self.interruptions.iter().filter(move |it| is_of(it) && it.is_between(from, to))
    }
}
