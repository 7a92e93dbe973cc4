//! Who waits for whom: claims, heartbeats, rescues and take-overs in sessions of their own.

use std::sync::Arc;
use std::time::Duration;

use rota_backend::PostgresStore;
use rota_core::id::ReplicaId;
use rota_core::port::{
    Batch, BatchPlans, Beat, BeatReply, RunPlans, StoreError, TaskFacts, TermPlans, WorkerFacts, WorkerPlans,
    WorkerState,
};
use rota_tests::conformance::store::world::{LONG, World};
use rota_tests::conformance::{until, within};
use sqlx::{Connection, PgConnection};

use super::{migrated, options};

/// A store, a world in it, and a session of somebody else.
struct Scene {
    store: PostgresStore,
    world: World,
    other: PgConnection,
    url: String,
}

async fn scene() -> Scene {
    let url = migrated().await;
    let store = PostgresStore::new(options(&url));
    let world = World::begin(Arc::new(store.clone())).await;
    Scene { store, world, other: PgConnection::connect(&url).await.unwrap(), url }
}

async fn sql(session: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(session).await.unwrap();
}

/// Waits until some session waits for a lock. Asks in a session of its own: inside a transaction the server's answer stays.
pub(super) async fn somebody_waits(url: &str) {
    let mut session = PgConnection::connect(url).await.unwrap();
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    loop {
        let count: i64 = sqlx::query_scalar(waiting).fetch_one(&mut session).await.unwrap();
        if count > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_forty_racing_claims_one_wins() {
    let Scene { store, world, .. } = scene().await;
    let hands = world.worker("w").await;
    for _round in 0..5 {
        let keys = world.queued(3).await;
        let claims = (0..40).map(|_| {
            let (store, request) = (store.clone(), world.request_of(&hands, &keys));
            tokio::spawn(async move { store.tasks_claim(&request).await.unwrap().len() })
        });
        let won: Vec<usize> =
            futures_util::future::join_all(claims).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(won.iter().sum::<usize>(), 3, "{won:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_waits_for_the_end_of_its_life_and_is_then_refused() {
    let Scene { store, world, mut other, url } = scene().await;
    let hands = world.worker("w").await;
    let keys = world.queued(1).await;
    sql(&mut other, "begin; select 1 from worker for update; update worker set state = 'dead'").await;
    let (claimer, request) = (store.clone(), world.request_of(&hands, &keys));
    let claim = tokio::spawn(async move { claimer.tasks_claim(&request).await });
    within("the claim to wait", somebody_waits(&url)).await;
    sql(&mut other, "commit").await;
    let refused = within("the claim", claim).await.unwrap();
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rescue_waits_for_claims_under_way_and_then_finds_them() {
    let Scene { store, world, mut other, url } = scene().await;
    let (hands, claimed) = world.running("w").await;
    let short = Duration::from_millis(1);
    let beat = Beat {
        worker: hands.worker.clone(),
        incarnation: hands.incarnation,
        running: 1,
        state: WorkerState::Live,
        trouble: None,
        lease: short,
    };
    store.worker_beat(&beat).await.unwrap();
    sql(&mut other, "begin; select 1 from worker where id = 'w' for key share").await;
    let reap = until("the lease to run out", async || {
        let reaped = store.workers_reap(world.epoch).await.unwrap();
        (!reaped.dead.is_empty()).then_some(reaped)
    });
    let claims_end = async {
        within("the rescue to wait", somebody_waits(&url)).await;
        sql(&mut other, "commit").await;
    };
    let (reaped, ()) = tokio::join!(reap, claims_end);
    assert_eq!(reaped.lost, vec![claimed.key]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_do_not_wait_for_claims() {
    let Scene { store, world, mut other, .. } = scene().await;
    let hands = world.worker("w").await;
    sql(&mut other, "begin; select 1 from worker for key share").await;
    let beat = Beat {
        worker: hands.worker.clone(),
        incarnation: hands.incarnation,
        running: 0,
        state: WorkerState::Live,
        trouble: None,
        lease: LONG,
    };
    // A lane's statements give up a wait for a lock after two seconds: an answer at all means that there was none.
    for _ in 0..3 {
        let reply = within("a heartbeat", store.worker_beat(&beat)).await.unwrap();
        assert!(matches!(reply, BeatReply::Live { .. }));
    }
    sql(&mut other, "rollback").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_epoch_commits_nothing_however_the_take_over_falls() {
    let Scene { store, world, .. } = scene().await;
    let old = world.epoch;
    let writer = {
        let store = store.clone();
        let world_at = world.at;
        tokio::spawn(async move {
            let mut committed = 0_u32;
            loop {
                let run = rota_core::port::NewRun {
                    slot: world_at + chrono::TimeDelta::seconds(i64::from(committed)),
                    ..World::bare_run(world_at)
                };
                match store.batch_commit(old, &Batch { runs: vec![run], ..Batch::default() }).await {
                    Ok(_) => committed += 1,
                    Err(StoreError::Fenced(_)) => return committed,
                    Err(error) => panic!("{error}"),
                }
            }
        })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let new = store.term_begin(&ReplicaId::trusted("r2")).await.unwrap();
    assert!(new > old);
    let runs_at_take_over = store.runs_active(rota_core::id::RunId(0), 100_000).await.unwrap().len();
    let committed = within("the old leader to be refused", writer).await.unwrap();
    assert_eq!(
        committed as usize, runs_at_take_over,
        "nothing was committed under the old epoch after the new one began"
    );
}
