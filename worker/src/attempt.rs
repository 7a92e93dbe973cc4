//! One claimed attempt from its claim to its report.

use std::collections::BTreeMap;
use std::sync::Arc;

use rota_core::dag::{Cost, Dag, Scope, Task, render};
use rota_core::id::{AttemptKey, ClaimToken, DagId};
use rota_core::port::{Change, Claimed, Finish, GivingBack, StoreError, StoreResult};
use rota_core::state::{RunState, TaskState};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use crate::action::process::{End, Outcome, StopReason, Stopped, default_shell};
use crate::action::{Bench, Runner, runner};
use crate::finish::Ended;
use crate::job::job;
use crate::life::Life;
use crate::log::AttemptLog;
use crate::patience::{Backoff, answered};
use crate::ringer::News;
use crate::scratch::StartFolder;
use crate::shortage::StartError;

/// Runs a claimed attempt and reports how it ended, unless it was lost: then others decide what comes next.
pub(crate) async fn run(
    life: Arc<Life>,
    claimed: Claimed,
    slot: Option<OwnedSemaphorePermit>,
    mut stopped: Stopped,
) {
    let report = Report::new(life.clone(), &claimed);
    let mut log = AttemptLog::new(claimed.key, life.shared.logs.clone());
    let mut runner = prepare(&life, &claimed, &mut stopped).await;
    let outcome = match &mut runner {
        Ok(runner) => {
            let slot = match runner.cost() {
                // One that came without a slot, from the queue of those that need none: it waits for its turn like all others.
                Cost::Slot if slot.is_none() => life.shared.slots.clone().acquire_owned().await.ok(),
                Cost::Slot | Cost::Nothing => slot,
            };
            let bench = Bench { stopped: &mut stopped, log: &mut log, now: life.now() };
            let outcome = runner.run(bench).await;
            note_shortage(&life, &outcome);
            drop(slot);
            outcome
        }
        Err(StartError::Short(why)) => {
            let outcome = Outcome::unstarted(End::NotStarted, life.now(), Some(why.clone()));
            note_shortage(&life, &outcome);
            outcome
        }
        Err(StartError::Wrong(error)) => match stopped.reason() {
            Some(StopReason::Cancelled) => cancelled(&life),
            Some(StopReason::LeaseLost | StopReason::Shutdown) => {
                Outcome::unstarted(End::Lost, life.now(), None)
            }
            None => {
                log.remark(life.now(), error);
                Outcome::unstarted(End::Failed, life.now(), Some(error.clone()))
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
    if let Ok(runner) = runner {
        runner.clear_up().await;
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
            Ok(_) => return Some(cancelled(life)),
            Err(StoreError::Conflict(why)) => {
                // The next heartbeat says so to the whole life.
                tracing::warn!("attempt {} was not started and is lost: {why}", claimed.key);
                life.beat_now.notify_one();
                return Some(Outcome::unstarted(End::Lost, life.now(), None));
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
        Some(StopReason::Cancelled) => cancelled(life),
        _ => Outcome::unstarted(End::Lost, life.now(), None),
    })
}

/// The report of an attempt whose task does nothing.
pub(crate) fn nothing_done(life: &Life, claimed: &Claimed) -> Ended {
    let finish = finish_of(claimed.key, claimed.token, Outcome::unstarted(End::Success, life.now(), None));
    Ended { finish, dag: claimed.dag.clone() }
}

fn cancelled(life: &Life) -> Outcome {
    Outcome::unstarted(End::Cancelled, life.now(), Some("cancelled".to_owned()))
}

/// Finds out what there is to do.
///
/// # Errors
/// The attempt cannot be run, or not here and now.
async fn prepare(
    life: &Life,
    claimed: &Claimed,
    stopped: &mut Stopped,
) -> Result<Box<dyn Runner>, StartError> {
    let dags = &life.shared.dags;
    let dag = match dags.at_hand(claimed) {
        Some(dag) => dag,
        None => insist(stopped, || dags.load(claimed)).await.map_err(StartError::Wrong)?,
    };
    let missing = || {
        let (version, dag, name) = (claimed.version, &claimed.dag, &claimed.name);
        StartError::Wrong(format!("version {version} of {dag} has no task {name}"))
    };
    let task = dag.tasks.get(claimed.key.task.task.place()).ok_or_else(missing)?;
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
    let rendered = render(&dag, task, &scope).map_err(|error| StartError::Wrong(error.to_string()))?;
    runner(rendered, &life.shared.executor, |command| {
        let folder = StartFolder::of(&life.shared.options, claimed)?;
        let mut job = job(task, command, folder.path(), claimed.token);
        if folder.is_scratch() && life.shared.options.dags_dir.is_some() {
            let remark = "this worker has no folder of the DAG's file: started in a directory of its own";
            job.remark = Some(remark.to_owned());
        }
        Ok((job, folder))
    })
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
            let ended = self.ended(Outcome::unstarted(End::Failed, self.life.now(), Some(fault)));
            let _ = self.life.shared.finisher.try_send(ended);
        }
    }
}
