//! Compares rota's own account with the witness. What rota tells is read from its store after it has stopped.

use std::collections::{BTreeMap, BTreeSet};

use rota_core::id::TaskKey;
use rota_core::port::{RunFilter, SlotFilter, SlotOutcome, TaskRow, Views};
use rota_core::state::{RunState, TaskState};

use super::check::{COMMIT_MAX, Rule, Violation};
use super::history::{Excuse, History, Slots};
use super::record::{Event, Kind};

/// More runs, tasks and slots than any test makes.
const PLENTY: usize = 100_000;
/// Runs that are asked for at a time.
const PAGE: usize = 500;

/// What rota tells.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// All runs.
    pub runs: Vec<ToldRun>,
    /// Where tasks are, by run and task. Those that were not come to are left out.
    pub states: BTreeMap<(i64, String), TaskState>,
    /// All attempts of all tasks, by run and task, in their order.
    pub attempts: BTreeMap<(i64, String), Vec<ToldAttempt>>,
    /// The ledger.
    pub slots: Vec<ToldSlot>,
}

/// A run, as rota tells it.
#[derive(Debug, Clone)]
pub struct ToldRun {
    /// Its number.
    pub id: i64,
    /// Its DAG.
    pub dag: String,
    /// Its slot, in seconds since 1970.
    pub slot: Option<i64>,
    /// Where it is.
    pub state: RunState,
}

/// An attempt, as rota tells it.
#[derive(Debug, Clone)]
pub struct ToldAttempt {
    /// Its number; 0 for a task that ended without one.
    pub number: u32,
    /// How it ended.
    pub state: TaskState,
    /// The exit code of its process.
    pub exit_code: Option<i32>,
}

/// A ledger entry, as rota tells it.
#[derive(Debug, Clone)]
pub struct ToldSlot {
    /// The DAG.
    pub dag: String,
    /// The first slot, in seconds since 1970.
    pub from: i64,
    /// The last slot.
    pub to: i64,
    /// How many slots it says it holds.
    pub count: u64,
    /// The run; none if it did not fire.
    pub run: Option<i64>,
    /// Whether it says that it fired.
    pub has_fired: bool,
    /// Why not.
    pub reason: String,
}

/// Reads everything from the store when all is at rest.
///
/// # Panics
/// The store cannot be read.
pub async fn read(store: &dyn Views) -> Told {
    let mut told = Told::default();
    let filter = RunFilter { limit: PLENTY, ..RunFilter::default() };
    let runs = store.view_runs(&filter).await.unwrap();
    let ids: Vec<_> = runs.iter().map(|run| run.id).collect();
    for page in ids.chunks(PAGE) {
        for task in store.tasks_of_runs(page).await.unwrap() {
            let rows = store.view_attempts(TaskKey::single(task.key.run, task.key.task)).await.unwrap();
            let attempts = rows.iter().map(ToldAttempt::of).collect();
            let key = (task.key.run.0, task.name.to_string());
            told.states.insert(key.clone(), task.state);
            told.attempts.insert(key, attempts);
        }
    }
    told.runs.extend(runs.into_iter().map(|run| ToldRun {
        id: run.id.0,
        dag: run.dag.to_string(),
        slot: run.slot.map(|slot| slot.timestamp()),
        state: run.state,
    }));
    let filter = SlotFilter { limit: PLENTY, ..SlotFilter::default() };
    let slots = store.view_slots(&filter).await.unwrap();
    told.slots.extend(slots.into_iter().map(|slot| ToldSlot {
        dag: slot.dag.to_string(),
        from: slot.slot.timestamp(),
        to: slot.to.timestamp(),
        count: slot.count,
        run: slot.run.map(|run| run.0),
        has_fired: slot.outcome == SlotOutcome::Fired,
        reason: slot.reason.unwrap_or_default(),
    }));
    told
}

impl ToldAttempt {
    fn of(row: &TaskRow) -> Self {
        Self { number: row.attempt, state: row.state, exit_code: row.exit_code }
    }
}

impl Told {
    /// The ledger's reasons for slots that did not run.
    #[must_use]
    pub fn excuses(&self) -> Vec<Excuse> {
        let skipped = self.slots.iter().filter(|slot| !slot.has_fired);
        let excuse = |slot: &ToldSlot| Excuse {
            dag: slot.dag.clone(),
            from: slot.from,
            to: slot.to,
            reason: slot.reason.clone(),
        };
        skipped.map(excuse).collect()
    }
}

/// Where rota and the witness disagree, and where rota disagrees with itself.
#[must_use]
pub fn compare(history: &History, told: &Told) -> Vec<Violation> {
    let mut found = runs(history, told);
    found.extend(attempts(history, told));
    found.extend(events(history, told));
    found.extend(ledger(history, told));
    found
}

/// Every run and all its tasks are over, and a run's state follows from its leaf tasks.
fn runs(history: &History, told: &Told) -> Vec<Violation> {
    let mut found = Vec::new();
    for run in &told.runs {
        let stuck =
            |what: String| Violation::new(Rule::Stuck, format!("run {} of {}: {what}", run.id, run.dag));
        if !run.state.is_terminal() {
            found.push(stuck(format!("it is {}", run.state.as_str())));
            continue;
        }
        let Some(plan) = history.dags.get(&run.dag) else { continue };
        let state = |name: &str| told.states.get(&(run.id, name.to_owned())).copied();
        for task in &plan.tasks {
            let is_over = match state(&task.name) {
                Some(state) => state.is_terminal(),
                None => run.state == RunState::Cancelled,
            };
            if !is_over {
                found.push(stuck(format!("it is over, and {} is {:?}", task.name, state(&task.name))));
            }
        }
        let leaves =
            plan.tasks.iter().filter(|task| !plan.tasks.iter().any(|it| it.needs.contains(&task.name)));
        let is_good = leaves
            .map(|leaf| state(&leaf.name))
            .all(|state| matches!(state, Some(TaskState::Success | TaskState::Skipped)));
        if run.state == RunState::Success && !is_good || run.state == RunState::Failed && is_good {
            found.push(stuck(format!("it is {}, which its leaf tasks do not say", run.state.as_str())));
        }
    }
    found
}

/// Attempts are numbered 1, 2, 3, ..., and each success was witnessed: its own, or, if it never started, that of the
/// attempt before it, which was given up as lost.
fn attempts(history: &History, told: &Told) -> Vec<Violation> {
    let mut ends: BTreeMap<(i64, &str, u32), usize> = BTreeMap::new();
    for event in history.events.iter().filter(|event| event.kind == Kind::End(0)) {
        *ends.entry((event.run, &event.task, event.attempt)).or_default() += 1;
    }
    let starts: BTreeSet<(i64, &str, u32)> = history
        .events
        .iter()
        .filter(|event| event.kind == Kind::Start)
        .map(|event| (event.run, event.task.as_str(), event.attempt))
        .collect();
    let mut found = Vec::new();
    for ((run, task), all) in &told.attempts {
        let numbers: Vec<u32> =
            all.iter().map(|attempt| attempt.number).filter(|number| *number > 0).collect();
        if numbers.iter().zip(1..).any(|(number, expected)| *number != expected) {
            found.push(Violation::new(
                Rule::AttemptGap,
                format!("rota has the attempts {numbers:?} of run {run} {task}"),
            ));
        }
        for attempt in all.iter().filter(|it| it.state == TaskState::Success) {
            let is_taken_over = !starts.contains(&(*run, task.as_str(), attempt.number))
                && all.iter().any(|it| it.number + 1 == attempt.number && it.state == TaskState::Failed);
            let witnessed = attempt.number - u32::from(is_taken_over);
            let count = ends.get(&(*run, task.as_str(), witnessed)).copied().unwrap_or_default();
            if count != 1 {
                let what =
                    format!("run {run} {task}: attempt {} has {count} ends with exit code 0", attempt.number);
                found.push(Violation::new(Rule::SuccessWithoutEnd, what));
            }
        }
    }
    found
}

/// Each line of the witness is known to rota.
fn events(history: &History, told: &Told) -> Vec<Violation> {
    let runs: BTreeMap<i64, &ToldRun> = told.runs.iter().map(|run| (run.id, run)).collect();
    let mut found = Vec::new();
    for event in &history.events {
        let place = format!("run {} {} attempt {}", event.run, event.task, event.attempt);
        let Some(run) = runs.get(&event.run).filter(|run| run.dag == event.dag && run.slot == event.slot)
        else {
            found.push(Violation::new(Rule::Disagreement, format!("{place}: rota does not know this run")));
            continue;
        };
        let attempts = told.attempts.get(&(run.id, event.task.clone())).map_or(&[][..], Vec::as_slice);
        let Some(attempt) = attempts.iter().find(|it| it.number == event.attempt) else {
            found.push(Violation::new(
                Rule::Disagreement,
                format!("{place}: rota does not know this attempt"),
            ));
            continue;
        };
        if let Kind::End(code) = event.kind
            && !is_recorded(history, event, attempt, code)
        {
            let what = format!("{place}: it ended with exit code {code}, rota says {attempt:?}");
            found.push(Violation::new(Rule::EndNotRecorded, what));
        }
    }
    found
}

fn is_recorded(history: &History, event: &Event, attempt: &ToldAttempt, code: i32) -> bool {
    let state = if code == 0 { TaskState::Success } else { TaskState::Failed };
    let is_right = attempt.exit_code == Some(code) && attempt.state == state;
    // A result that was interrupted on its way is lost, and the attempt with it.
    is_right || history.interruptions(event, event.at, event.at + COMMIT_MAX).next().is_some()
}

/// Each slot has exactly one entry, and each entry has its slots.
fn ledger(history: &History, told: &Told) -> Vec<Violation> {
    let mut found = Vec::new();
    for (dag, plan) in &history.dags {
        let Some(slots) = plan.slots else { continue };
        let entries: Vec<&ToldSlot> = told.slots.iter().filter(|entry| entry.dag == *dag).collect();
        let bad = |what: String| Violation::new(Rule::BadLedger, format!("{dag}: {what}"));
        for slot in slots.between(slots.owed_from, slots.owed_to) {
            let count = entries.iter().filter(|entry| entry.from <= slot && slot <= entry.to).count();
            if count != 1 {
                found.push(bad(format!("slot {slot} has {count} entries")));
            }
        }
        found.extend(entries.iter().filter_map(|entry| wrong_entry(&slots, entry, told)).map(bad));
        for run in told.runs.iter().filter(|run| run.dag == *dag && run.slot.is_some()) {
            if !entries.iter().any(|entry| entry.run == Some(run.id) && Some(entry.from) == run.slot) {
                found.push(bad(format!("run {} has no entry", run.id)));
            }
        }
    }
    found
}

fn wrong_entry(slots: &Slots, entry: &ToldSlot, told: &Told) -> Option<String> {
    let held = slots.between(entry.from, entry.to).count() as u64;
    if held != entry.count || slots.between(entry.from, entry.from).count() == 0 {
        return Some(format!("{entry:?} should hold {held} slots"));
    }
    let is_run = told.runs.iter().any(|run| Some(run.id) == entry.run && run.slot == Some(entry.from));
    let is_whole = if entry.has_fired {
        is_run && entry.count == 1
    } else {
        entry.run.is_none() && !entry.reason.is_empty()
    };
    (!is_whole).then(|| format!("{entry:?} does not fit together"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::history::{Interruption, Plan, Task};

    /// A run of a DAG with one task, whose second attempt succeeded.
    fn world() -> (History, Told) {
        let slots = Slots {
            every: 10,
            possible_from: 90,
            owed_from: 100,
            run_to: 100,
            owed_to: 100,
            possible_to: 110,
        };
        let task = Task { name: "a".to_owned(), ..Task::default() };
        let mut history = History { quiet_at: 1_000_000_000, ..History::default() };
        history
            .dags
            .insert("d".to_owned(), Plan { tasks: vec![task], slots: Some(slots), ..Plan::default() });
        history.events = vec![
            event(1, Kind::Start, 100),
            event(1, Kind::End(3), 101),
            event(2, Kind::Start, 102),
            event(2, Kind::End(0), 103),
        ];
        let attempts = vec![
            ToldAttempt { number: 1, state: TaskState::Failed, exit_code: Some(3) },
            ToldAttempt { number: 2, state: TaskState::Success, exit_code: Some(0) },
        ];
        let told = Told {
            runs: vec![ToldRun { id: 1, dag: "d".to_owned(), slot: Some(100), state: RunState::Success }],
            states: BTreeMap::from([((1, "a".to_owned()), TaskState::Success)]),
            attempts: BTreeMap::from([((1, "a".to_owned()), attempts)]),
            slots: vec![ToldSlot {
                dag: "d".to_owned(),
                from: 100,
                to: 100,
                count: 1,
                run: Some(1),
                has_fired: true,
                reason: String::new(),
            }],
        };
        (history, told)
    }

    fn event(attempt: u32, kind: Kind, second: i64) -> Event {
        Event {
            host: "w1".to_owned(),
            kind,
            dag: "d".to_owned(),
            slot: Some(100),
            run: 1,
            task: "a".to_owned(),
            attempt,
            token: i64::from(attempt),
            pid: 1,
            at: second * 1_000_000,
            boot: second * 100,
            key: String::new(),
        }
    }

    fn attempts(told: &mut Told) -> &mut Vec<ToldAttempt> {
        told.attempts.get_mut(&(1, "a".to_owned())).unwrap()
    }

    fn rules(history: &History, told: &Told) -> Vec<Rule> {
        compare(history, told).into_iter().map(|violation| violation.rule).collect()
    }

    #[test]
    fn the_witness_and_rota_can_agree() {
        let (history, told) = world();
        assert_eq!(compare(&history, &told), []);
    }

    #[test]
    fn a_success_without_an_end_is_named() {
        let (mut history, told) = world();
        history.events.pop();
        assert_eq!(rules(&history, &told), [Rule::SuccessWithoutEnd]);
    }

    #[test]
    fn a_task_may_take_over_the_success_of_a_lost_attempt() {
        let (mut history, told) = world();
        history.events = vec![event(1, Kind::Start, 100), event(1, Kind::End(0), 101)];
        history.interruptions.push(Interruption::all(101_100_000, 101_900_000));
        assert_eq!(rules(&history, &told), []);
        history.events.push(event(2, Kind::Start, 102));
        assert_eq!(rules(&history, &told), [Rule::SuccessWithoutEnd]);
        history.events = vec![event(1, Kind::Start, 100)];
        assert_eq!(rules(&history, &told), [Rule::SuccessWithoutEnd]);
    }

    #[test]
    fn an_end_that_was_not_recorded_is_named_unless_it_was_interrupted() {
        let (mut history, mut told) = world();
        attempts(&mut told)[0].exit_code = None;
        assert_eq!(rules(&history, &told), [Rule::EndNotRecorded]);
        history.interruptions.push(Interruption::all(101_500_000, 101_900_000));
        assert_eq!(rules(&history, &told), []);
    }

    #[test]
    fn runs_and_attempts_that_rota_does_not_know_are_named() {
        let (history, mut told) = world();
        told.runs[0].slot = Some(90);
        assert!(rules(&history, &told).contains(&Rule::Disagreement));
        let (history, mut told) = world();
        attempts(&mut told).remove(0);
        assert_eq!(rules(&history, &told), [Rule::AttemptGap, Rule::Disagreement, Rule::Disagreement]);
    }

    #[test]
    fn what_is_stuck_or_does_not_fit_together_is_named() {
        let (history, mut told) = world();
        told.runs[0].state = RunState::Running;
        assert_eq!(rules(&history, &told), [Rule::Stuck]);
        told.runs[0].state = RunState::Failed;
        assert_eq!(rules(&history, &told), [Rule::Stuck], "its only task succeeded");
        told.runs[0].state = RunState::Success;
        told.states.insert((1, "a".to_owned()), TaskState::Running);
        assert_eq!(rules(&history, &told), [Rule::Stuck, Rule::Stuck], "it is not over, and no success");
    }

    #[test]
    fn a_ledger_that_does_not_add_up_is_named() {
        let (history, mut told) = world();
        told.slots.push(told.slots[0].clone());
        assert_eq!(rules(&history, &told), [Rule::BadLedger], "two entries");
        told.slots.clear();
        assert_eq!(
            rules(&history, &told),
            [Rule::BadLedger, Rule::BadLedger],
            "no entry, for the slot and the run"
        );
        let (history, mut told) = world();
        told.slots.push(ToldSlot {
            from: 110,
            to: 150,
            count: 4,
            has_fired: false,
            run: None,
            reason: "r".into(),
            ..told.slots[0].clone()
        });
        assert_eq!(rules(&history, &told), [Rule::BadLedger], "five slots, not four");
    }
}
