//! Servers that crash, sessions that are shot, hosts that are not the right one.

use std::sync::Arc;
use std::time::Duration;

use rota_backend::{PostgresStore, postgres_migrate};
use rota_core::port::{DagReads, Store, StoreError, TermViews, WorkerPlans};
use rota_tests::conformance::store::world::World;
use rota_tests::conformance::{until, within};
use rota_tests::services::free_port;
use rota_tests::services::postgres::Postgres;

use super::{migrated, options, server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_ended_are_replaced() {
    let url = migrated().await;
    let store = PostgresStore::new(options(&url));
    let world = World::begin(Arc::new(store.clone())).await;
    let database = url.rsplit('/').next().unwrap().to_owned();
    for _round in 0..20 {
        let name = database.clone();
        tokio::task::spawn_blocking(move || server().terminate_sessions(&name)).await.unwrap();
        // The first use may find out; the next one has a fresh connection.
        let is_there = until("an answer", async || store.view_leader().await.ok());
        assert_eq!(is_there.await.epoch, world.epoch);
        until("a fenced write", async || store.workers_reap(world.epoch).await.ok()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_a_crash_and_the_store_goes_on_by_itself() {
    let mut server = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let url = server.database("crash");
    postgres_migrate(&options(&url)).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(PostgresStore::new(options(&url)));
    let world = World::begin(Arc::clone(&store)).await;
    for round in 0..3_usize {
        let run = world.run().await;
        server = tokio::task::spawn_blocking(move || {
            server.crash();
            server
        })
        .await
        .unwrap();
        let away = within("an answer while it is away", store.now()).await;
        let away =
            away.and(within("an answer while it is away", store.view_leader()).await.map(|_| world.at));
        assert!(matches!(away, Err(StoreError::Unavailable(_))), "{away:?}");
        server = tokio::task::spawn_blocking(move || {
            server.restart();
            server
        })
        .await
        .unwrap();
        let runs =
            until("the store", async || store.runs_active(rota_core::id::RunId(0), 100).await.ok()).await;
        assert_eq!((runs.len(), runs.last().unwrap().id), (round + 1, run));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_hosts_the_one_that_answers_is_used() {
    let url = migrated().await;
    let port = server().port().to_string();
    let several = url.replace(&port, &format!("{},127.0.0.1:{port}", free_port()));
    let store = PostgresStore::new(options(&several));
    store.check().await.unwrap();
    let nobody = PostgresStore::new(options(&url.replace(&port, &free_port().to_string())));
    let refused = nobody.check().await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Unavailable(_)) && refused.to_string().contains("127.0.0.1"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_is_full_of_waiting_statements_leaves_the_others_alone() {
    let url = migrated().await;
    let store = PostgresStore::new(options(&url));
    let world = World::begin(Arc::new(store.clone())).await;
    let mut other = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.unwrap();
    sqlx::raw_sql("begin; lock table dag in access exclusive mode").execute(&mut other).await.unwrap();
    let pages: Vec<_> = (0..12)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.dags_load().await })
        })
        .collect();
    for _ in 0..5 {
        within("the leader's write", store.workers_reap(world.epoch)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    for page in pages {
        within("a page", page).await.unwrap().unwrap();
    }
}
