//! The leader's loop: sleeps until something is due or heard, folds what it reads into plans, and calls its duties. Trouble
//! makes it load everything anew, in the same term.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rota_core::id::TaskKey;
use rota_core::port::{Bell, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::broker::wakeups::{WakeupEvent, WakeupListener};
use crate::duties::directory::{DirectoryDuty, DirectoryReport, wait_first_scan};
use crate::duties::reap::reap;
use crate::duties::sweep::Sweep;
use crate::files::ReplicaCache;
use crate::term::LeaderTerm;
use crate::term::context::TermContext;
use crate::term::failures::{EndOfTerm, FailurePolicy, TermError};
use crate::term::load::LoadedState;

/// How long a new leader waits for its ear at the broker. Without it, a sweep finds what bells would tell.
const LISTEN_MAX: Duration = Duration::from_millis(250);
/// Between two looks for a store that is away together with the election.
const AWAY_PAUSE: Duration = Duration::from_millis(500);

/// A leader in its term.
pub(crate) struct Leader<'a> {
    term: LeaderTerm<'a>,
    sweep: Sweep,
    directory: DirectoryDuty,
    failures: FailurePolicy,
    is_doubtful: bool,
}

impl<'a> Leader<'a> {
    /// A leader that has loaded nothing yet.
    pub(crate) fn new(context: TermContext<'a>, cache: &'a mut ReplicaCache) -> Self {
        let patience = context.options.store_patience;
        Self {
            term: LeaderTerm::new(context, cache),
            sweep: Sweep::default(),
            directory: DirectoryDuty::default(),
            failures: FailurePolicy::new(patience, context.turns.clone(), Instant::now()),
            is_doubtful: false,
        }
    }

    /// Leads until the term ends. A store that stays away, or trouble of another kind that stays, ends the term.
    pub(crate) async fn run(mut self, shutdown: &CancellationToken) -> EndOfTerm {
        let mut wakeups = WakeupListener::new(Arc::clone(self.term.context.broker));
        loop {
            let failure = match self.lead(&mut wakeups, shutdown).await {
                Ok(()) => return EndOfTerm::Shutdown,
                Err(TermError::Store(StoreError::Fenced(_))) => return EndOfTerm::Lost,
                Err(error) => StoreError::from(error),
            };
            if shutdown.is_cancelled() {
                return EndOfTerm::Shutdown;
            }
            let pause = match self.failures.pause(&failure, Instant::now()) {
                Some(pause) => pause,
                // Without an election nobody else would begin a term.
                None if is_away(&failure) && !self.term.context.term.is_trusted() => AWAY_PAUSE,
                None => return EndOfTerm::Failed(failure),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => return EndOfTerm::Shutdown,
            }
            self.forget();
        }
    }

    /// Forgets what was read from rows. The planner changes its own state as it decides, so after a failed commit only the
    /// rows know.
    fn forget(&mut self) {
        self.term.state = LoadedState::default();
        self.sweep.forget();
    }

    async fn lead(
        &mut self,
        wakeups: &mut WakeupListener,
        shutdown: &CancellationToken,
    ) -> Result<(), TermError> {
        self.begin(wakeups).await?;
        let mut next_sweep = Instant::now();
        while !shutdown.is_cancelled() {
            self.watch_trust();
            // What is due goes first; a sweep is never in a hurry.
            let mut is_done = self.term.drive().await?;
            self.failures.over(Instant::now());
            if Instant::now() >= next_sweep {
                let heard_all = self.sweep().await?;
                next_sweep = Instant::now() + self.term.context.options.sweep;
                is_done = self.term.drive().await?;
                if heard_all && is_done {
                    let turn = self.term.context.epoch.0.unsigned_abs();
                    self.term.state.planner.begin_answers(turn);
                }
            }
            self.failures.turned();
            let wake = if is_done { self.wake_at(next_sweep).await? } else { Instant::now() };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = self.term.cache.directory_changed(), if !self.is_doubtful => self.take_in_changes().await?,
                event = wakeups.next() => match event {
                    WakeupEvent::Bells(bells) => self.hear(bells).await?,
                    WakeupEvent::Anew => next_sweep = Instant::now(),
                },
                () = tokio::time::sleep_until(wake) => {}
            }
        }
        Ok(())
    }

    /// Reads everything that there is to know. It listens before it reads any row, so that nothing changes in between unheard.
    async fn begin(&mut self, wakeups: &mut WakeupListener) -> Result<(), TermError> {
        wakeups.open(LISTEN_MAX).await;
        wait_first_scan(&mut self.term).await?;
        self.term.load().await?;
        let TermContext { status, epoch, .. } = self.term.context;
        status.send_modify(|status| status.epoch = Some(epoch));
        let report = self.directory.take_in_first(&mut self.term).await?;
        self.tell_directory(report);
        Ok(())
    }

    /// Sweeps. Returns whether all stored intents were heard.
    async fn sweep(&mut self) -> Result<bool, TermError> {
        let report = self.sweep.run(&mut self.term).await?;
        if report.is_worth_a_line() {
            tracing::debug!("a sweep came to something: {report:?}");
        }
        Ok(report.heard_all)
    }

    async fn take_in_changes(&mut self) -> Result<(), TermError> {
        let report = self.directory.take_in_changes(&mut self.term).await?;
        self.tell_directory(report);
        Ok(())
    }

    fn tell_directory(&self, report: Option<DirectoryReport>) {
        let Some(DirectoryReport { good, broken, behind }) = report else { return };
        self.term.context.status.send_modify(|status| {
            status.dags = Some(good);
            status.broken = broken;
            status.behind = behind;
        });
    }

    /// While the election is out of reach nobody else can have taken over unless the fence says so: the leader goes on, but
    /// leaves what cannot wait for a better day.
    fn watch_trust(&mut self) {
        let TermContext { options, status, term, epoch, .. } = self.term.context;
        let is_doubtful = !term.is_trusted();
        if is_doubtful == self.is_doubtful {
            return;
        }
        self.is_doubtful = is_doubtful;
        status.send_modify(|status| status.is_doubtful = is_doubtful);
        let replica = &options.replica;
        if is_doubtful {
            tracing::warn!(
                leader.epoch = epoch.0,
                "scheduler {replica} does not reach the election: it goes on under epoch {epoch} while the store lets \
                 it; DAG files and old history wait"
            );
        } else {
            tracing::info!(leader.epoch = epoch.0, "scheduler {replica} reaches the election again");
        }
    }

    async fn wake_at(&self, next_sweep: Instant) -> Result<Instant, TermError> {
        let Some(due) = self.term.state.planner.wake_at() else { return Ok(next_sweep) };
        let now = self.term.context.now().await?;
        // Timers tick in milliseconds and may fire within the one before; a due slot looked at too early is just not due.
        let wait = (due - now).to_std().unwrap_or_default();
        Ok(next_sweep.min(Instant::now() + wait))
    }

    /// Reads what the doorbell hints at.
    async fn hear(&mut self, bells: Vec<Bell>) -> Result<(), TermError> {
        let mut keys: BTreeSet<TaskKey> = BTreeSet::new();
        let (mut intents, mut workers) = (false, false);
        for bell in bells {
            match bell {
                Bell::Finished(attempts) => keys.extend(attempts.iter().map(|attempt| attempt.task)),
                Bell::Intent => {
                    intents = true;
                    self.sweep.intents.look_at_dags_soon();
                }
                Bell::Workers => workers = true,
            }
        }
        if workers {
            reap(&mut self.term).await?;
        }
        if intents {
            self.sweep.intents.run(&mut self.term).await?;
        }
        let keys: Vec<TaskKey> = keys.into_iter().collect();
        self.term.state.observe(self.term.context, &keys).await
    }
}

fn is_away(failure: &StoreError) -> bool {
    matches!(failure, StoreError::Unavailable(_))
}
