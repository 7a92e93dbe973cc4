//! What a worker can be told, checked once.

use std::path::PathBuf;
use std::time::Duration;

use rota_core::id::{NAME_CHARS_MAX, QueueName, WorkerId};
use rota_core::port::Object;
use rota_kit::host::host_name;

use crate::account::Account;
use crate::custody::WardenCommand;
use crate::limits::Limits;

/// Shortest lease: beats come six times as often, and each is a write.
pub const LEASE_MIN: Duration = Duration::from_millis(600);
/// The usual lease.
pub const LEASE_DEFAULT: Duration = Duration::from_secs(30);
/// Most processes at a time.
pub const SLOTS_MAX: u32 = 10_000;
/// Slots per core: most tasks wait for something else than this machine.
const SLOTS_PER_CORE: u32 = 4;

/// What ends a worker's right to run tasks while its process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tenure {
    /// Others take its tasks over: it lasts this long from each heartbeat, and six times as often it beats.
    Lease(Duration),
    /// Nothing: nobody else can take its tasks. What a life of it that died ran is lost when the next one registers.
    Process,
}

/// Options of a worker.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Its name, the same after a restart. No other living worker may have it.
    pub id: WorkerId,
    /// Host name, for people.
    pub host: String,
    /// rota's version, for people.
    pub version: String,
    /// The queues it serves, besides the lane of `noop` tasks.
    pub queues: Vec<QueueName>,
    /// Its labels.
    pub labels: Object,
    /// Processes it runs at a time.
    pub slots: u32,
    /// What ends its right to run tasks.
    pub tenure: Tenure,
    /// How long running tasks may go on when the worker is told to stop, before they get TERM.
    pub drain_grace: Duration,
    /// How often it looks for queued tasks by itself, in case a message was lost. It looks faster while the broker is
    /// away.
    pub poll: Duration,
    /// A directory of this worker alone, kept across restarts: output files and results that the store did not take.
    pub state_dir: PathBuf,
    /// Where this worker has the DAG files, if it has them: tasks start in the folder of theirs. Without it, or where that
    /// folder is missing, each attempt starts in a fresh directory, which is removed when it has ended.
    pub dags_dir: Option<PathBuf>,
    /// Whom tasks run as, if not as the worker does.
    pub run_as: Option<Account>,
    /// What each process may use.
    pub limits: Limits,
    /// How to start its warden. `None` only for tests: processes then outlive a killed worker.
    pub warden: Option<WardenCommand>,
}

/// An option that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("worker option {name}: {reason}")]
pub struct OptionsError {
    name: &'static str,
    reason: String,
}

impl WorkerOptions {
    /// The defaults: no DAG files, the default queue, four slots per core, a lease of 30 s, 10 s to drain.
    pub fn new(id: WorkerId, state_dir: PathBuf) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            id,
            host: host_name(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            queues: vec![QueueName::trusted(QueueName::DEFAULT)],
            labels: Object::new(),
            slots: u32::try_from(cores).unwrap_or(1).saturating_mul(SLOTS_PER_CORE).min(SLOTS_MAX),
            tenure: Tenure::Lease(LEASE_DEFAULT),
            drain_grace: Duration::from_secs(10),
            poll: Duration::from_secs(5),
            state_dir,
            dags_dir: None,
            run_as: None,
            limits: Limits::default(),
            warden: Some(WardenCommand::this_binary()),
        }
    }

    pub(crate) fn check(&self) -> Result<(), OptionsError> {
        let no = |name, reason: &str| Err(OptionsError { name, reason: reason.to_owned() });
        if self.slots == 0 || self.slots > SLOTS_MAX {
            return no("slots", &format!("expected 1 to {SLOTS_MAX}, not {}", self.slots));
        }
        if let Tenure::Lease(lease) = self.tenure
            && lease < LEASE_MIN
        {
            return no("lease", &format!("expected at least {LEASE_MIN:?}, not {lease:?}"));
        }
        if self.queues.is_empty() {
            return no("queues", "expected at least one");
        }
        if self.queues.iter().any(|queue| queue.as_str() == QueueName::NOOP) {
            return no("queues", "`noop` is every worker's and need not be named");
        }
        if self.poll.is_zero() {
            return no("poll", "expected more than no time");
        }
        let id = self.id.as_str();
        if id.is_empty() || id.len() > NAME_CHARS_MAX || id.chars().any(|c| c.is_control() || c == '=') {
            return no(
                "id",
                &format!("expected 1 to {NAME_CHARS_MAX} characters without `=` and control characters"),
            );
        }
        Ok(())
    }
}
