//! What is due at a time that was set before: the next attempts of tasks, and the ends of runs' time limits. (When slots are
//! due, [`Slots`](super::slots::Slots) know.)

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::active_runs::ActiveRuns;
use super::draft::Draft;
use super::run::RunWalk;
use crate::id::{AttemptKey, RunId};
use crate::port::{Ending, TaskRow};
use crate::schedule::format_duration;
use crate::state::{IllegalTransition, RunState, TaskState};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Retry(AttemptKey),
    RunLimit(RunId),
}

/// Timers are never taken back: one that is up and finds its reason gone does nothing.
#[derive(Debug, Default)]
pub(super) struct Timers {
    set: BTreeSet<(DateTime<Utc>, Timer)>,
}

impl Timers {
    /// When the first is up.
    pub(super) fn wake_at(&self) -> Option<DateTime<Utc>> {
        self.set.first().map(|(at, _)| *at)
    }

    /// Sets those of a run that was read from its rows.
    pub(super) fn take_back(&mut self, walk: &RunWalk, rows: &[TaskRow], now: DateTime<Utc>) {
        for row in rows.iter().filter(|row| row.state == TaskState::UpForRetry) {
            self.set.insert((row.retry_at.unwrap_or(now), Timer::Retry(row.attempt_key())));
        }
        if walk.row().state == RunState::Running {
            self.limit(walk, now);
        }
    }

    /// Sets the one of a run's time limit, if it has one.
    pub(super) fn limit(&mut self, walk: &RunWalk, now: DateTime<Utc>) {
        self.set.extend(walk.limit_at(now).map(|at| (at, Timer::RunLimit(walk.id()))));
    }

    /// Lets the waits begin that follow from facts: one without a length is over at once. Only facts make retries, and each
    /// plan takes all of the batch, so those in the draft are those that no earlier plan has seen.
    pub(super) fn begin_waits(&mut self, runs: &mut ActiveRuns, draft: &mut Draft<'_>) {
        for retry in &draft.batch.retries {
            if retry.retry_at > draft.now {
                self.set.insert((retry.retry_at, Timer::Retry(retry.key)));
            } else if runs.retry_due(retry.key) {
                draft.ready.push(retry.key.task);
            }
        }
    }

    /// Does what those that are up are for.
    pub(super) fn expire(
        &mut self,
        runs: &mut ActiveRuns,
        draft: &mut Draft<'_>,
    ) -> Result<(), IllegalTransition> {
        while let Some((at, timer)) = self.set.first().copied()
            && at <= draft.now
        {
            self.set.pop_first();
            match timer {
                Timer::Retry(key) if runs.retry_due(key) => draft.ready.push(key.task),
                Timer::Retry(_) => {}
                Timer::RunLimit(run) => time_out(run, runs, draft)?,
            }
        }
        Ok(())
    }
}

fn time_out(run: RunId, runs: &mut ActiveRuns, draft: &mut Draft<'_>) -> Result<(), IllegalTransition> {
    let Some(walk) = runs.walk(run) else { return Ok(()) };
    // A run that was started again since has a later limit, and its own timer for it.
    let is_up = walk.limit_at(draft.now).is_some_and(|at| at <= draft.now);
    if walk.row().state != RunState::Running || !is_up {
        return Ok(());
    }
    let limit = walk.dag().timeout.unwrap_or_default();
    let reason = format!("the run's time limit of {} was up", format_duration(limit));
    runs.end(run, Ending { state: RunState::Failed, reason }, draft)
}
