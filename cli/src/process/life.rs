//! The life of a process that runs loops: from its first signal to its last loop. The first signal asks it to stop, and tasks
//! get their grace time; the second does not wait.

use std::time::Duration;

use anyhow::Context;

use super::signals::StopSignals;
use super::watchdog;
use crate::failure::{CommandResult, Failure, Outcome};
use crate::supervisor::Supervisor;

/// How long all loops together get to stop: the longest grace time that a task can have is theirs to keep.
const STOP_MAX: Duration = Duration::from_secs(3600);

/// A process that has begun, and listens to signals.
pub(crate) struct ProcessLife {
    signals: StopSignals,
}

impl ProcessLife {
    /// Listens to signals, and starts the watchdog. Needs a tokio runtime.
    ///
    /// # Errors
    /// The system gives no thread or no signals.
    pub(crate) fn begin() -> anyhow::Result<Self> {
        let signals = StopSignals::listen().context("cannot listen to signals")?;
        watchdog::start(tokio::runtime::Handle::current()).context("cannot start the watchdog")?;
        Ok(Self { signals })
    }

    /// Waits for a signal, or for a loop that ends by itself, which is a failure.
    pub(crate) async fn until_told(&mut self, supervisor: &mut Supervisor) -> CommandResult {
        tokio::select! {
            () = self.signals.next() => Ok(Outcome::Done),
            failure = supervisor.failure() => Err(failure.into()),
        }
    }

    /// Stops all loops. The outcome is `outcome`, unless another signal comes: then it is that the process `stopped`.
    pub(crate) async fn end(
        mut self,
        supervisor: Supervisor,
        outcome: CommandResult,
        stopped: &str,
    ) -> CommandResult {
        tokio::select! {
            () = supervisor.stop_within(STOP_MAX) => outcome,
            () = self.signals.next() => Err(Failure::failed(stopped).into()),
        }
    }
}

/// Runs a process on a runtime of its own. What still runs when it has ended was told to stop and is not waited for again.
pub(crate) fn run_to_end(process: impl Future<Output = CommandResult>) -> CommandResult {
    let runtime = super::runtime()?;
    let outcome = runtime.block_on(process);
    runtime.shutdown_background();
    outcome
}
