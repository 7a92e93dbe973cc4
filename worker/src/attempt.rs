//! One claimed attempt from its claim to its report.

use std::collections::BTreeMap;
use std::sync::Arc;

use rota_core::dag::{Action, Dag, Scope, Task};
use rota_core::id::{AttemptKey, ClaimToken, DagId};
use rota_core::port::{Change, Claimed, Finish, GivingBack, StoreError, StoreResult};
use rota_core::state::{RunState, TaskState};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use crate::exec::{End, Job, Outcome, StopReason, Stopped, default_shell};
use crate::finish::Ended;
use crate::job::job;
use crate::life::Life;
use crate::log::AttemptLog;
use crate::patience::{Backoff, answered};
use crate::ringer::News;
use crate::scratch::StartFolder;
use crate::shortage::StartError;

/// What an attempt turned out to be.
enum Work {
    /// Nothing to do: it has succeeded.
    Nothing,
    /// A process, and the folder that it starts in.
    Process(Box<Job>, StartFolder),
}

/// Runs a claimed attempt and reports how it ended, unless it was lost: then others decide what comes next.
pub(crate) async fn run(
    life: Arc<Life>,
    claimed: Claimed,
    slot: Option<OwnedSemaphorePermit>,
    mut stopped: Stopped,
) {
    let report = Report::new(life.clone(), &claimed);
    let mut log = AttemptLog::new(claimed.key, life.shared.logs.clone());
    let work = prepare(&life, &claimed, &mut stopped).await;
    let mut used = None;
    let outcome = match work {
        Ok(Work::Nothing) => unstarted(&life, End::Success, None),
        Ok(Work::Process(job, folder)) => {
            let slot = match slot {
                Some(slot) => Some(slot),
                // A task with a process in the lane of tasks without: it waits for its turn like all others.
                None => life.shared.slots.clone().acquire_owned().await.ok(),
            };
            let outcome = life.shared.executor.run(&job, &mut stopped, &mut log).await;
            note_shortage(&life, &outcome);
            drop(slot);
            used = Some(folder);
            outcome
        }
        Err(StartError::Short(why)) => {
            let outcome = unstarted(&life, End::NotStarted, Some(why));
            note_shortage(&life, &outcome);
            outcome
        }
        Err(StartError::Wrong(error)) => match stopped.reason() {
            Some(StopReason::Cancelled) => unstarted(&life, End::Cancelled, Some("cancelled".to_owned())),
            Some(StopReason::LeaseLost | StopReason::Shutdown) => unstarted(&life, End::Lost, None),
            None => {
                log.remark(life.now(), &error);
                unstarted(&life, End::Failed, Some(error))
            }
        },
    };
    let outcome = match outcome.end {
        // Its log has no line yet: another life's lines begin where this one's would.
        End::NotStarted => give_back(&life, &claimed, &mut stopped).await,
        End::Success | End::Failed | End::Cancelled | End::Lost => {
            log.close(life.now()).await;
            Some(outcome)
        }
    };
    life.forget(claimed.key);
    let Some(outcome) = outcome else { return report.withdraw() };
    // Whatever was killed after the lease had run out, by the warden for example, is nobody's result.
    let is_lost = outcome.end == End::Lost || (outcome.signal.is_some() && life.is_over());
    if is_lost {
        tracing::info!("attempt {} is lost with this life of the worker", claimed.key);
        report.withdraw();
    } else {
        report.send(outcome).await;
    }
    // Last, because others wait for the result and nobody for this.
    if let Some(folder) = used {
        folder.close().await;
    }
}

/// Stops all claims before the attempt's slot is free for another one.
fn note_shortage(life: &Life, outcome: &Outcome) {
    if outcome.end == End::NotStarted {
        life.shared.readiness.is_short(outcome.error.as_deref().unwrap_or_default());
    }
}

/// Lets others have an attempt of which nothing was started. The outcome, if it is not theirs: it is to be ended, or it is lost with
/// this life.
async fn give_back(life: &Life, claimed: &Claimed, stopped: &mut Stopped) -> Option<Outcome> {
    let giving = GivingBack {
        worker: life.shared.options.id.clone(),
        incarnation: life.incarnation,
        claims: vec![(claimed.key, claimed.token)],
    };
    let mut backoff = Backoff::default();
    while stopped.reason().is_none() {
        let error = match answered(life.shared.ports.facts.tasks_give_back(&giving)).await {
            Ok(kept) if kept.is_empty() => {
                tracing::info!("attempt {} is given back: it was not started", claimed.key);
                let changes = vec![Change::Run { run: claimed.key.task.run, dag: claimed.dag.clone() }];
                life.shared.ringer.tell(News { changes, ..News::default() });
                return None;
            }
            Ok(_) => return Some(unstarted(life, End::Cancelled, Some("cancelled".to_owned()))),
            Err(StoreError::Conflict(why)) => {
                // The next heartbeat says so to the whole life.
                tracing::warn!("attempt {} was not started and is lost: {why}", claimed.key);
                life.beat_now.notify_one();
                return Some(unstarted(life, End::Lost, None));
            }
            // Nobody else would do anything about an attempt that this life holds.
            Err(error) => error.to_string(),
        };
        tokio::select! {
            () = backoff.pause("attempts that were not started", &error) => {}
            () = stopped.changed() => {}
        }
    }
    Some(match stopped.reason() {
        Some(StopReason::Cancelled) => unstarted(life, End::Cancelled, Some("cancelled".to_owned())),
        _ => unstarted(life, End::Lost, None),
    })
}

/// The report of an attempt whose task does nothing.
pub(crate) fn noop_ended(life: &Life, claimed: &Claimed) -> Ended {
    let finish = finish_of(claimed.key, claimed.token, unstarted(life, End::Success, None));
    Ended { finish, dag: claimed.dag.clone() }
}

fn unstarted(life: &Life, end: End, error: Option<String>) -> Outcome {
    Outcome {
        end,
        spawned_at: None,
        ended_at: life.now(),
        exit_code: None,
        signal: None,
        error: error.map(|error| error.replace('\0', "\u{fffd}")),
        outputs: None,
    }
}

/// Finds out what there is to do.
///
/// # Errors
/// The attempt cannot be run, or not here and now.
async fn prepare(life: &Life, claimed: &Claimed, stopped: &mut Stopped) -> Result<Work, StartError> {
    let dags = &life.shared.dags;
    let dag = match dags.at_hand(claimed) {
        Some(dag) => dag,
        None => insist(stopped, || dags.load(claimed)).await.map_err(StartError::Wrong)?,
    };
    let missing = || {
        let (version, dag, name) = (claimed.version, &claimed.dag, &claimed.name);
        StartError::Wrong(format!("version {version} of {dag} has no task {name}"))
    };
    let task = dag.tasks.get(claimed.key.task.task.0 as usize).ok_or_else(missing)?;
    if task.action == Action::Noop {
        return Ok(Work::Nothing);
    }
    let outputs = upstream_outputs(life, claimed, &dag, task, stopped).await.map_err(StartError::Wrong)?;
    let scope = Scope {
        run: claimed.key.task.run,
        run_state: RunState::Running,
        slot: claimed.slot,
        interval_start: claimed.interval_start,
        created_at: claimed.created_at,
        params: &claimed.params,
        index: claimed.key.task.index,
        attempt: claimed.key.attempt,
        outputs: &outputs,
        shell: default_shell(),
    };
    let folder = StartFolder::of(&life.shared.options, claimed)?;
    let mut job = job(&dag, task, &scope, folder.path(), claimed.token).map_err(StartError::Wrong)?;
    if folder.is_scratch() && life.shared.options.dags_dir.is_some() {
        let remark = "this worker has no folder of the DAG's file: started in a directory of its own";
        job.remark = Some(remark.to_owned());
    }
    Ok(Work::Process(Box::new(job), folder))
}

/// The outputs that the task's templates read; none are loaded for a task that reads none.
async fn upstream_outputs(
    life: &Life,
    claimed: &Claimed,
    dag: &Dag,
    task: &Task,
    stopped: &mut Stopped,
) -> Result<BTreeMap<String, Value>, String> {
    if task.reads_outputs_of.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (facts, run) = (&life.shared.ports.facts, claimed.key.task.run);
    let load = || answered(facts.outputs_load(run, &task.reads_outputs_of));
    let loaded = insist(stopped, load).await?;
    let named = loaded.into_iter().map(|(no, _, outputs)| {
        let name = dag.task(no).name.as_str().to_owned();
        (name, Value::Object(outputs))
    });
    Ok(named.collect())
}

/// Asks until the store answers or the attempt is to end.
///
/// # Errors
/// In words: the store's refusal, or that the attempt is to end.
async fn insist<T, F: Future<Output = StoreResult<T>>>(
    stopped: &mut Stopped,
    call: impl Fn() -> F,
) -> Result<T, String> {
    let mut backoff = Backoff::default();
    loop {
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) if error.is_outage() => error.to_string(),
            Err(error) => return Err(error.to_string()),
        };
        if stopped.reason().is_some() {
            return Err(error);
        }
        tokio::select! {
            () = backoff.pause("claimed attempts", &error) => {}
            () = stopped.changed() => {}
        }
    }
}

fn finish_of(key: AttemptKey, token: ClaimToken, outcome: Outcome) -> Finish {
    Finish {
        key,
        token,
        state: match outcome.end {
            End::Success => TaskState::Success,
            End::Failed | End::Lost | End::NotStarted => TaskState::Failed,
            End::Cancelled => TaskState::Cancelled,
        },
        spawned_at: outcome.spawned_at,
        ended_at: outcome.ended_at,
        exit_code: outcome.exit_code,
        signal: outcome.signal,
        error: outcome.error,
        outputs: outcome.outputs,
    }
}

/// Sees to it that an attempt is reported even if this program has a fault: nobody else would notice while the worker
/// lives on.
struct Report {
    life: Arc<Life>,
    key: AttemptKey,
    token: ClaimToken,
    dag: DagId,
    is_settled: bool,
}

impl Report {
    fn new(life: Arc<Life>, claimed: &Claimed) -> Self {
        Self { life, key: claimed.key, token: claimed.token, dag: claimed.dag.clone(), is_settled: false }
    }

    fn ended(&mut self, outcome: Outcome) -> Vec<Ended> {
        self.is_settled = true;
        vec![Ended { finish: finish_of(self.key, self.token, outcome), dag: self.dag.clone() }]
    }

    async fn send(mut self, outcome: Outcome) {
        let ended = self.ended(outcome);
        // Fails only when the finisher is gone, that is after the worker.
        let _ = self.life.shared.finisher.send(ended).await;
    }

    fn withdraw(mut self) {
        self.is_settled = true;
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if !self.is_settled && std::thread::panicking() {
            self.life.forget(self.key);
            let fault = "a fault in rota ended the attempt; the worker's log says more".to_owned();
            let ended = self.ended(unstarted(&self.life, End::Failed, Some(fault)));
            let _ = self.life.shared.finisher.try_send(ended);
        }
    }
}
