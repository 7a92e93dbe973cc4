//! What attempts do on this worker: one runner for each kind of action, behind one trait. `process` starts processes; what does
//! nothing needs no more than [`Nothing`].

pub(crate) mod process;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rota_core::dag::{Cost, Rendered};

use self::process::{End, Executor, Job, Outcome, Stopped};
use crate::log::AttemptLog;
use crate::scratch::StartFolder;

/// What a runner is given for one attempt.
pub(crate) struct Bench<'a> {
    /// Tells when the attempt is to end before its time, and why.
    pub(crate) stopped: &'a mut Stopped,
    /// Takes what it has to say.
    pub(crate) log: &'a mut AttemptLog,
    /// The time at its start.
    pub(crate) now: DateTime<Utc>,
}

/// Carries out one attempt, once.
#[async_trait]
pub(crate) trait Runner: Send {
    /// What it takes of the worker while it runs.
    fn cost(&self) -> Cost;

    /// Runs it to its end, or to the end that `bench.stopped` asks for.
    async fn run(&mut self, bench: Bench<'_>) -> Outcome;

    /// Removes what it made for the attempt. After the report, because others wait for that one and nobody for this.
    async fn clear_up(self: Box<Self>) {}
}

/// The runner of an action with its values in their places. `job` makes what a process needs besides.
///
/// # Errors
/// Of `job`.
pub(crate) fn runner<E>(
    rendered: Rendered,
    executor: &Arc<Executor>,
    job: impl FnOnce(rota_core::dag::Command) -> Result<(Job, StartFolder), E>,
) -> Result<Box<dyn Runner>, E> {
    Ok(match rendered {
        Rendered::Nothing => Box::new(Nothing),
        Rendered::Process(command) => {
            let (job, folder) = job(command)?;
            Box::new(Process { executor: Arc::clone(executor), job, folder })
        }
    })
}

/// Does nothing, and succeeds.
struct Nothing;

#[async_trait]
impl Runner for Nothing {
    fn cost(&self) -> Cost {
        Cost::Nothing
    }

    async fn run(&mut self, bench: Bench<'_>) -> Outcome {
        Outcome::unstarted(End::Success, bench.now, None)
    }
}

/// Starts a process in a folder.
struct Process {
    executor: Arc<Executor>,
    job: Job,
    folder: StartFolder,
}

#[async_trait]
impl Runner for Process {
    fn cost(&self) -> Cost {
        Cost::Slot
    }

    async fn run(&mut self, bench: Bench<'_>) -> Outcome {
        self.executor.run(&self.job, bench.stopped, bench.log).await
    }

    async fn clear_up(self: Box<Self>) {
        self.folder.close().await;
    }
}
