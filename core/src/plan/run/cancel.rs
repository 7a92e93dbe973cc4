//! Runs that end early: what waits is cancelled here and now, what is queued or runs is asked to end.

use super::RunWalk;
use crate::id::NodeId;
use crate::plan::draft::Draft;
use crate::port::Ending;
use crate::state::{IllegalTransition, RunEvent, TaskEvent, TaskState};

impl RunWalk {
    /// Begins to end the run. It ends when its last task has.
    pub(in crate::plan) fn end(
        &mut self,
        ending: Ending,
        draft: &mut Draft<'_>,
    ) -> Result<(), IllegalTransition> {
        draft.batch.end_requests.push((self.row.id, ending.clone()));
        self.row.ending = Some(ending);
        self.cancel_open(draft)
    }

    /// Ends the run, which has not started.
    pub(in crate::plan) fn cancel_queued(
        mut self,
        reason: &str,
        draft: &mut Draft<'_>,
    ) -> Result<(), IllegalTransition> {
        self.transition(RunEvent::Cancel, Some(reason.to_owned()), draft)?;
        // One that never started has no rows, and gets none. One that was started before and was to run again has some:
        // people see what became of the rest.
        if self.row.started_at.is_some() {
            let waiting: Vec<NodeId> = self.nodes.in_state(TaskState::Waiting).collect();
            for id in waiting {
                self.settle(id, TaskEvent::Cancel, reason.to_owned(), draft)?;
            }
        }
        Ok(())
    }

    /// Cancels every task that has not ended, as the run's `ending` wants it.
    pub(super) fn cancel_open(&mut self, draft: &mut Draft<'_>) -> Result<(), IllegalTransition> {
        let reason = self.row.ending.as_ref().map(|ending| ending.reason.clone()).unwrap_or_default();
        for id in self.nodes.ids() {
            self.nodes[id].ready = false;
            match self.state(id) {
                TaskState::Waiting => self.settle(id, TaskEvent::Cancel, reason.clone(), draft)?,
                TaskState::Queued | TaskState::UpForRetry => {
                    draft.batch.cancels.push((self.key(id), reason.clone()));
                }
                TaskState::Running
                | TaskState::Deferred
                | TaskState::Success
                | TaskState::Failed
                | TaskState::UpstreamFailed
                | TaskState::Skipped
                | TaskState::Cancelled => {}
            }
        }
        Ok(())
    }
}
