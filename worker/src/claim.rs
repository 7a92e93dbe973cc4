//! From a message, or a look at the store, to running attempts: claim in one transaction, acknowledge, start.

use std::sync::Arc;
use std::time::Duration;

use rota_core::dag::{Action, Cost};
use rota_core::failpoint;
use rota_core::id::{AttemptKey, QueueName};
use rota_core::port::{BrokerError, Change, ClaimRequest, Claimed, Consumer, Delivery};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;

use crate::attempt;
use crate::life::Life;
use crate::patience::{Backoff, answered};
use crate::ringer::News;

/// Attempts without a cost claimed at a time.
const FREE_TOGETHER_MAX: usize = 1024;
/// Attempts that need a slot claimed at a time, however many are free.
const SLOTS_TOGETHER_MAX: usize = 256;
/// How long freed slots gather when all were taken.
const GATHER: Duration = Duration::from_millis(1);
/// How often the store is looked at while the broker is away.
const POLL_AWAY: Duration = Duration::from_millis(250);
/// Before a broken subscription is made anew.
const RESUBSCRIBE: Duration = Duration::from_millis(500);

/// Which attempts a loop claims: those of one cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claims(pub(crate) Cost);

impl Claims {
    fn queues(self, life: &Life) -> Vec<QueueName> {
        match self.0 {
            Cost::Slot => life.shared.options.queues.clone(),
            Cost::Nothing => vec![QueueName::trusted(QueueName::NOOP)],
        }
    }

    /// How much may be claimed now without waiting.
    fn free(self, life: &Life) -> usize {
        match self.0 {
            Cost::Slot => life.shared.slots.available_permits().min(SLOTS_TOGETHER_MAX),
            Cost::Nothing => FREE_TOGETHER_MAX,
        }
    }

    /// Waits until something may be claimed: how much.
    async fn room(self, life: &Life) -> usize {
        let slots = &life.shared.slots;
        match self.0 {
            Cost::Slot => {
                if slots.available_permits() == 0 {
                    // All slots were taken: short tasks end in quick succession, and claiming several at once costs hardly
                    // more than claiming one.
                    drop(slots.acquire().await);
                    sleep(GATHER).await;
                }
                let first = slots.acquire().await;
                let free = slots.available_permits() + usize::from(first.is_ok());
                free.min(SLOTS_TOGETHER_MAX)
            }
            Cost::Nothing => FREE_TOGETHER_MAX,
        }
    }

    /// What `count` such attempts need to run.
    async fn slots(self, life: &Life, count: usize) -> Option<OwnedSemaphorePermit> {
        match self.0 {
            Cost::Slot => {
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                life.shared.slots.clone().acquire_many_owned(count).await.ok()
            }
            Cost::Nothing => None,
        }
    }
}

/// Claims what arrives, until nothing more is to be claimed. Subscribes again whenever the subscription breaks.
pub(crate) async fn consume(life: Arc<Life>, claims: Claims) {
    while !life.claiming.is_cancelled() {
        tokio::select! {
            () = life.shared.readiness.well() => {}
            () = life.claiming.cancelled() => return,
        }
        if let Err(error) = consume_once(&life, claims).await {
            if !life.shared.ringer.is_broker_away() {
                tracing::warn!("the broker is away, looking for tasks in the store instead: {error}");
            }
            life.shared.ringer.set_broker_away(true);
            sleep(RESUBSCRIBE).await;
        }
    }
}

/// One subscription. Stops only between two batches: a claim that is committed has to be run.
async fn consume_once(life: &Arc<Life>, claims: Claims) -> Result<(), BrokerError> {
    let queues = claims.queues(life);
    let mut consumer = tokio::select! {
        consumer = life.shared.ports.broker.consume(&queues) => consumer?,
        () = life.claiming.cancelled() => return Ok(()),
    };
    life.shared.ringer.set_broker_away(false);
    loop {
        let arrived = async {
            let room = claims.room(life).await;
            consumer.next(room).await
        };
        let deliveries = tokio::select! {
            deliveries = arrived => deliveries?,
            () = life.claiming.cancelled() => return Ok(()),
            // What was delivered goes back with the subscription: to others, if there are any.
            () = life.shared.readiness.troubled() => return Ok(()),
        };
        if !life.shared.readiness.is_well() {
            return Ok(());
        }
        take(life, claims, consumer.as_mut(), deliveries).await?;
    }
}

/// Claims deliveries, acknowledges them, starts what was claimed.
async fn take(
    life: &Arc<Life>,
    claims: Claims,
    consumer: &mut dyn Consumer,
    deliveries: Vec<Delivery>,
) -> Result<(), BrokerError> {
    if failpoint::is_on("ack-before-claim") {
        return consumer.ack(&deliveries.iter().map(|delivery| delivery.tag).collect::<Vec<_>>()).await;
    }
    let slots = claims.slots(life, deliveries.len()).await;
    let keys = deliveries.iter().map(|delivery| delivery.key).collect();
    // Without an answer they are not acknowledged; the broker delivers them again.
    let Some(claimed) = claim(life, keys).await else { return Ok(()) };
    let tags: Vec<u64> = deliveries.iter().map(|delivery| delivery.tag).collect();
    let acknowledged = consumer.ack(&tags).await;
    start(life, claimed, slots).await;
    acknowledged
}

/// Looks for queued attempts in the store: slowly, in case a message was lost; faster while the broker is away.
pub(crate) async fn poll(life: Arc<Life>) {
    if failpoint::is_on("sweep-off") || failpoint::is_on("ack-before-claim") {
        return;
    }
    loop {
        for claims in [Claims(Cost::Nothing), Claims(Cost::Slot)] {
            while !life.claiming.is_cancelled() && look(&life, claims).await {}
        }
        let is_away = life.shared.ringer.is_broker_away();
        let pause = if is_away { POLL_AWAY.min(life.shared.options.poll) } else { life.shared.options.poll };
        tokio::select! {
            () = sleep(pause) => {}
            () = life.claiming.cancelled() => return,
        }
    }
}

/// One look at the store. Whether there may be more.
async fn look(life: &Arc<Life>, claims: Claims) -> bool {
    if !life.shared.readiness.is_well() {
        return false;
    }
    let free = claims.free(life);
    if free == 0 {
        return false;
    }
    let queues = claims.queues(life);
    let keys = match answered(life.shared.ports.facts.tasks_queued(&queues, free)).await {
        Ok(keys) if keys.is_empty() => return false,
        Ok(keys) => keys,
        Err(error) => {
            tracing::debug!("cannot look for queued tasks: {error}");
            return false;
        }
    };
    let is_full = keys.len() >= free;
    let slots = claims.slots(life, keys.len()).await;
    let Some(claimed) = claim(life, keys).await else { return false };
    let is_progress = !claimed.is_empty();
    start(life, claimed, slots).await;
    is_full && is_progress
}

/// Claims attempts. `None` if it is not known what was claimed: then nothing may be started, and what was claimed is
/// lost with this life.
async fn claim(life: &Life, keys: Vec<AttemptKey>) -> Option<Vec<Claimed>> {
    let request = ClaimRequest {
        worker: life.shared.options.id.clone(),
        incarnation: life.incarnation,
        nonce: nonce(),
        keys,
    };
    let mut backoff = Backoff::default();
    loop {
        let error = match answered(life.shared.ports.facts.tasks_claim(&request)).await {
            // An answer that took too long is as bad as none: the others may have started the tasks elsewhere.
            Ok(claimed) => return Some(claimed).filter(|_| !life.is_over()),
            Err(error) if error.is_outage() => error.to_string(),
            Err(error) => {
                tracing::warn!("a claim was refused: {error}");
                life.beat_now.notify_one();
                sleep(POLL_AWAY).await;
                return None;
            }
        };
        tokio::select! {
            () = backoff.pause("claims", &error) => {}
            () = life.ended() => return None,
        }
    }
}

/// Starts what was claimed. `slots` has a permit for each.
async fn start(life: &Arc<Life>, claimed: Vec<Claimed>, mut slots: Option<OwnedSemaphorePermit>) {
    let mut changes = Vec::new();
    let mut ended = Vec::new();
    for claimed in claimed {
        let slot = slots.as_mut().and_then(|slots| slots.split(1));
        let change = Change::Run { run: claimed.key.task.run, dag: claimed.dag.clone() };
        if changes.last() != Some(&change) {
            changes.push(change);
        }
        if has_nothing_to_do(life, &claimed) {
            ended.push(attempt::nothing_done(life, &claimed));
        } else {
            let stopped = life.remember(claimed.key);
            life.attempts.spawn(attempt::run(life.clone(), claimed, slot, stopped));
        }
    }
    drop(slots);
    if !ended.is_empty() {
        // Fails only when the finisher is gone, that is after the worker.
        let _ = life.shared.finisher.send(ended).await;
    }
    life.shared.ringer.tell(News { changes, ..News::default() });
}

/// Whether the attempt is known to have nothing to do. One whose DAG is not at hand finds out by itself.
fn has_nothing_to_do(life: &Life, claimed: &Claimed) -> bool {
    life.shared.dags.at_hand(claimed).is_some_and(|dag| {
        let task = dag.tasks.get(claimed.key.task.task.place());
        task.is_some_and(|task| task.action == Action::Noop)
    })
}

fn nonce() -> u128 {
    let mut bytes = [0; 16];
    // Without the kernel's random numbers the process is of no use.
    getrandom::fill(&mut bytes).expect("the kernel gives random numbers");
    u128::from_ne_bytes(bytes)
}
