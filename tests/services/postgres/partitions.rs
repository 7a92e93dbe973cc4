//! Networks that fall silent. Nothing ends the connection: only time tells.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rota_backend::PostgresStore;
use rota_core::id::ReplicaId;
use rota_core::port::{Batch, BatchPlans, RunViews, StoreError, TermPlans, WorkerPlans};
use rota_tests::conformance::store::world::World;
use rota_tests::conformance::{until, within};
use rota_tests::proxy::{Proxy, Way};
use sqlx::{Connection, PgConnection};

use super::{migrated, options, server};

/// A store that reaches the server through a proxy.
async fn through_a_proxy(url: &str) -> (PostgresStore, Proxy) {
    let proxy = Proxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server().port())));
    let address = url.replace(&format!(":{}/", server().port()), &format!(":{}/", proxy.address().port()));
    (PostgresStore::new(options(&address)), proxy)
}

/// sqlx's own pool loses a place with each statement that is given up on a silent connection (transact-rs/sqlx#4349).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_ends_every_call_in_time_and_costs_no_connection() {
    let (store, proxy) = through_a_proxy(&migrated().await).await;
    let world = World::begin(Arc::new(store.clone())).await;
    let rounds = if std::env::var_os("ROTA_TESTS_FULL").is_some() { 50 } else { 3 };
    for _round in 0..rounds {
        proxy.black_hole(Way::Up);
        proxy.black_hole(Way::Down);
        // More calls than the lane has connections: those that wait for a place have to end as well.
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let (store, epoch) = (store.clone(), world.epoch);
                tokio::spawn(async move { store.workers_reap(epoch).await })
            })
            .collect();
        for call in calls {
            let answer = within("an answer", call).await.unwrap();
            assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        }
        proxy.heal();
        until("the store", async || store.workers_reap(world.epoch).await.ok()).await;
    }
    let calls = (0..8).map(|_| store.workers_reap(world.epoch));
    for answer in within("all connections", futures_util::future::join_all(calls)).await {
        answer.unwrap();
    }
}

/// A leader that is stopped, or cut off, in the middle of its transaction holds the lock that keeps its epoch. The server
/// ends its session, so that the next leader need not wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_frozen_in_its_transaction_is_not_waited_for() {
    let url = migrated().await;
    let (frozen, proxy) = through_a_proxy(&url).await;
    let world = World::begin(Arc::new(frozen.clone())).await;
    let mut other = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("begin; lock table run in access exclusive mode").execute(&mut other).await.unwrap();
    let batch = Batch { runs: vec![world.new_run()], ..Batch::default() };
    let (writer, epoch) = (frozen.clone(), world.epoch);
    let commit = tokio::spawn(async move { writer.batch_commit(epoch, &batch).await });
    super::locks::somebody_waits(&url).await;
    // Its insert goes through, but it never hears of it and so never commits.
    proxy.black_hole(Way::Up);
    proxy.black_hole(Way::Down);
    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    let next = PostgresStore::new(options(&url));
    let begun = until("the next term", async || next.term_begin(&ReplicaId::trusted("r2")).await.ok()).await;
    assert!(begun > world.epoch);
    let answer = within("the frozen leader's answer", commit).await.unwrap();
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    proxy.heal();
    let refused = until("contact", async || match frozen.batch_commit(epoch, &Batch::default()).await {
        Err(StoreError::Unavailable(_)) => None,
        answer => Some(answer),
    });
    assert!(matches!(refused.await, Err(StoreError::Fenced(_))));
    assert!(next.view_runs(&Default::default()).await.unwrap().is_empty(), "nothing of it was committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_network_is_no_outage() {
    let (store, proxy) = through_a_proxy(&migrated().await).await;
    proxy.latency(Way::Up, Duration::from_millis(100));
    proxy.latency(Way::Down, Duration::from_millis(100));
    let world = World::begin(Arc::new(store.clone())).await;
    world.run().await;
    store.workers_reap(world.epoch).await.unwrap();
}
