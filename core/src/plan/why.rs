//! Why is it waiting? The one cause, in words, computed from the same state and the same rules that decide, so that it cannot
//! disagree with them.

use chrono::{DateTime, Utc};

use super::run::RunWalk;
use super::trigger_rule::{Verdict, verdict};
use crate::id::{NodeId, QueueName, RunId, TaskNo};
use crate::port::{DagRow, QueueCapacity, RunRow, TaskRow, WorkerRow, WorkerState};
use crate::schedule::format_duration;
use crate::state::{RunState, TaskState, Trigger};

/// What a run's own rows do not say.
#[derive(Debug, Clone)]
pub struct WaitContext<'a> {
    /// The time.
    pub now: DateTime<Utc>,
    /// What live workers offer ([`capacity_of`]).
    pub capacity: &'a [QueueCapacity],
    /// Attempts that run now, in all.
    pub running: u32,
    /// The run's DAG.
    pub dag: Option<&'a DagRow>,
    /// How many of the DAG's runs are running.
    pub active: u64,
    /// Some of them, to be named.
    pub active_named: &'a [RunId],
    /// Whether some scheduler leads.
    pub has_leader: bool,
}

/// What live workers offer, by queue. A queue whose workers cannot start tasks now is there with nothing.
pub fn capacity_of(workers: &[WorkerRow]) -> Vec<QueueCapacity> {
    let mut capacity: Vec<QueueCapacity> = Vec::new();
    for worker in workers.iter().filter(|worker| worker.state == WorkerState::Live) {
        let (slots, count) = if worker.takes_tasks() { (worker.slots, 1) } else { (0, 0) };
        for queue in &worker.queues {
            match capacity.iter_mut().find(|offered| offered.queue == *queue) {
                Some(offered) => {
                    offered.slots += slots;
                    offered.workers += count;
                }
                None => capacity.push(QueueCapacity { queue: queue.clone(), slots, workers: count }),
            }
        }
    }
    capacity
}

/// Why a run that has not ended does not move: `None` if it does.
pub fn run_cause(run: &RunRow, max_active_runs: u32, around: &WaitContext<'_>) -> Option<String> {
    match run.state {
        RunState::Success | RunState::Failed | RunState::Cancelled => None,
        RunState::Running => {
            run.ending.as_ref().map(|ending| format!("its tasks are being ended: {}", ending.reason))
        }
        RunState::Queued if !around.has_leader => Some(NO_LEADER.to_owned()),
        RunState::Queued => {
            let held = around.dag.filter(|_| run.trigger == Trigger::Schedule && run.started_at.is_none());
            if held.is_some_and(|dag| dag.paused) {
                return Some("waits because its DAG is paused".to_owned());
            }
            if held.is_some_and(|dag| !dag.present) {
                return Some("is being ended: its DAG's file was deleted".to_owned());
            }
            if around.active >= u64::from(max_active_runs) {
                return Some(format!(
                    "waits because max_active_runs {max_active_runs} is reached by {}",
                    list_runs(around.active_named, around.active)
                ));
            }
            Some("starts as soon as the leader gets to it".to_owned())
        }
    }
}

/// Why a task that has not ended does not move: `None` if it runs or has ended. `row`: its row, if it has one.
pub fn task_cause(
    walk: &RunWalk,
    id: NodeId,
    row: Option<&TaskRow>,
    around: &WaitContext<'_>,
) -> Option<String> {
    let state = row.map_or(TaskState::Waiting, |row| row.state);
    match state {
        TaskState::Success
        | TaskState::Failed
        | TaskState::UpstreamFailed
        | TaskState::Skipped
        | TaskState::Cancelled
        | TaskState::Deferred => None,
        TaskState::Running => {
            row.filter(|row| row.cancel_requested).map(|_| "is being ended on its worker".to_owned())
        }
        TaskState::Waiting => Some(waiting_cause(walk, id, around)),
        TaskState::Queued => Some(queued_cause(&walk.dag().task(id.task).queue, around)),
        TaskState::UpForRetry => Some(retry_cause(walk, id.task, row, around)),
    }
}

const NO_LEADER: &str = "waits because no scheduler leads";

fn waiting_cause(walk: &RunWalk, id: NodeId, around: &WaitContext<'_>) -> String {
    if walk.row().state == RunState::Queued {
        return "waits for its run to start".to_owned();
    }
    if !around.has_leader {
        return NO_LEADER.to_owned();
    }
    let task = walk.dag().task(id.task);
    if walk.is_ready(id) {
        return format!("waits for room in queue {}, which is full with tasks that go first", task.queue);
    }
    if verdict(task.trigger_rule, walk.tally(id)) == Verdict::Run
        && let Some(read) = walk.when_waits_for(task)
    {
        return format!("waits for task {}, whose outputs its `when` reads", walk.dag().task(read).name);
    }
    let up = walk.dag().graph.up_of(id.task).iter().copied();
    let open: Vec<TaskNo> = up.filter(|up| !walk.state(NodeId::single(*up)).is_terminal()).collect();
    match open.as_slice() {
        [] => "starts as soon as the leader gets to it".to_owned(),
        [up] => format!("waits for task {}", walk.dag().task(*up).name),
        [up, rest @ ..] => format!("waits for task {} and {} more", walk.dag().task(*up).name, rest.len()),
    }
}

fn queued_cause(queue: &QueueName, around: &WaitContext<'_>) -> String {
    match around.capacity.iter().find(|offered| offered.queue == *queue) {
        None => format!("waits because no live worker serves queue {queue}"),
        Some(QueueCapacity { workers: 0, .. }) => {
            format!(
                "waits because the workers of queue {queue} cannot start tasks now; the Cluster page says why"
            )
        }
        Some(offered) if around.running >= offered.slots => {
            format!("waits for a free slot: all {} slots of queue {queue} are taken", offered.slots)
        }
        Some(_) => "is on its way to a worker".to_owned(),
    }
}

fn retry_cause(walk: &RunWalk, task: TaskNo, row: Option<&TaskRow>, around: &WaitContext<'_>) -> String {
    let retries = walk.dag().task(task).retries;
    let used = row.map_or(0, |row| row.failures);
    let wait = row.and_then(|row| row.retry_at).map(|at| (at - around.now).to_std().unwrap_or_default());
    let seconds = wait.map(|wait| std::time::Duration::from_secs(wait.as_secs_f64().ceil() as u64));
    let when = seconds
        .filter(|wait| !wait.is_zero())
        .map_or("now".to_owned(), |wait| format!("in {}", format_duration(wait)));
    format!("retry {used} of {retries} starts {when}")
}

fn list_runs(named: &[RunId], all: u64) -> String {
    let shown: Vec<String> = named.iter().take(3).map(ToString::to_string).collect();
    let more = all.saturating_sub(shown.len() as u64);
    let noun = if all == 1 { "run" } else { "runs" };
    match more {
        0 => format!("{noun} {}", shown.join(", ")),
        more => format!("{noun} {} and {more} more", shown.join(", ")),
    }
}
