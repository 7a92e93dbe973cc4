//! What this replica says of itself, once a second, on a task of its own: for people, who see a replica that stopped
//! saying so, and one that says that it is in trouble. Nothing rests on it.

use std::time::Duration;

use rota_core::port::{Plans, ReplicaBeat, ReplicaState};
use rota_core::schedule::zone_data;
use rota_kit::timed::Timed;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::options::Options;
use crate::status::Status;
use crate::turns::Turns;

/// Between two beats.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// How long the last one may take.
const LAST_MAX: Duration = Duration::from_millis(300);

/// The task; ends when dropped.
pub(crate) struct Heartbeat {
    store: Timed<dyn Plans>,
    beat: ReplicaBeat,
    task: AbortOnDropHandle<()>,
}

impl Heartbeat {
    /// Starts to beat. Needs a tokio runtime.
    pub(crate) fn start(
        options: &Options,
        store: &Timed<dyn Plans>,
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
        let task = HeartbeatTask { store: store.clone(), turns: turns.clone() };
        let run = task.run(beat.clone(), status);
        Self { store: store.clone(), beat, task: AbortOnDropHandle::new(tokio::spawn(run)) }
    }

    /// Says that this replica ended in good order.
    pub(crate) async fn end(self) {
        self.task.abort();
        // Waits until it is over, so that none of its beats comes after the last one.
        let _aborted = self.task.await;
        let gone = ReplicaBeat { state: ReplicaState::Gone, ..self.beat };
        let said = self.store.ask_within(LAST_MAX, |plans| plans.replica_beat(&gone)).await;
        if said.is_err() {
            tracing::debug!("the store did not hear that scheduler {} ended", gone.id);
        }
    }
}

/// What a beat needs.
struct HeartbeatTask {
    store: Timed<dyn Plans>,
    turns: Turns,
}

impl HeartbeatTask {
    async fn run(self, mut beat: ReplicaBeat, mut status: watch::Receiver<Status>) {
        loop {
            beat.epoch = status.borrow_and_update().epoch;
            beat.state = if beat.epoch.is_some() { ReplicaState::Leader } else { ReplicaState::Standby };
            (beat.turned_ago, beat.trouble) = (self.turns.turned_ago(), self.turns.planner_trouble());
            let told = self.store.ask(|plans| plans.replica_beat(&beat)).await;
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
