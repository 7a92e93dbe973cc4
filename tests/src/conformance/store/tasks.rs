//! What the leader does to tasks.

use std::sync::Arc;

use chrono::TimeDelta;
use rota_core::id::{AttemptKey, TaskKey, TaskNo};
use rota_core::port::{Batch, QueuedTask, Store};
use rota_core::state::TaskState;

use super::world::{World, assert_conflict};

pub async fn a_task_is_queued_once(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let key = world.queued(1).await[0];
    let before = world.task(key.task).await;
    assert_eq!((before.state, before.attempt, before.queued_at), (TaskState::Queued, 1, Some(world.at)));
    for attempt in [1, 2] {
        let queues = vec![world.queue_of(key.task.attempt(attempt))];
        assert_conflict(world.commit(Batch { queues, ..Batch::default() }).await);
    }
    assert_eq!(world.task(key.task).await, before);
}

pub async fn a_thousand_tasks_are_queued_claimed_and_finished_in_batches(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let keys = world.queued(1000).await;
    let hands = world.worker("w").await;
    let claimed = world.claim(&hands, &keys).await;
    assert_eq!(claimed.iter().map(|one| one.key).collect::<Vec<_>>(), keys);
    let finishes: Vec<_> = claimed.iter().map(|one| world.finish_of(one, TaskState::Success)).collect();
    assert_eq!(store.tasks_finish(&finishes).await.unwrap(), vec![]);
    let rows = store.tasks_of_runs(&[keys[0].task.run]).await.unwrap();
    assert_eq!(rows.len(), 1000);
    assert!(rows.iter().all(|row| row.state == TaskState::Success && row.attempt == 1));
    assert!(rows.is_sorted_by_key(|row| row.key));
}

pub async fn a_settled_task_ends_without_an_attempt(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let run = world.run().await;
    let states =
        [TaskState::Skipped, TaskState::UpstreamFailed, TaskState::Cancelled, TaskState::Failed].into_iter();
    let ends_without_attempt: Vec<_> =
        states.zip(0..).map(|(state, no)| world.settle_of(TaskKey::single(run, TaskNo(no)), state)).collect();
    world
        .commit(Batch { ends_without_attempt: ends_without_attempt.clone(), ..Batch::default() })
        .await
        .unwrap();
    for settled in &ends_without_attempt {
        let row = world.task(settled.key).await;
        assert_eq!((row.state, row.attempt, row.finished_at), (settled.state, 0, Some(world.at)));
        assert_eq!(row.error.as_deref(), Some("because"));
    }
    assert_conflict(world.commit(Batch { ends_without_attempt, ..Batch::default() }).await);
}

pub async fn a_failed_attempt_is_followed_by_another_and_kept(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (hands, claimed) = world.running("w").await;
    world.finish(&claimed, TaskState::Failed).await;
    let task = claimed.key.task;
    let retry = world.retry_of(claimed.key);
    world.commit(Batch { retries: vec![retry.clone()], ..Batch::default() }).await.unwrap();
    let waits = world.task(task).await;
    assert_eq!((waits.state, waits.attempt, waits.failures), (TaskState::UpForRetry, 1, 1));
    assert_eq!((waits.retry_at, waits.exit_code), (Some(retry.retry_at), Some(1)));
    assert!(waits.finished_at.is_some());

    let requeues = vec![world.queue_of(task.attempt(2))];
    world.commit(Batch { requeues, ..Batch::default() }).await.unwrap();
    let queued = world.task(task).await;
    assert_eq!((queued.state, queued.attempt, queued.failures), (TaskState::Queued, 2, 1));
    assert_eq!((queued.exit_code, &queued.error, &queued.worker), (None, &None, &None));
    assert_eq!((queued.started_at, queued.finished_at, queued.retry_at), (None, None, None));

    let again = world.claim(&hands, &[task.attempt(2)]).await.remove(0);
    world.finish(&again, TaskState::Success).await;
    let attempts = store.view_attempts(task).await.unwrap();
    let seen: Vec<_> = attempts.iter().map(|row| (row.attempt, row.state, row.exit_code)).collect();
    assert_eq!(seen, vec![(1, TaskState::Failed, Some(1)), (2, TaskState::Success, Some(0))]);
    assert_eq!(attempts[0].error.as_deref(), Some("exit code 1"));
    assert_eq!(attempts[0].worker, Some(hands.worker));
}

pub async fn a_retry_needs_that_attempt_to_have_failed(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (_, claimed) = world.running("w").await;
    let retry = |key| world.commit(Batch { retries: vec![world.retry_of(key)], ..Batch::default() });
    assert_conflict(retry(claimed.key.task.attempt(2)).await);
    world.finish(&claimed, TaskState::Success).await;
    assert_conflict(retry(claimed.key).await);
    let queued = world.queued(1).await[0];
    assert_conflict(retry(queued).await);
    assert_eq!(world.task(queued.task).await.state, TaskState::Queued);
}

pub async fn a_requeue_needs_the_next_number(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let (_, claimed) = world.running("w").await;
    world.finish(&claimed, TaskState::Failed).await;
    let requeue = |attempt| {
        let requeues = vec![world.queue_of(claimed.key.task.attempt(attempt))];
        world.commit(Batch { requeues, ..Batch::default() })
    };
    assert_conflict(requeue(2).await);
    let retries = vec![world.retry_of(claimed.key)];
    world.commit(Batch { retries, ..Batch::default() }).await.unwrap();
    assert_conflict(requeue(1).await);
    assert_conflict(requeue(3).await);
    requeue(2).await.unwrap();
    assert_conflict(requeue(2).await);
    assert_eq!(store.view_attempts(claimed.key.task).await.unwrap().len(), 2);
}

pub async fn a_cancel_ends_what_waits_and_asks_what_runs(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let keys = world.queued(4).await;
    let hands = world.worker("w").await;
    let claimed = world.claim(&hands, &keys[1..]).await;
    world.finish(&claimed[1], TaskState::Failed).await;
    let retries = vec![world.retry_of(keys[2])];
    world.commit(Batch { retries, ..Batch::default() }).await.unwrap();
    world.finish(&claimed[2], TaskState::Success).await;
    let no_row = TaskKey::single(keys[0].task.run, TaskNo(99));
    let mut cancels: Vec<(TaskKey, String)> =
        keys.iter().map(|key| (key.task, "cancelled by admin".to_owned())).collect();
    cancels.push((no_row, String::new()));
    let rows = world.commit(Batch { cancels, ..Batch::default() }).await.unwrap().cancelled;
    let seen: Vec<_> = rows.iter().map(|row| (row.key.task.0, row.state, row.cancel_requested)).collect();
    let expected = vec![
        (0, TaskState::Cancelled, false),
        (1, TaskState::Running, true),
        (2, TaskState::Cancelled, false),
        (3, TaskState::Success, false),
    ];
    assert_eq!(seen, expected);
    assert_eq!(rows[0].error.as_deref(), Some("cancelled by admin"));
    assert!(rows[0].finished_at.is_some() && rows[2].retry_at.is_none());
    assert_eq!(store.tasks_load(&keys.iter().map(|key| key.task).collect::<Vec<_>>()).await.unwrap(), rows);
    assert_eq!(world.claim(&hands, &keys[..1]).await, vec![], "a cancelled attempt cannot be claimed");
}

pub async fn unclaimed_attempts_are_listed_oldest_first(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let run = world.run().await;
    let queues: Vec<QueuedTask> = (0..5_u32)
        .map(|no| QueuedTask {
            at: world.at - TimeDelta::seconds(i64::from(no)),
            priority: 3,
            ..world.queue_of(TaskKey::single(run, TaskNo(no)).attempt(1))
        })
        .collect();
    world.commit(Batch { queues: queues.clone(), ..Batch::default() }).await.unwrap();
    let unclaimed = store.tasks_unclaimed(world.at, 3).await.unwrap();
    assert_eq!(unclaimed, vec![queues[4].clone(), queues[3].clone(), queues[2].clone()]);
    assert_eq!(
        store.tasks_unclaimed(world.at, 10).await.unwrap().len(),
        4,
        "those queued at `before` are young"
    );
}

pub async fn terminal_tasks_never_change(store: Arc<dyn Store>) {
    let world = World::begin(Arc::clone(&store)).await;
    let keys = world.queued(3).await;
    let hands = world.worker("w").await;
    let claimed = world.claim(&hands, &keys).await;
    for (one, state) in claimed.iter().zip([TaskState::Success, TaskState::Failed, TaskState::Cancelled]) {
        world.finish(one, state).await;
    }
    let skipped = TaskKey::single(keys[0].task.run, TaskNo(3));
    let ends_without_attempt = vec![world.settle_of(skipped, TaskState::Skipped)];
    world.commit(Batch { ends_without_attempt, ..Batch::default() }).await.unwrap();
    let run = keys[0].task.run;
    let before = store.tasks_of_runs(&[run]).await.unwrap();
    for row in &before {
        refuses_every_change(&world, row.attempt_key()).await;
    }
    assert_eq!(world.claim(&hands, &keys).await, vec![]);
    let finishes: Vec<_> = claimed
        .iter()
        .map(|one| rota_core::port::Finish {
            exit_code: Some(9),
            ..world.finish_of(one, TaskState::Cancelled)
        })
        .collect();
    assert_eq!(store.tasks_finish(&finishes[..2]).await.unwrap(), keys[..2]);
    assert_eq!(store.tasks_of_runs(&[run]).await.unwrap(), before);
}

async fn refuses_every_change(world: &World, key: AttemptKey) {
    let next = world.queue_of(key.task.attempt(key.attempt + 1));
    let mut batches = vec![
        Batch { queues: vec![next.clone()], ..Batch::default() },
        Batch { requeues: vec![next], ..Batch::default() },
        Batch {
            ends_without_attempt: vec![world.settle_of(key.task, TaskState::Skipped)],
            ..Batch::default()
        },
        Batch { lost_for_good: vec![(key, "lost".to_owned())], ..Batch::default() },
    ];
    if world.task(key.task).await.state != TaskState::Failed {
        batches.push(Batch { retries: vec![world.retry_of(key)], ..Batch::default() });
    }
    for batch in batches {
        assert_conflict(world.commit(batch).await);
    }
    let cancels = vec![(key.task, "no".to_owned())];
    world.commit(Batch { cancels, ..Batch::default() }).await.unwrap();
}
