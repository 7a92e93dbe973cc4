//! A DAG as the planner knows it. The [`Slots`](super::slots::Slots) keep it; its runs and its ledger entries go by it.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::dag::Dag;
use crate::port::DagRow;

/// See the module's text.
#[derive(Debug)]
pub(super) struct PlannedDag {
    /// Its row. Cursor and next slot are the planner's own and run ahead of what is stored.
    pub(super) row: DagRow,
    /// Its current version.
    pub(super) dag: Arc<Dag>,
    /// When to look at its schedule next.
    pub(super) due: Option<DateTime<Utc>>,
}
