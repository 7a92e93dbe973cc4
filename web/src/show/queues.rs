//! Queues: who serves them and which DAGs need them, joined.

use std::collections::BTreeMap;
use std::sync::Arc;

use rota_core::dag::Dag;
use rota_core::id::QueueName;
use rota_core::port::{WorkerRow, WorkerState};

use super::fleet;
use super::look::{FAILED, OK, StateStyle, WARN};

/// Names that are listed in one cell.
const NAMED_MAX: usize = 4;

/// A queue.
pub(crate) struct QueueLine {
    pub(crate) name: String,
    pub(crate) look: StateStyle,
    /// Slots of the live workers that serve it; they share them with their other queues.
    pub(crate) slots: u64,
    pub(crate) workers: Vec<String>,
    pub(crate) workers_more: usize,
    pub(crate) dags: Vec<String>,
    pub(crate) dags_more: usize,
    /// What is wrong; empty: nothing.
    pub(crate) note: &'static str,
}

/// What is known of one queue.
#[derive(Default)]
struct QueueFacts<'a> {
    live: Vec<&'a WorkerRow>,
    draining: usize,
    dags: Vec<&'a str>,
}

impl QueueLine {
    /// Whether tasks wait in it with nobody to run them.
    pub(crate) fn is_starved(&self) -> bool {
        self.look == FAILED
    }
}

/// All queues that a worker serves or a DAG names, those in trouble first, then by name.
pub(crate) fn queues(workers: &[WorkerRow], dags: &[Arc<Dag>]) -> Vec<QueueLine> {
    let mut known: BTreeMap<&QueueName, QueueFacts<'_>> = BTreeMap::new();
    for worker in workers.iter().filter(|worker| fleet::is_up(worker)) {
        for queue in fleet::queues(worker) {
            let entry = known.entry(queue).or_default();
            match worker.state {
                WorkerState::Live => entry.live.push(worker),
                WorkerState::Draining | WorkerState::Gone | WorkerState::Dead => entry.draining += 1,
            }
        }
    }
    for dag in dags {
        for task in dag.tasks.iter().filter(|task| task.queue.as_str() != QueueName::NOOP) {
            let names = &mut known.entry(&task.queue).or_default().dags;
            if names.last() != Some(&dag.id.as_str()) {
                names.push(dag.id.as_str());
            }
        }
    }
    let mut queues: Vec<QueueLine> = known.into_iter().map(|(name, known)| queue(name, &known)).collect();
    queues.sort_by_key(|queue| queue.look != FAILED);
    queues
}

fn queue(name: &QueueName, known: &QueueFacts<'_>) -> QueueLine {
    let (look, note) = match (known.live.len(), known.draining, known.dags.len()) {
        (1.., _, _) if known.live.iter().all(|worker| !worker.takes_tasks()) => {
            (WARN, "Its workers cannot start tasks now: they take none until they can.")
        }
        (1.., _, _) => (OK, ""),
        (0, 1.., _) => (WARN, "Its only workers are draining: they take nothing more."),
        (0, 0, 1..) => (FAILED, "No live worker serves it: its tasks wait until one does."),
        (0, 0, 0) => (OK, ""),
    };
    QueueLine {
        name: name.to_string(),
        look,
        slots: known.live.iter().map(|worker| u64::from(worker.slots)).sum(),
        workers: known.live.iter().take(NAMED_MAX).map(|worker| worker.id.to_string()).collect(),
        workers_more: known.live.len().saturating_sub(NAMED_MAX),
        dags: known.dags.iter().take(NAMED_MAX).map(|dag| (*dag).to_owned()).collect(),
        dags_more: known.dags.len().saturating_sub(NAMED_MAX),
        note,
    }
}
