//! What failed in a run, by time: the first failure is the run's reason if it fails, whatever order the leader heard of them
//! in, and whether or not it was this leader that heard.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::id::NodeId;

/// See the module's text. Holds at most one failure per task.
#[derive(Debug, Clone, Default)]
pub(super) struct RunFailures {
    words: BTreeMap<(DateTime<Utc>, NodeId), String>,
}

impl RunFailures {
    /// A task ended badly at `at`. What ended at an unknown time comes last.
    pub(super) fn note(&mut self, task: NodeId, at: Option<DateTime<Utc>>, words: String) {
        self.words.entry((at.unwrap_or(DateTime::<Utc>::MAX_UTC), task)).or_insert(words);
    }

    /// These tasks are to run again.
    pub(super) fn forget(&mut self, tasks: &[NodeId]) {
        let tasks: BTreeSet<NodeId> = tasks.iter().copied().collect();
        self.words.retain(|(_, task), _| !tasks.contains(task));
    }

    /// The first in time; of those at the same time, the first of the file.
    pub(super) fn first(&self) -> Option<&str> {
        self.words.values().next().map(String::as_str)
    }
}
