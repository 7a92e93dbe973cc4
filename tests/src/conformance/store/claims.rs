//! A worker's side of an attempt.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::TimeDelta;
use rota_core::id::{ClaimToken, DagId, DagVersion, Incarnation, QueueName, TaskKey, TaskNo, WorkerId};
use rota_core::port::{
    Batch, Claimed, Finish, GivingBack, LogChunk, NewRun, Object, QueuedTask, Store, TaskRow,
};
use rota_core::state::TaskState;

use super::world::{Hands, World, assert_conflict, assert_refused};

pub async fn queued_attempts_come_by_priority_then_age(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let run = world.run().await;
    let task = |no: u32, queue: &str, priority, age| QueuedTask {
        queue: QueueName::trusted(queue),
        priority,
        at: world.at - TimeDelta::seconds(age),
        ..world.queue_of(TaskKey::single(run, TaskNo(no)).attempt(1))
    };
    let queues = vec![
        task(0, "a", 0, 10),
        task(1, "b", 5, 1),
        task(2, "a", 5, 2),
        task(3, "c", 9, 9),
        task(4, "a", -1, 99),
    ];
    world.commit(Batch { queues, ..Batch::default() }).await.unwrap();
    let both = [QueueName::trusted("a"), QueueName::trusted("b")];
    let order =
        |keys: Vec<rota_core::id::AttemptKey>| keys.iter().map(|key| key.task.task.0).collect::<Vec<_>>();
    assert_eq!(order(store.tasks_queued(&both, 10).await.unwrap()), [2, 1, 0, 4]);
    assert_eq!(order(store.tasks_queued(&both, 2).await.unwrap()), [2, 1]);
    assert_eq!(order(store.tasks_queued(&[], 10).await.unwrap()), [0_u32; 0]);
}

pub async fn a_claim_carries_what_its_attempt_needs(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let params: Object =
        [("region".to_owned(), "eu".into()), ("n".to_owned(), 3.into())].into_iter().collect();
    let new = NewRun { params, ..world.new_run() };
    let runs = vec![new.clone()];
    let run = world.commit(Batch { runs, ..Batch::default() }).await.unwrap().runs[0];
    let keys =
        [TaskKey { run, task: TaskNo(1), index: 2 }.attempt(1), TaskKey::single(run, TaskNo(0)).attempt(1)];
    let queues = keys.iter().map(|key| world.queue_of(*key)).collect();
    world.commit(Batch { queues, ..Batch::default() }).await.unwrap();
    let hands = world.worker("w").await;
    let claimed = world.claim(&hands, &keys).await;
    assert_eq!(claimed.len(), 2);
    let one = claimed.iter().find(|one| one.key == keys[0]).unwrap();
    assert_eq!((one.name.as_str(), one.dag.as_str(), one.path.as_str()), ("t1", "d", "d.yaml"));
    assert_eq!(
        (one.version, one.slot, one.interval_start),
        (DagVersion(1), Some(new.slot), new.interval_start)
    );
    assert_eq!(one.params, new.params);
    let row = world.task(keys[0].task).await;
    assert_eq!(
        (row.state, row.worker, row.incarnation),
        (TaskState::Running, Some(hands.worker), Some(hands.incarnation))
    );
    assert!(row.started_at >= row.queued_at);
}

pub async fn one_of_forty_claims_wins(store: Arc<dyn Store>) {
    let world = Arc::new(World::begin(Arc::clone(&store)).await);
    let keys = world.queued(3).await;
    let mut workers = Vec::new();
    for number in 0..40 {
        workers.push(world.worker(&format!("w{number}")).await);
    }
    let claims: Vec<_> = workers
        .into_iter()
        .map(|hands| {
            let (world, keys) = (Arc::clone(&world), keys.clone());
            tokio::spawn(async move { world.claim(&hands, &keys).await })
        })
        .collect();
    let mut winners = Vec::new();
    for claim in claims {
        winners.extend(claim.await.unwrap());
    }
    assert_eq!(winners.len(), 3, "each attempt has one winner");
    assert_eq!(winners.iter().map(|one| one.key).collect::<HashSet<_>>().len(), 3);
    assert_eq!(winners.iter().map(|one| one.token).collect::<HashSet<_>>().len(), 3);
}

pub async fn a_claim_needs_a_live_lease(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let keys = world.queued(1).await;
    let old = world.worker("w").await;
    let hands = world.worker("w").await;
    let unknown = Hands { worker: hands.worker.clone(), incarnation: Incarnation(hands.incarnation.0 + 9) };
    let stranger = Hands { worker: WorkerId::trusted("x"), incarnation: hands.incarnation };
    for refused in [&old, &unknown, &stranger] {
        assert_conflict(store.tasks_claim(&world.request_of(refused, &keys)).await);
    }
    let expired = std::time::Duration::ZERO;
    let incarnation = store.worker_register(&super::world::hello("late", expired)).await.unwrap();
    let late = Hands { worker: WorkerId::trusted("late"), incarnation };
    assert_conflict(store.tasks_claim(&world.request_of(&late, &keys)).await);
    assert_eq!(world.task(keys[0].task).await.state, TaskState::Queued);
    assert_eq!(world.claim(&hands, &keys).await.len(), 1);
}

pub async fn a_claim_leaves_out_what_is_not_queued(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let keys = world.queued(2).await;
    let hands = world.worker("w").await;
    world.claim(&hands, &keys[..1]).await;
    let missing = TaskKey::single(keys[0].task.run, TaskNo(50)).attempt(1);
    let asked = [keys[0], keys[1].task.attempt(2), missing, keys[1]];
    let claimed: Vec<_> = world.claim(&hands, &asked).await.iter().map(|one| one.key).collect();
    assert_eq!(claimed, vec![keys[1]]);
    assert_eq!(world.claim(&hands, &[]).await, vec![]);
}

pub async fn a_claim_repeated_with_its_nonce_answers_the_same(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let keys = world.queued(3).await;
    let hands = world.worker("w").await;
    let request = world.request_of(&hands, &keys);
    let first = store.tasks_claim(&request).await.unwrap();
    assert_eq!(first.len(), 3);
    assert_eq!(store.tasks_claim(&request).await.unwrap(), first);
}

pub async fn another_nonce_gets_nothing_of_it(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let keys = world.queued(1).await;
    let hands = world.worker("w").await;
    assert_eq!(world.claim(&hands, &keys).await.len(), 1);
    assert_eq!(world.claim(&hands, &keys).await, vec![]);
}

pub async fn claim_tokens_grow(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let keys = world.queued(4).await;
    let hands = world.worker("w").await;
    let mut last = ClaimToken(0);
    for pair in keys.chunks(2) {
        for claimed in world.claim(&hands, pair).await {
            assert!(claimed.token > last);
            last = claimed.token;
        }
    }
}

pub async fn a_finish_records_the_outcome(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (_, claimed) = world.running("w").await;
    let finish = Finish {
        exit_code: None,
        signal: Some(9),
        error: Some("killed: \"time limit\" \u{1F4A5}\n".to_owned()),
        outputs: Some([("rows".to_owned(), "12".into())].into_iter().collect()),
        ..world.finish_of(&claimed, TaskState::Failed)
    };
    assert_eq!(store.tasks_finish(std::slice::from_ref(&finish)).await.unwrap(), vec![]);
    let row = world.task(claimed.key.task).await;
    assert_eq!((row.state, row.exit_code, row.signal), (TaskState::Failed, None, Some(9)));
    assert_eq!((row.error, row.outputs), (finish.error, finish.outputs));
    assert!(row.finished_at >= row.started_at && row.finished_at.unwrap() <= store.now().await.unwrap());
}

pub async fn a_finish_with_a_wrong_token_is_late(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (_, claimed) = world.running("w").await;
    let right = world.finish_of(&claimed, TaskState::Success);
    let wrong = Finish { token: ClaimToken(claimed.token.0 + 1), ..right.clone() };
    let other_attempt = Finish { key: claimed.key.task.attempt(2), ..right.clone() };
    assert_eq!(store.tasks_finish(&[wrong, other_attempt]).await.unwrap().len(), 2);
    assert_eq!(world.task(claimed.key.task).await.state, TaskState::Running);
    assert_eq!(store.tasks_finish(&[right]).await.unwrap(), vec![]);
}

pub async fn a_finish_repeated_is_harmless_and_not_late(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (_, claimed) = world.running("w").await;
    let finish = [world.finish_of(&claimed, TaskState::Success)];
    assert_eq!(store.tasks_finish(&finish).await.unwrap(), vec![]);
    let row = world.task(claimed.key.task).await;
    assert_eq!(store.tasks_finish(&finish).await.unwrap(), vec![]);
    assert_eq!(world.task(claimed.key.task).await, row);
}

pub async fn a_finish_repeated_after_a_retry_was_planned_is_not_late(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (_, claimed) = world.running("w").await;
    let finish = [world.finish_of(&claimed, TaskState::Failed)];
    store.tasks_finish(&finish).await.unwrap();
    let retries = vec![world.retry_of(claimed.key)];
    world.commit(Batch { retries, ..Batch::default() }).await.unwrap();
    assert_eq!(store.tasks_finish(&finish).await.unwrap(), vec![]);
    let requeues = vec![world.queue_of(claimed.key.task.attempt(2))];
    world.commit(Batch { requeues, ..Batch::default() }).await.unwrap();
    assert_eq!(store.tasks_finish(&finish).await.unwrap(), vec![]);
    let row = world.task(claimed.key.task).await;
    assert_eq!((row.state, row.attempt), (TaskState::Queued, 2));
}

pub async fn a_second_outcome_is_late_and_changes_nothing(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (_, claimed) = world.running("w").await;
    world.finish(&claimed, TaskState::Success).await;
    let row = world.task(claimed.key.task).await;
    let other = world.finish_of(&claimed, TaskState::Failed);
    let later = Finish {
        ended_at: world.at + TimeDelta::seconds(9),
        ..world.finish_of(&claimed, TaskState::Success)
    };
    assert_eq!(store.tasks_finish(&[other]).await.unwrap(), vec![claimed.key]);
    assert_eq!(store.tasks_finish(&[later]).await.unwrap(), vec![claimed.key]);
    assert_eq!(world.task(claimed.key.task).await, row);
}

pub async fn a_finish_after_the_attempt_was_given_up_is_late(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (_, claimed) = world.running("w").await;
    let lost_for_good = vec![(claimed.key, "lost".to_owned())];
    world.commit(Batch { lost_for_good, ..Batch::default() }).await.unwrap();
    let row = world.task(claimed.key.task).await;
    for state in [TaskState::Success, TaskState::Failed, TaskState::Cancelled] {
        let late = store.tasks_finish(&[world.finish_of(&claimed, state)]).await.unwrap();
        assert_eq!(late, vec![claimed.key], "{state}");
    }
    let error = Some("lost; its result came too late: success".to_owned());
    assert_eq!(world.task(claimed.key.task).await, TaskRow { error, ..row });
}

pub async fn a_finish_needs_an_outcome(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (_, claimed) = world.running("w").await;
    assert_refused(store.tasks_finish(&[world.finish_of(&claimed, TaskState::Queued)]).await);
    assert_eq!(world.task(claimed.key.task).await.state, TaskState::Running);
}

pub async fn outputs_are_those_of_successes(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let keys = world.queued(4).await;
    let hands = world.worker("w").await;
    let claimed = world.claim(&hands, &keys).await;
    let outputs: Object = [("path".to_owned(), "a \"b\" 'c' \\ \u{7f}".into())].into_iter().collect();
    let with = |number: usize, state| Finish {
        outputs: Some(outputs.clone()),
        ..world.finish_of(&claimed[number], state)
    };
    let finishes = [
        with(0, TaskState::Success),
        with(1, TaskState::Failed),
        world.finish_of(&claimed[2], TaskState::Success),
        with(3, TaskState::Success),
    ];
    store.tasks_finish(&finishes).await.unwrap();
    let run = keys[0].task.run;
    let loaded = store.outputs_load(run, &[TaskNo(0), TaskNo(1), TaskNo(2)]).await.unwrap();
    assert_eq!(loaded, vec![(TaskNo(0), 0, outputs)]);
    assert_eq!(store.view_dag(&DagId::trusted("d")).await.unwrap().unwrap().version, DagVersion(1));
}

pub async fn log_chunks_are_read_in_order_and_kept_once(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (_, claimed) = world.running("w").await;
    let chunk = |seq: u32, text: &str| LogChunk { key: claimed.key, seq, text: text.to_owned() };
    let long = "2026-11-20T13:00:00.000000Z out 'é' \"\\\" \u{1b}[31m\n".repeat(1200);
    store.log_append(&[chunk(1, "one\n"), chunk(0, &long)]).await.unwrap();
    store.log_append(&[chunk(1, "another\n"), chunk(2, "two\n")]).await.unwrap();
    store.log_append(&[]).await.unwrap();
    let log = store.view_log(claimed.key, 0, 10).await.unwrap();
    assert_eq!(log, vec![chunk(0, &long), chunk(1, "one\n"), chunk(2, "two\n")]);
    assert_eq!(store.view_log(claimed.key.task.attempt(2), 0, 10).await.unwrap(), vec![]);
}

/// A NUL is the one character that not every database keeps.
pub async fn a_nul_is_replaced_and_cuts_nothing_off(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (_, claimed) = world.running("w").await;
    let chunk = LogChunk { key: claimed.key, seq: 0, text: "a\0b\n".to_owned() };
    store.log_append(&[chunk]).await.unwrap();
    assert_eq!(store.view_log(claimed.key, 0, 1).await.unwrap()[0].text, "a\u{FFFD}b\n");
    let outputs: Object = [("key".to_owned(), "a\0b".into())].into_iter().collect();
    let finish = Finish {
        error: Some("x\0y".to_owned()),
        outputs: Some(outputs.clone()),
        ..world.finish_of(&claimed, TaskState::Failed)
    };
    store.tasks_finish(&[finish]).await.unwrap();
    let row = world.task(claimed.key.task).await;
    assert_eq!((row.error.as_deref(), row.outputs), (Some("x\u{FFFD}y"), Some(outputs)));
}

fn giving(hands: &Hands, claims: &[&Claimed]) -> GivingBack {
    GivingBack {
        worker: hands.worker.clone(),
        incarnation: hands.incarnation,
        claims: claims.iter().map(|claimed| (claimed.key, claimed.token)).collect(),
    }
}

pub async fn what_was_given_back_is_claimed_again_as_the_same_attempt(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (hands, claimed) = world.running("w").await;
    let queued = world.task(claimed.key.task).await.queued_at;
    for _again in 0..2 {
        assert_eq!(store.tasks_give_back(&giving(&hands, &[&claimed])).await.unwrap(), vec![]);
    }
    let row = world.task(claimed.key.task).await;
    assert_eq!((row.state, row.attempt, row.queued_at), (TaskState::Queued, 1, queued));
    assert_eq!((row.worker, row.incarnation, row.started_at), (None, None, None));
    assert_eq!((row.failures, row.losses), (0, 0));
    let others = world.worker("other").await;
    let again = world.claim(&others, &[claimed.key]).await;
    assert_eq!(again.iter().map(|claimed| claimed.key).collect::<Vec<_>>(), vec![claimed.key]);
    assert!(again[0].token > claimed.token);
    // The first claim is worth nothing any more.
    assert_eq!(store.tasks_give_back(&giving(&hands, &[&claimed])).await.unwrap(), vec![]);
    let late = store.tasks_finish(&[world.finish_of(&claimed, TaskState::Failed)]).await.unwrap();
    assert_eq!(late, vec![claimed.key]);
    assert_eq!(world.task(claimed.key.task).await.state, TaskState::Running);
    world.finish(&again[0], TaskState::Success).await;
    assert_eq!(world.task(claimed.key.task).await.state, TaskState::Success);
}

pub async fn an_attempt_that_is_to_be_ended_stays_with_its_worker(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (hands, claimed) = world.running("w").await;
    let cancels = vec![(claimed.key.task, "cancelled".to_owned())];
    world.commit(Batch { cancels, ..Batch::default() }).await.unwrap();
    for _again in 0..2 {
        let kept = store.tasks_give_back(&giving(&hands, &[&claimed])).await.unwrap();
        assert_eq!(kept, vec![claimed.key]);
    }
    assert_eq!(world.task(claimed.key.task).await.state, TaskState::Running);
    world.finish(&claimed, TaskState::Cancelled).await;
    assert_eq!(store.tasks_give_back(&giving(&hands, &[&claimed])).await.unwrap(), vec![]);
    assert_eq!(world.task(claimed.key.task).await.state, TaskState::Cancelled);
}

pub async fn a_life_that_was_given_up_gives_nothing_back(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (hands, claimed) = world.running("w").await;
    let _new = world.worker("w").await;
    assert_conflict(store.tasks_give_back(&giving(&hands, &[&claimed])).await);
    assert_eq!(store.workers_reap(world.epoch).await.unwrap().lost, vec![claimed.key]);
}
