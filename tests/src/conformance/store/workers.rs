//! Workers, their leases and what is lost with them.

use std::sync::Arc;
use std::time::Duration;

use rota_core::id::{QueueName, WorkerId};
use rota_core::port::{Batch, Beat, BeatReply, QueueCapacity, Store, WorkerState};
use rota_core::state::TaskState;

use super::super::until;
use super::world::{Hands, LONG, World, assert_conflict, hello};

fn beat(hands: &Hands, state: WorkerState, lease: Duration) -> Beat {
    Beat {
        worker: hands.worker.clone(),
        incarnation: hands.incarnation,
        running: 1,
        state,
        trouble: None,
        lease,
    }
}

pub async fn a_new_incarnation_kills_the_one_before(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (old, claimed) = world.running("w").await;
    let bystander = world.worker("other").await;
    let new = world.worker("w").await;
    assert!(new.incarnation > old.incarnation);
    assert_eq!(store.worker_beat(&beat(&old, WorkerState::Live, LONG)).await.unwrap(), BeatReply::Fenced);
    for live in [&new, &bystander] {
        let reply = store.worker_beat(&beat(live, WorkerState::Live, LONG)).await.unwrap();
        assert_eq!(reply, BeatReply::Live { cancel: vec![], drain: false });
    }
    let reaped = store.workers_reap(world.epoch).await.unwrap();
    assert_eq!((reaped.dead, reaped.lost), (vec![], vec![claimed.key]));
    let finish = world.finish_of(&claimed, TaskState::Success);
    assert_eq!(
        store.tasks_finish(&[finish]).await.unwrap(),
        vec![],
        "its outcome still counts until it is given up"
    );
}

pub async fn a_lease_that_runs_out_is_reaped_and_its_attempts_are_lost_until_dealt_with(
    store: Arc<dyn Store>,
) {
    let world = World::begin(Arc::clone(&store)).await;
    let (hands, claimed) = world.running("w").await;
    let short = Duration::from_millis(20);
    store.worker_beat(&beat(&hands, WorkerState::Live, short)).await.unwrap();
    let reaped = until("the lease to run out", async || {
        let reaped = store.workers_reap(world.epoch).await.unwrap();
        (!reaped.dead.is_empty()).then_some(reaped)
    });
    let reaped = reaped.await;
    assert_eq!((reaped.dead, reaped.lost), (vec![WorkerId::trusted("w")], vec![claimed.key]));
    assert_eq!(store.worker_beat(&beat(&hands, WorkerState::Live, LONG)).await.unwrap(), BeatReply::Fenced);
    let again = store.workers_reap(world.epoch).await.unwrap();
    assert_eq!(
        (again.dead, again.lost),
        (vec![], vec![claimed.key]),
        "named again until a batch has dealt with it"
    );
    let lost_for_good = vec![(claimed.key, "lost".to_owned())];
    world.commit(Batch { lost_for_good, ..Batch::default() }).await.unwrap();
    assert_eq!(store.workers_reap(world.epoch).await.unwrap().lost, vec![]);
}

pub async fn a_beat_keeps_a_worker_alive_and_brings_its_cancels(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (hands, claimed) = world.running("w").await;
    let (other, _) = world.running("other").await;
    let before = store.view_workers().await.unwrap();
    let cancels = vec![(claimed.key.task, "cancelled by admin".to_owned())];
    world.commit(Batch { cancels, ..Batch::default() }).await.unwrap();
    let reply = store.worker_beat(&beat(&hands, WorkerState::Live, LONG)).await.unwrap();
    assert_eq!(reply, BeatReply::Live { cancel: vec![claimed.key], drain: false });
    let reply = store.worker_beat(&beat(&other, WorkerState::Live, LONG)).await.unwrap();
    assert_eq!(reply, BeatReply::Live { cancel: vec![], drain: false });
    let row = store.view_workers().await.unwrap().into_iter().find(|row| row.id == hands.worker).unwrap();
    let earlier = before.into_iter().find(|row| row.id == hands.worker).unwrap();
    assert!(row.heartbeat_at > earlier.heartbeat_at && row.started_at == earlier.started_at);
    assert_eq!((row.running, row.state, row.slots, row.pid), (1, WorkerState::Live, 4, 42));
    assert_eq!((row.queues, row.labels), (hello("w", LONG).queues, hello("w", LONG).labels));
    world.finish(&claimed, TaskState::Cancelled).await;
    let reply = store.worker_beat(&beat(&hands, WorkerState::Live, LONG)).await.unwrap();
    assert_eq!(reply, BeatReply::Live { cancel: vec![], drain: false });
}

pub async fn a_worker_that_left_loses_what_it_ran(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (hands, claimed) = world.running("w").await;
    let reply = store.worker_beat(&beat(&hands, WorkerState::Gone, LONG)).await.unwrap();
    assert_eq!(reply, BeatReply::Live { cancel: vec![], drain: false });
    let reaped = store.workers_reap(world.epoch).await.unwrap();
    assert_eq!((reaped.dead, reaped.lost), (vec![], vec![claimed.key]));
    assert_eq!(store.worker_beat(&beat(&hands, WorkerState::Live, LONG)).await.unwrap(), BeatReply::Fenced);
    assert_eq!(store.view_workers().await.unwrap()[0].state, WorkerState::Gone);
}

pub async fn a_draining_worker_claims_nothing_and_offers_nothing(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (hands, claimed) = world.running("w").await;
    let keys = world.queued(1).await;
    store.worker_beat(&beat(&hands, WorkerState::Draining, LONG)).await.unwrap();
    assert_conflict(store.tasks_claim(&world.request_of(&hands, &keys)).await);
    let reaped = store.workers_reap(world.epoch).await.unwrap();
    assert_eq!((reaped.lost, reaped.capacity), (vec![], vec![]));
    world.finish(&claimed, TaskState::Success).await;
}

pub async fn capacity_is_counted_by_queue(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    world.worker("one").await;
    let gpu = rota_core::port::WorkerHello {
        queues: vec![QueueName::trusted("gpu")],
        slots: 2,
        ..hello("gpu", LONG)
    };
    store.worker_register(&gpu).await.unwrap();
    world.worker("two").await;
    let capacity = store.workers_reap(world.epoch).await.unwrap().capacity;
    let of = |queue: &str, slots, workers| QueueCapacity { queue: QueueName::trusted(queue), slots, workers };
    assert_eq!(capacity, vec![of("default", 8, 2), of("gpu", 2, 1), of("noop", 8, 2)]);
}

pub async fn a_worker_that_cannot_start_tasks_says_why_and_offers_nothing(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let hands = world.worker("w").await;
    let trouble = Some("no descriptors: \u{1F4A5} 'x' \"y\"".to_owned());
    for trouble in [trouble, None] {
        let beat = Beat { trouble: trouble.clone(), ..beat(&hands, WorkerState::Live, LONG) };
        store.worker_beat(&beat).await.unwrap();
        let workers = store.view_workers().await.unwrap();
        assert_eq!((&workers[0].trouble, workers[0].state), (&trouble, WorkerState::Live));
        assert_eq!(workers[0].takes_tasks(), trouble.is_none());
        let offered = store.workers_reap(world.epoch).await.unwrap().capacity;
        assert_eq!(offered.is_empty(), trouble.is_some(), "{offered:?}");
    }
}
