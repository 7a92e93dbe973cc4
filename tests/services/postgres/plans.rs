//! What a growing table makes of plans that were made while it was small, and of rows that move under a statement.

use std::sync::Arc;
use std::time::Duration;

use rota_backend::PostgresStore;
use rota_core::port::{Claimed, Finish, TaskFacts, TaskPlans};
use rota_core::state::TaskState;
use rota_tests::conformance::store::world::{Hands, World};
use rota_tests::conformance::within;
use sqlx::{Connection, PgConnection};

use super::locks::somebody_waits;
use super::{migrated, options};

/// Sends `count` tasks through a claim, an outcome and the leader's look at it.
async fn walk(store: &PostgresStore, world: &World, hands: &Hands, count: u32) {
    let keys = world.queued(count).await;
    let claimed = world.claim(hands, &keys).await;
    assert_eq!(claimed.len(), keys.len());
    let finish = |it: &Claimed| world.finish_of(it, TaskState::Success);
    let finishes: Vec<Finish> = claimed.iter().map(finish).collect();
    assert_eq!(store.tasks_finish(&finishes).await.unwrap(), vec![]);
    let keys: Vec<_> = claimed.iter().map(|it| it.key.task).collect();
    assert_eq!(store.tasks_load(&keys).await.unwrap().len(), keys.len());
}

/// Rows of `task` that the server has read, one after the other and through indexes, as far as it has counted.
async fn rows_read(url: &str) -> (i64, i64) {
    let mut session = PgConnection::connect(url).await.unwrap();
    let counts =
        "select seq_tup_read, coalesce(idx_tup_fetch, 0) from pg_stat_user_tables where relname = 'task'";
    sqlx::query_as(counts).fetch_one(&mut session).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_of_a_small_table_are_good_for_a_large_one() {
    const BATCH: u32 = 500;
    const BATCHES: u32 = 6;
    let url = migrated().await;
    let store = PostgresStore::new(options(&url));
    let world = World::begin(Arc::new(store.clone())).await;
    let hands = world.worker("w").await;
    // The server settles on a plan after five executions: here over a page or two.
    for _ in 0..8 {
        walk(&store, &world, &hands, 1).await;
    }
    for _ in 0..BATCHES {
        walk(&store, &world, &hands, BATCH).await;
    }
    // The world's own look at what it queued is part of what is counted.
    let tasks = i64::from(BATCH * BATCHES);
    drop((store, world));
    // Sessions count when they end, at the latest.
    let read = within("the server to count", async {
        loop {
            let (in_turn, by_index) = rows_read(&url).await;
            if in_turn + by_index >= tasks * 3 {
                return (in_turn, by_index);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let (in_turn, by_index) = read.await;
    assert_eq!(in_turn, 0, "the table was read as a whole");
    assert!(by_index <= tasks * 6, "{by_index} rows were read for {tasks} tasks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_is_recorded_though_its_row_changes_meanwhile() {
    let url = migrated().await;
    let store = PostgresStore::new(options(&url));
    let world = World::begin(Arc::new(store.clone())).await;
    let (_, claimed) = world.running("w").await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("begin; update task set cancel_requested = true").execute(&mut other).await.unwrap();
    let (finisher, finish) = (store.clone(), world.finish_of(&claimed, TaskState::Success));
    let late = tokio::spawn(async move { finisher.tasks_finish(&[finish]).await });
    within("the outcome to wait", somebody_waits(&url)).await;
    sqlx::raw_sql("commit").execute(&mut other).await.unwrap();
    assert_eq!(within("the outcome", late).await.unwrap().unwrap(), vec![]);
    assert_eq!(world.task(claimed.key.task).await.state, TaskState::Success);
}
