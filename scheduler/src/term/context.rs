//! What a leader leads with, from the first moment of its term to the last.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rota_core::id::Epoch;
use rota_core::port::{Batch, Broker, Committed, Plans, StoreResult, Term};
use rota_kit::timed::Timed;
use tokio::sync::watch;

use crate::options::Options;
use crate::status::Status;
use crate::turns::Turns;

/// The surroundings of one term. A copy is as good as the original.
#[derive(Clone, Copy)]
pub(crate) struct TermContext<'a> {
    pub(crate) options: &'a Options,
    pub(crate) store: &'a Timed<dyn Plans>,
    pub(crate) broker: &'a Arc<dyn Broker>,
    pub(crate) status: &'a watch::Sender<Status>,
    pub(crate) turns: &'a Turns,
    pub(crate) term: &'a dyn Term,
    pub(crate) epoch: Epoch,
}

impl TermContext<'_> {
    /// The store's clock.
    pub(crate) async fn now(&self) -> StoreResult<DateTime<Utc>> {
        self.store.ask(|plans| plans.now()).await
    }

    /// Commits a batch under the term's epoch.
    pub(crate) async fn commit(&self, batch: &Batch) -> StoreResult<Committed> {
        self.store.ask(|plans| plans.batch_commit(self.epoch, batch)).await
    }
}
