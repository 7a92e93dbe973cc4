//! What people ask for: to end a run, or to run some of its tasks again. The answer is in words, for them.

use super::active_runs::ActiveRuns;
use super::draft::Draft;
use crate::id::RunId;
use crate::port::{Ending, Intent, IntentKind, RetrySelection};
use crate::state::{IllegalTransition, RunState};

/// Carries out an intent, and notes what came of it.
pub(super) fn carry_out(
    intent: &Intent,
    runs: &mut ActiveRuns,
    draft: &mut Draft<'_>,
) -> Result<(), IllegalTransition> {
    // Whatever comes of it: a finished run that was only loaded for this intent is let go of by the next plan.
    runs.touch(intent.run);
    let outcome = match &intent.kind {
        IntentKind::Cancel => cancel(intent, runs, draft)?,
        IntentKind::Retry(selection) => retry(intent.run, selection, runs, draft)?,
    };
    draft.batch.intents_done.push((intent.id, outcome));
    Ok(())
}

fn cancel(
    intent: &Intent,
    runs: &mut ActiveRuns,
    draft: &mut Draft<'_>,
) -> Result<String, IllegalTransition> {
    let Some(walk) = runs.walk(intent.run) else { return Ok("the run had ended already".to_owned()) };
    let reason = format!("cancelled by {}", intent.actor);
    let words = match walk.row().state {
        RunState::Queued => {
            runs.cancel_queued(intent.run, &reason, draft)?;
            "cancelled"
        }
        RunState::Running if walk.row().ending.is_some() => "the run was being ended already",
        RunState::Running => {
            runs.end(intent.run, Ending { state: RunState::Cancelled, reason }, draft)?;
            "its tasks are being ended"
        }
        RunState::Success | RunState::Failed | RunState::Cancelled => "the run had ended already",
    };
    Ok(words.to_owned())
}

fn retry(
    run: RunId,
    selection: &RetrySelection,
    runs: &mut ActiveRuns,
    draft: &mut Draft<'_>,
) -> Result<String, IllegalTransition> {
    let Some(walk) = runs.walk_mut(run) else {
        return Ok("the run, or the DAG version it is pinned to, cannot be read any more".to_owned());
    };
    let before = walk.row().state;
    if before == RunState::Queued || walk.row().ending.is_some() && before == RunState::Running {
        return Ok("the run has not started or is being ended; retry it when it has ended".to_owned());
    }
    let cleared = walk.clear(selection, draft)?;
    if cleared == 0 {
        return Ok("no task of the selection has ended, so there is nothing to run again".to_owned());
    }
    if before.is_terminal() {
        let dag = walk.row().dag.clone();
        runs.requeue(run, dag);
    }
    Ok(format!("{cleared} tasks run again"))
}
