//! What this replica says of itself, once a second, on a task of its own: for people, who see a replica that stopped
//! saying so, and one that says that it is in trouble. Nothing rests on it.

use std::sync::Arc;
use std::time::Duration;

use rota_core::port::{Plans, ReplicaBeat, ReplicaState};
use rota_core::schedule::zone_data;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::options::Options;
use crate::replica::Status;
use crate::replica::turns::Turns;
use crate::term::bounded;

/// Between two beats.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// How long the last one may take.
const LAST_MAX: Duration = Duration::from_millis(300);

/// The task; ends when dropped.
pub(crate) struct Beats {
    plans: Arc<dyn Plans>,
    beat: ReplicaBeat,
    task: AbortOnDropHandle<()>,
}

impl Beats {
    /// Starts to beat. Needs a tokio runtime.
    pub(crate) fn start(
        options: &Options,
        plans: &Arc<dyn Plans>,
        status: watch::Receiver<Status>,
        turns: &Turns,
    ) -> Self {
        let beat = ReplicaBeat {
            id: options.replica.clone(),
            host: options.host.clone(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            zones: zone_data().version().to_owned(),
            dags_dir: options.dags_dir.as_ref().map(|dir| dir.display().to_string()),
            state: ReplicaState::Standby,
            epoch: None,
            turned_ago: None,
            trouble: None,
        };
        let heart = Heart { plans: Arc::clone(plans), turns: turns.clone(), limit: options.call_timeout };
        let run = heart.run(beat.clone(), status);
        Self { plans: Arc::clone(plans), beat, task: AbortOnDropHandle::new(tokio::spawn(run)) }
    }

    /// Says that this replica ended in good order.
    pub(crate) async fn end(self) {
        self.task.abort();
        // Waits until it is over, so that none of its beats comes after the last one.
        let _aborted = self.task.await;
        let gone = ReplicaBeat { state: ReplicaState::Gone, ..self.beat };
        let said = tokio::time::timeout(LAST_MAX, self.plans.replica_beat(&gone)).await;
        if !matches!(said, Ok(Ok(()))) {
            tracing::debug!("the store did not hear that scheduler {} ended", gone.id);
        }
    }
}

/// What a beat needs.
struct Heart {
    plans: Arc<dyn Plans>,
    turns: Turns,
    limit: Duration,
}

impl Heart {
    async fn run(self, mut beat: ReplicaBeat, mut status: watch::Receiver<Status>) {
        loop {
            beat.epoch = status.borrow_and_update().epoch;
            beat.state = if beat.epoch.is_some() { ReplicaState::Leader } else { ReplicaState::Standby };
            (beat.turned_ago, beat.trouble) = (self.turns.turned_ago(), self.turns.planner_trouble());
            let told = bounded(self.limit, self.plans.replica_beat(&beat)).await;
            if let Err(error) = &told {
                tracing::debug!("the store did not take the beat of scheduler {}: {error}", beat.id);
            }
            self.turns.beat(told.as_ref());
            let turn = status.wait_for(|status| status.epoch != beat.epoch);
            let turned = tokio::time::timeout(BEAT_EVERY, turn).await.map(|turned| turned.is_err());
            if turned == Ok(true) {
                return;
            }
        }
    }
}
