//! A task that ends while it waits for its next attempt: a person or a policy cancelled it, or its last attempt, given up as
//! lost, had succeeded after all and told so before another began.

use super::{Heard, RunWalk};
use crate::plan::draft::Draft;
use crate::port::TaskRow;
use crate::state::{IllegalTransition, TaskEvent, TaskState};

impl RunWalk {
    /// Takes note of a row whose task is in `up_for_retry`. Its attempt was counted out of its queue when the next one was
    /// planned, so no room comes from this.
    pub(super) fn ended_in_wait(
        &mut self,
        row: &TaskRow,
        draft: &mut Draft<'_>,
    ) -> Result<Heard, IllegalTransition> {
        let id = row.key.node();
        let event = match row.state {
            TaskState::Success => TaskEvent::TakeOver,
            TaskState::Cancelled => TaskEvent::Cancel,
            TaskState::Waiting
            | TaskState::Queued
            | TaskState::Running
            | TaskState::Deferred
            | TaskState::UpForRetry
            | TaskState::Failed
            | TaskState::UpstreamFailed
            | TaskState::Skipped => return Ok(Heard::Nothing),
        };
        // Its time may have come already: then it stands in line for its queue, and must not be taken.
        self.nodes[id].ready = false;
        self.step(id, event)?;
        self.inputs.keep(row);
        self.close(id, draft)?;
        Ok(Heard::Change)
    }
}
