//! Another go: a person's retry, and attempts that were lost with their worker.

use std::sync::Arc;

use rota_core::id::{TaskKey, TaskNo};
use rota_core::port::{Batch, Claimed, Finish, PlannedRetry, Store};
use rota_core::state::TaskState;

use super::world::{Hands, World, assert_conflict};

pub async fn a_cleared_task_waits_and_counts_on(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (hands, claimed) = world.running("w").await;
    let task = claimed.key.task;
    world.finish(&claimed, TaskState::Failed).await;
    world.commit(Batch { clears: vec![claimed.key], ..Batch::default() }).await.unwrap();
    let waits = world.task(task).await;
    assert_eq!((waits.state, waits.attempt, waits.failures), (TaskState::Waiting, 1, 0));
    assert_eq!((waits.error, waits.exit_code, waits.worker), (None, None, None));
    assert_eq!((waits.queued_at, waits.started_at, waits.finished_at), (None, None, None));
    let attempts = store.view_attempts(task).await.unwrap();
    assert_eq!(
        attempts.iter().map(|row| (row.attempt, row.state)).collect::<Vec<_>>(),
        [(1, TaskState::Failed)]
    );

    let queue = |attempt| {
        let queues = vec![world.queue_of(task.attempt(attempt))];
        world.commit(Batch { queues, ..Batch::default() })
    };
    assert_conflict(queue(1).await);
    assert_conflict(queue(3).await);
    queue(2).await.unwrap();
    let again = world.claim(&hands, &[task.attempt(2)]).await.remove(0);
    world.finish(&again, TaskState::Success).await;
    let attempts = store.view_attempts(task).await.unwrap();
    let seen: Vec<_> = attempts.iter().map(|row| (row.attempt, row.state)).collect();
    assert_eq!(seen, [(1, TaskState::Failed), (2, TaskState::Success)]);
}

pub async fn a_clear_needs_a_terminal_attempt(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let clear = |key| world.commit(Batch { clears: vec![key], ..Batch::default() });
    let queued = world.queued(1).await[0];
    assert_conflict(clear(queued).await);
    let (_, claimed) = world.running("w").await;
    assert_conflict(clear(claimed.key).await);
    world.finish(&claimed, TaskState::Success).await;
    assert_conflict(clear(claimed.key.task.attempt(2)).await);
    clear(claimed.key).await.unwrap();
    assert_conflict(clear(claimed.key).await);
}

pub async fn a_cleared_task_that_is_settled_and_cleared_again_counts_on(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (hands, claimed) = world.running("w").await;
    let task = claimed.key.task;
    let clear = |key| world.commit(Batch { clears: vec![key], ..Batch::default() });
    let settle = |key| {
        let ends_without_attempt = vec![world.settle_of(key, TaskState::UpstreamFailed)];
        world.commit(Batch { ends_without_attempt, ..Batch::default() })
    };
    world.finish(&claimed, TaskState::Success).await;
    clear(claimed.key).await.unwrap();
    settle(task).await.unwrap();
    assert_eq!(world.task(task).await.state, TaskState::UpstreamFailed);
    let attempts = store.view_attempts(task).await.unwrap();
    assert_eq!(
        attempts.iter().map(|row| (row.attempt, row.state)).collect::<Vec<_>>(),
        [(1, TaskState::Success)]
    );
    clear(claimed.key).await.unwrap();
    let queues = vec![world.queue_of(task.attempt(2))];
    world.commit(Batch { queues, ..Batch::default() }).await.unwrap();
    assert_eq!(world.claim(&hands, &[task.attempt(2)]).await.len(), 1);

    let never = TaskKey::single(task.run, TaskNo(7));
    settle(never).await.unwrap();
    clear(never.attempt(0)).await.unwrap();
    assert_eq!(store.view_attempts(never).await.unwrap(), vec![]);
    let queues = vec![world.queue_of(never.attempt(1))];
    world.commit(Batch { queues, ..Batch::default() }).await.unwrap();
    assert_eq!(store.view_attempts(never).await.unwrap().len(), 1);
}

pub async fn a_lost_attempt_is_followed_by_another(store: Arc<dyn Store>) {
    let (world, claimed) = lost(&store).await;
    let waits = world.task(claimed.key.task).await;
    assert_eq!((waits.state, waits.failures, waits.losses), (TaskState::UpForRetry, 0, 1));
    assert!(waits.finished_at.is_some());
    let requeues = vec![world.queue_of(claimed.key.task.attempt(2))];
    world.commit(Batch { requeues, ..Batch::default() }).await.unwrap();
    let attempts = store.view_attempts(claimed.key.task).await.unwrap();
    assert_eq!((attempts[0].state, attempts[1].state), (TaskState::Failed, TaskState::Queued));
    assert_eq!(attempts[0].error.as_deref(), Some("the worker was lost"));
    assert_eq!(attempts[1].losses, 1);
    let late = store.tasks_finish(&[world.finish_of(&claimed, TaskState::Failed)]).await.unwrap();
    assert_eq!(late, vec![claimed.key]);
    let attempts = store.view_attempts(claimed.key.task).await.unwrap();
    assert_eq!(attempts[0].error.as_deref(), Some("the worker was lost; its result came too late: failed"));
    assert_eq!((attempts[0].state, attempts[1].error.as_deref()), (TaskState::Failed, None));
}

/// A task whose first attempt was lost and is to be followed by another.
async fn lost(store: &Arc<dyn Store>) -> (World, Claimed) {
    let world = World::begin(Arc::clone(store)).await;
    let (_, claimed) = world.running("w").await;
    let error = Some("the worker was lost".to_owned());
    let retry = PlannedRetry { failures: 0, losses: 1, error, retry_at: world.at, key: claimed.key };
    world.commit(Batch { retries: vec![retry], ..Batch::default() }).await.unwrap();
    (world, claimed)
}

/// The same, with the other attempt queued, and a worker that may claim it.
async fn lost_and_queued(store: &Arc<dyn Store>) -> (World, Claimed, Hands) {
    let (world, claimed) = lost(store).await;
    let hands = world.worker("other").await;
    let requeues = vec![world.queue_of(claimed.key.task.attempt(2))];
    world.commit(Batch { requeues, ..Batch::default() }).await.unwrap();
    (world, claimed, hands)
}

fn with_outputs(finish: Finish) -> Finish {
    let outputs = Some([("rows".to_owned(), "12".into())].into_iter().collect());
    Finish { outputs, exit_code: Some(0), ..finish }
}

pub async fn a_late_success_counts_before_the_next_attempt_is_planned(store: Arc<dyn Store>) {
    let (world, claimed) = lost(&store).await;
    let finish = with_outputs(world.finish_of(&claimed, TaskState::Success));
    for _again in 0..2 {
        assert_eq!(store.tasks_finish(std::slice::from_ref(&finish)).await.unwrap(), vec![]);
        let row = world.task(claimed.key.task).await;
        assert_eq!((row.state, row.attempt, row.exit_code), (TaskState::Success, 1, Some(0)));
        assert_eq!((row.outputs, row.retry_at), (finish.outputs.clone(), None));
        assert_eq!(row.error.as_deref(), Some("the worker was lost; its result came late and counts"));
    }
    let requeues = vec![world.queue_of(claimed.key.task.attempt(2))];
    assert_conflict(world.commit(Batch { requeues, ..Batch::default() }).await);
}

pub async fn a_late_success_counts_until_the_next_attempt_is_claimed(store: Arc<dyn Store>) {
    let (world, claimed, hands) = lost_and_queued(&store).await;
    let next = claimed.key.task.attempt(2);
    let finish = with_outputs(world.finish_of(&claimed, TaskState::Success));
    for _again in 0..2 {
        assert_eq!(store.tasks_finish(std::slice::from_ref(&finish)).await.unwrap(), vec![]);
        let attempts = store.view_attempts(claimed.key.task).await.unwrap();
        let seen: Vec<_> = attempts.iter().map(|row| (row.state, row.error.as_deref().unwrap())).collect();
        let first = "the worker was lost; its result came late and counts: success";
        let second = "never started: the result of attempt 1 came late and counts";
        assert_eq!(seen, [(TaskState::Failed, first), (TaskState::Success, second)]);
        assert_eq!((&attempts[1].outputs, attempts[1].exit_code), (&finish.outputs, Some(0)));
    }
    assert_eq!(world.claim(&hands, &[next]).await, vec![]);
}

pub async fn a_late_success_does_not_count_once_the_next_attempt_runs(store: Arc<dyn Store>) {
    let (world, claimed, hands) = lost_and_queued(&store).await;
    let next = claimed.key.task.attempt(2);
    let second = world.claim(&hands, &[next]).await.remove(0);
    let late = store.tasks_finish(&[world.finish_of(&claimed, TaskState::Success)]).await.unwrap();
    assert_eq!(late, vec![claimed.key]);
    let attempts = store.view_attempts(claimed.key.task).await.unwrap();
    assert_eq!(attempts[0].error.as_deref(), Some("the worker was lost; its result came too late: success"));
    assert_eq!(attempts[1].state, TaskState::Running);
    world.finish(&second, TaskState::Success).await;
}

pub async fn a_late_success_does_not_count_for_what_a_person_asked_for(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (_, claimed) = world.running("w").await;
    let lost_for_good = vec![(claimed.key, "lost".to_owned())];
    world.commit(Batch { lost_for_good, ..Batch::default() }).await.unwrap();
    world.commit(Batch { clears: vec![claimed.key], ..Batch::default() }).await.unwrap();
    let queues = vec![world.queue_of(claimed.key.task.attempt(2))];
    world.commit(Batch { queues, ..Batch::default() }).await.unwrap();
    let late = store.tasks_finish(&[world.finish_of(&claimed, TaskState::Success)]).await.unwrap();
    assert_eq!(late, vec![claimed.key]);
    assert_eq!(world.task(claimed.key.task).await.state, TaskState::Queued);
}

pub async fn an_aborted_attempt_counts_as_a_loss(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (_, claimed) = world.running("w").await;
    let abort = || {
        let lost_for_good = vec![(claimed.key, "the worker was lost; on_lost: fail".to_owned())];
        world.commit(Batch { lost_for_good, ..Batch::default() })
    };
    abort().await.unwrap();
    let row = world.task(claimed.key.task).await;
    assert_eq!((row.state, row.failures, row.losses), (TaskState::Failed, 0, 1));
    assert_eq!(row.error.as_deref(), Some("the worker was lost; on_lost: fail"));
    assert!(row.finished_at.is_some());
    assert_conflict(abort().await);
}
