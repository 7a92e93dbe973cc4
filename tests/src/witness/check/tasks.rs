//! Tasks and their attempts: numbered, one at a time, in the order of the graph, not again after a success.

use std::collections::BTreeSet;

use super::{COMMIT_MAX, Rule, Violation};
use crate::witness::history::{Attempt, Effect, History, Plan, Task};
use crate::witness::record::{Kind, Micros};

pub(super) fn check(history: &History) -> Vec<Violation> {
    let all = history.attempts();
    let mut found: Vec<Violation> = history
        .events
        .iter()
        .filter(|event| event.kind == Kind::Overlap)
        .map(|event| {
            let what =
                format!("run {} {}: attempt {} met another one alive", event.run, event.task, event.attempt);
            Violation::new(Rule::Overlap, what)
        })
        .collect();
    found.extend(tokens(history));
    for ((run, task), attempts) in &all {
        let name = |(rule, what)| Violation::new(rule, format!("run {run} {task}: {what}"));
        found.extend(numbers(history, attempts).into_iter().map(name));
        found.extend(ends(history, attempts).into_iter().map(name));
        let Some(plan) = attempts.first().and_then(|first| history.dags.get(&first.start.dag)) else {
            continue;
        };
        found.extend(order(history, plan, attempts).into_iter().map(name));
        let Some(task) = plan.tasks.iter().find(|it| it.name == *task) else { continue };
        if task.once && attempts.len() > 1 && !plan.has_people {
            found.push(name((Rule::OnceTwice, format!("it was started {} times", attempts.len()))));
        }
        for need in &task.needs {
            let upstream = all.get(&(*run, need.as_str())).map_or(&[][..], Vec::as_slice);
            let early = attempts.iter().filter_map(|attempt| match plan.has_people {
                true => early_again(task, attempt, upstream),
                false => early(history, task, attempt, upstream),
            });
            found.extend(early.map(|what| name((Rule::EarlyStart, format!("{what} ({need})")))));
        }
    }
    found
}

/// Where one run is allowed at a time, nothing of another begins before its last task has ended.
pub(super) fn check_narrow(history: &History) -> Vec<Violation> {
    let all = history.attempts();
    let mut found = Vec::new();
    for (dag, _) in history.dags.iter().filter(|(_, plan)| plan.is_narrow) {
        let mut attempts: Vec<&Attempt<'_>> =
            all.values().flatten().filter(|attempt| attempt.start.dag == *dag).collect();
        attempts.sort_by_key(|attempt| attempt.start.at);
        for pair in attempts.windows(2).filter(|pair| pair[0].start.run != pair[1].start.run) {
            let (run, next, start) = (pair[0].start.run, pair[1].start.run, pair[1].start.at);
            if !has_ended(history, pair[0], start) {
                let what = format!("run {next} of {dag} began before run {run} had ended");
                found.push(Violation::new(Rule::CrowdedRuns, what));
            }
        }
    }
    found
}

/// Whether an attempt had ended, by itself or with what interrupted it.
fn has_ended(history: &History, attempt: &Attempt<'_>, by: Micros) -> bool {
    match attempt.end {
        Some((end, _)) => end <= by,
        None => history.interruptions(attempt.start, attempt.start.at, by).next().is_some(),
    }
}

/// Each claim starts one process.
fn tokens(history: &History) -> Vec<Violation> {
    let mut seen = BTreeSet::new();
    let starts = history.events.iter().filter(|event| event.kind == Kind::Start);
    starts
        .filter(|event| !seen.insert(event.token))
        .map(|event| {
            let what = format!("run {} {}: claim {} was started again", event.run, event.task, event.token);
            Violation::new(Rule::DoubleStart, what)
        })
        .collect()
}

/// Attempts are numbered from 1; one that is missing was interrupted before its first line.
fn numbers(history: &History, attempts: &[Attempt<'_>]) -> Vec<(Rule, String)> {
    let mut found = Vec::new();
    let (mut last, mut since) = (0, Micros::MIN);
    for attempt in attempts {
        let (number, at) = (attempt.start.attempt, attempt.start.at);
        if number == last {
            found.push((Rule::DoubleStart, format!("attempt {number} was started twice")));
        } else if number < last {
            found.push((Rule::AttemptGap, format!("attempt {number} came after attempt {last}")));
        } else {
            let missing = (number - last - 1) as usize;
            if missing > history.interruptions_anywhere(attempt.start.run, since, at).count() {
                found.push((Rule::AttemptGap, format!("attempt {number} came right after attempt {last}")));
            }
        }
        last = number;
        since = attempt.end.map_or(at, |(end, _)| end);
    }
    found
}

/// One attempt at a time, and none after a success.
fn order(history: &History, plan: &Plan, attempts: &[Attempt<'_>]) -> Vec<(Rule, String)> {
    let mut found = Vec::new();
    for pair in attempts.windows(2) {
        let [before, after] = pair else { continue };
        let numbers = (before.start.attempt, after.start.attempt);
        let Some((end, code)) = before.end else { continue };
        if after.start.at < end {
            found.push((
                Rule::Overlap,
                format!("attempt {} began before attempt {} ended", numbers.1, numbers.0),
            ));
        }
        let is_lost = history.interruptions(before.start, end, end + COMMIT_MAX).next().is_some();
        if code == 0 && !is_lost && !plan.has_people {
            found.push((
                Rule::AfterSuccess,
                format!("attempt {} was started after attempt {} had succeeded", numbers.1, numbers.0),
            ));
        }
    }
    found
}

/// Each attempt ends by itself or with what interrupted it.
fn ends(history: &History, attempts: &[Attempt<'_>]) -> Vec<(Rule, String)> {
    let mut found = Vec::new();
    for (place, attempt) in attempts.iter().enumerate() {
        let (number, start) = (attempt.start.attempt, attempt.start.at);
        let next = attempts.get(place + 1).map_or(Micros::MAX, |next| next.start.at);
        match attempt.end {
            None if history.interruptions(attempt.start, start, next).next().is_none() => {
                found.push((Rule::MissingEnd, format!("attempt {number} has no end, and nothing ended it")));
            }
            None => {}
            Some((end, _)) => {
                let outlived = history
                    .interruptions
                    .iter()
                    .filter(|it| it.effect == Effect::Ends && it.hits(attempt.start))
                    .any(|it| start < it.at && it.until < end);
                if outlived {
                    found.push((
                        Rule::Outlived,
                        format!("attempt {number} went on after its worker was gone"),
                    ));
                }
            }
        }
    }
    found
}

/// Why this attempt should not have started yet, if it should not.
fn early(history: &History, task: &Task, attempt: &Attempt<'_>, upstream: &[Attempt<'_>]) -> Option<String> {
    let start = attempt.start.at;
    let number = attempt.start.attempt;
    let succeeded = |it: &Attempt<'_>| it.end.is_some_and(|(end, code)| code == 0 && end <= start);
    if upstream.iter().any(|it| it.start.at > start) {
        return Some(format!("attempt {number} began, and what it needs was started again afterwards"));
    }
    let is_due = match upstream.last() {
        None => task.after_any_end,
        Some(last) if task.after_any_end => has_ended(history, last, start),
        Some(last) => succeeded(last),
    };
    (!is_due).then(|| format!("attempt {number} began before what it needs had ended"))
}

/// The same where people ask for tasks to run again: then any earlier success will do.
fn early_again(task: &Task, attempt: &Attempt<'_>, upstream: &[Attempt<'_>]) -> Option<String> {
    let succeeded = |it: &Attempt<'_>| it.end.is_some_and(|(end, code)| code == 0 && end <= attempt.start.at);
    let is_due = task.after_any_end || upstream.iter().any(succeeded);
    (!is_due).then(|| format!("attempt {} began before any success of what it needs", attempt.start.attempt))
}
