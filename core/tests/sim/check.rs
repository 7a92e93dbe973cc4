//! What every history must satisfy, computed from the record alone and without the planner.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use rota_core::dag::{Dag, TriggerRule};
use rota_core::id::{AttemptKey, RunId, TaskNo};
use rota_core::port::RunRow;
use rota_core::state::{RunState, TaskState, Trigger};

use super::store::Model;

/// Checks a history that has come to rest.
pub(crate) fn history(
    dag: &Dag,
    store: &Model,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
) -> Result<(), String> {
    attempts_start_once_and_in_order(store)?;
    nothing_starts_early(dag, store)?;
    every_task_ended_as_its_upstream_tasks_say(dag, store)?;
    every_slot_has_one_entry(dag, store, start, end)
}

fn attempts_start_once_and_in_order(store: &Model) -> Result<(), String> {
    let mut seen: BTreeSet<AttemptKey> = BTreeSet::new();
    for start in &store.starts {
        ensure(seen.insert(start.key), || format!("attempt {} was started twice", start.key))?;
        let before = start.key.task.attempt(start.key.attempt - 1);
        ensure(start.key.attempt == 1 || store.history.contains_key(&before), || {
            format!("attempt {} was started without attempt {}", start.key, before.attempt)
        })?;
    }
    Ok(())
}

fn nothing_starts_early(dag: &Dag, store: &Model) -> Result<(), String> {
    for start in &store.starts {
        let ups = &dag.graph.up[start.key.task.task.0 as usize];
        let ups: Vec<TaskState> =
            ups.iter().map(|up| start.states.get(&up.0).copied().unwrap_or(TaskState::Waiting)).collect();
        let rule = dag.task(start.key.task.task).trigger_rule;
        // A person's retry may clear upstream tasks after a start was planned, or rerun a task alone.
        let retried = store.cleared.contains(&start.key.task.run);
        ensure(retried || may_start(rule, &ups), || {
            format!("{} started early: rule {rule:?}, upstream {ups:?}", start.key)
        })?;
    }
    Ok(())
}

/// The rules once more, as sets over all upstream states.
fn may_start(rule: TriggerRule, ups: &[TaskState]) -> bool {
    let all = |wanted: &[TaskState]| ups.iter().all(|state| wanted.contains(state));
    let any = |wanted: &[TaskState]| ups.iter().any(|state| wanted.contains(state));
    let done = ups.iter().all(|state| state.is_terminal());
    let bad = [TaskState::Failed, TaskState::Cancelled, TaskState::UpstreamFailed];
    if ups.is_empty() {
        return true;
    }
    match rule {
        TriggerRule::AllSuccess => all(&[TaskState::Success]),
        TriggerRule::AllFailed => all(&bad),
        TriggerRule::AllDone | TriggerRule::AllDoneSetupSuccess => done,
        TriggerRule::AllDoneMinOneSuccess => {
            done && any(&[TaskState::Success]) && !any(&[TaskState::Skipped])
        }
        TriggerRule::OneSuccess => any(&[TaskState::Success]),
        TriggerRule::OneFailed => any(&bad),
        TriggerRule::OneDone => any(&[TaskState::Success, TaskState::Failed, TaskState::Cancelled]),
        TriggerRule::NoneFailed => all(&[TaskState::Success, TaskState::Skipped]),
        TriggerRule::NoneFailedMinOneSuccess => {
            all(&[TaskState::Success, TaskState::Skipped]) && any(&[TaskState::Success])
        }
        TriggerRule::NoneSkipped => done && !any(&[TaskState::Skipped]),
        TriggerRule::AllSkipped => all(&[TaskState::Skipped]),
        TriggerRule::Always => true,
    }
}

/// How a task ends that its rule never starts.
fn without_start(rule: TriggerRule, ups: &[TaskState]) -> TaskState {
    let bad = [TaskState::Failed, TaskState::Cancelled, TaskState::UpstreamFailed];
    let has_failure = ups.iter().any(|state| bad.contains(state));
    let has_skip = ups.contains(&TaskState::Skipped);
    let all_skipped = ups.iter().all(|state| *state == TaskState::Skipped);
    let fails = match rule {
        TriggerRule::AllSuccess | TriggerRule::NoneFailed | TriggerRule::NoneFailedMinOneSuccess => {
            has_failure
        }
        TriggerRule::AllDoneMinOneSuccess => !has_skip,
        TriggerRule::OneSuccess | TriggerRule::OneDone => !all_skipped,
        TriggerRule::AllFailed
        | TriggerRule::AllDone
        | TriggerRule::AllDoneSetupSuccess
        | TriggerRule::OneFailed
        | TriggerRule::NoneSkipped
        | TriggerRule::AllSkipped
        | TriggerRule::Always => false,
    };
    if fails { TaskState::UpstreamFailed } else { TaskState::Skipped }
}

fn every_task_ended_as_its_upstream_tasks_say(dag: &Dag, store: &Model) -> Result<(), String> {
    for run in store.runs.values() {
        if run.state == RunState::Queued {
            ensure(store.rows_of(run.id).is_empty(), || {
                format!("run {} never started but has tasks", run.id)
            })?;
            continue;
        }
        ensure(run.state.is_terminal(), || format!("run {} did not end", run.id))?;
        let states: BTreeMap<TaskNo, TaskState> =
            store.rows_of(run.id).iter().map(|row| (row.key.task, row.state)).collect();
        let cancelled_before_start = run.started_at.is_none();
        if cancelled_before_start {
            continue;
        }
        for task in dag.task_nos() {
            let state = states.get(&task).copied().unwrap_or(TaskState::Waiting);
            ensure(state.is_terminal(), || format!("task {task} of run {} ended {state}", run.id))?;
            if run.ending.is_none() && !store.cleared.contains(&run.id) {
                check_task(dag, task, &states, run.id)?;
            }
        }
        let expected =
            if store.dropped.contains(&run.id) { RunState::Cancelled } else { expected(dag, run, &states) };
        check_run(run, expected)?;
    }
    Ok(())
}

/// A task that ran must have been allowed to; one that did not run must have had a reason.
fn check_task(
    dag: &Dag,
    task: TaskNo,
    states: &BTreeMap<TaskNo, TaskState>,
    run: RunId,
) -> Result<(), String> {
    let ups: Vec<TaskState> = dag.graph.up[task.0 as usize].iter().map(|up| states[up]).collect();
    let spec = dag.task(task);
    let allowed = may_start(spec.trigger_rule, &ups);
    let skipped_by_when = spec.when.is_some();
    let fine = match states[&task] {
        TaskState::Success => allowed && !skipped_by_when,
        TaskState::Failed => allowed,
        TaskState::Skipped if allowed => skipped_by_when,
        TaskState::Skipped | TaskState::UpstreamFailed => {
            !allowed && states[&task] == without_start(spec.trigger_rule, &ups)
        }
        _ => false,
    };
    ensure(fine, || format!("task {task} of run {run} ended {} with upstream {ups:?}", states[&task]))
}

/// The state that a run that was started ends in.
fn expected(dag: &Dag, run: &RunRow, states: &BTreeMap<TaskNo, TaskState>) -> RunState {
    let leaf_failed = dag.task_nos().filter(|task| dag.graph.down[task.0 as usize].is_empty()).any(|task| {
        matches!(states[&task], TaskState::Failed | TaskState::UpstreamFailed | TaskState::Cancelled)
    });
    match &run.ending {
        Some(ending) => ending.state,
        None if leaf_failed => RunState::Failed,
        None => RunState::Success,
    }
}

fn check_run(run: &RunRow, expected: RunState) -> Result<(), String> {
    ensure(run.state == expected, || format!("run {} ended {}, expected {expected}", run.id, run.state))?;
    ensure(run.state != RunState::Failed || run.reason.is_some(), || {
        format!("run {} failed without a reason", run.id)
    })
}

fn every_slot_has_one_entry(
    dag: &Dag,
    store: &Model,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
) -> Result<(), String> {
    let period = match &dag.schedule.as_ref().map(|schedule| &schedule.spec().rules[0]) {
        Some(rota_core::schedule::Rule::Every(period)) => period.as_secs() as i64,
        other => return Err(format!("unexpected schedule {other:?}")),
    };
    let mut entries: BTreeMap<i64, u32> = BTreeMap::new();
    for row in &store.slots {
        let (from, to) = (row.slot.timestamp(), row.to.timestamp());
        ensure(row.count as i64 == (to - from) / period + 1, || format!("a range counts wrong: {row:?}"))?;
        for slot in (from..=to).step_by(period as usize) {
            *entries.entry(slot).or_default() += 1;
        }
    }
    let first = (start + Duration::seconds(1)).timestamp();
    let cursor = store.dag.cursor.map_or(first, |cursor| cursor.timestamp());
    for slot in (first..=cursor).filter(|slot| slot % period == 0) {
        let count = entries.remove(&slot).unwrap_or_default();
        ensure(count == 1, || format!("slot {slot} has {count} ledger entries"))?;
    }
    ensure(entries.is_empty(), || format!("ledger entries for slots that were never due: {entries:?}"))?;
    ensure((end - Duration::seconds(period + 60)).timestamp() <= cursor, || {
        "the cursor fell behind".to_owned()
    })?;
    let mut fired = BTreeSet::new();
    for run in store.runs.values().filter(|run| run.trigger == Trigger::Schedule) {
        ensure(run.slot.is_some_and(|slot| fired.insert(slot)), || format!("run {} doubles a slot", run.id))?;
    }
    Ok(())
}

fn ensure(holds: bool, violation: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(violation()) }
}
