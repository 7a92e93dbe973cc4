//! One term: what its leader goes by, and how a decision becomes a commit. The planner decides, the batch is committed under
//! the epoch, and only then are others told.

pub(crate) mod context;
pub(crate) mod failures;
pub(crate) mod load;

use std::sync::Arc;
use std::time::Duration;

use rota_core::failpoint;
use rota_core::port::{Batch, StoreResult};

use crate::broker::sender::BrokerSender;
use crate::files::ReplicaCache;
use crate::term::context::TermContext;
use crate::term::failures::TermError;
use crate::term::load::LoadedState;

/// Most rows read in one go.
pub(crate) const PAGE: usize = 2000;
/// Batches committed before the leader listens again, however much there is to do.
const BATCHES_MAX: usize = 16;

/// A term, as the duties of its leader work on it.
pub(crate) struct LeaderTerm<'a> {
    pub(crate) context: TermContext<'a>,
    /// What outlives the term.
    pub(crate) cache: &'a mut ReplicaCache,
    pub(crate) sender: BrokerSender,
    /// What was read from rows.
    pub(crate) state: LoadedState,
}

impl<'a> LeaderTerm<'a> {
    /// A term in which nothing was read yet.
    pub(crate) fn new(context: TermContext<'a>, cache: &'a mut ReplicaCache) -> Self {
        let sender = BrokerSender::start(Arc::clone(context.broker));
        Self { context, cache, sender, state: LoadedState::default() }
    }

    /// Loads everything active, and publishes what is queued.
    pub(crate) async fn load(&mut self) -> Result<(), TermError> {
        self.state.load(self.context, self.cache).await?;
        self.sender.publish(self.state.planner.dispatches());
        Ok(())
    }

    /// Commits what the planner says until it has nothing more to say, or for a while. Returns whether it is done.
    pub(crate) async fn drive(&mut self) -> Result<bool, TermError> {
        for _ in 0..BATCHES_MAX {
            let now = self.context.now().await?;
            let mut batch = self.state.planner.plan(now)?;
            if batch.is_empty() {
                return Ok(true);
            }
            if failpoint::is_on("cursor-apart") {
                self.cursors_apart(&mut batch).await?;
            }
            let committed = self.context.commit(&batch).await?;
            for run in &committed.runs {
                self.state.newest_run = self.state.newest_run.max(*run);
            }
            self.sender.publish_queued(batch.queues.iter().chain(&batch.requeues));
            let workers = committed.workers_to_tell();
            let changes = self.state.planner.committed(batch, committed, now)?;
            self.sender.nudge(workers);
            self.sender.announce(changes);
        }
        Ok(false)
    }

    /// A sown fault: moves the cursors in a transaction of their own, some time before the rest.
    async fn cursors_apart(&self, batch: &mut Batch) -> StoreResult<()> {
        let alone = Batch { cursors: std::mem::take(&mut batch.cursors), ..Batch::default() };
        if !alone.cursors.is_empty() {
            self.context.commit(&alone).await?;
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        Ok(())
    }
}
