//! The next batch while it is being written, and what goes with it but is not stored: which tasks are ready, and which ask.

use chrono::{DateTime, Utc};

use crate::id::TaskKey;
use crate::port::Batch;

/// What was decided since the last batch left. Facts add to it as they come, the plan adds the rest and takes the batch.
#[derive(Debug, Default)]
pub(super) struct Undelivered {
    batch: Batch,
    ready: Vec<TaskKey>,
    asks: Vec<TaskKey>,
}

impl Undelivered {
    /// The draft, for what happens at `now`.
    pub(super) fn at(&mut self, now: DateTime<Utc>) -> Draft<'_> {
        Draft { now, batch: &mut self.batch, ready: &mut self.ready, asks: &mut self.asks }
    }

    /// Whether nothing was decided that a plan has yet to take up.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.asks.is_empty() && self.batch.is_empty()
    }

    /// The batch as it stands.
    pub(super) fn take(&mut self) -> Batch {
        std::mem::take(&mut self.batch)
    }
}

/// Where everything that is decided at one instant is written down.
pub(super) struct Draft<'a> {
    /// The instant.
    pub(super) now: DateTime<Utc>,
    /// What is to be committed. A list grows at its end only; a store applies a batch list by list, so what goes into
    /// different lists has no order among itself.
    pub(super) batch: &'a mut Batch,
    /// Tasks that may be queued as soon as their queue has room, in the order in which they became ready.
    pub(super) ready: &'a mut Vec<TaskKey>,
    /// Tasks that may start if their `when` holds ([`super::questions`]).
    pub(super) asks: &'a mut Vec<TaskKey>,
}
