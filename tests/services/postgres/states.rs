//! What the server's SQLSTATE makes of an answer, whatever its words and its language are.

use rota_backend::PostgresStore;
use rota_core::id::ReplicaId;
use rota_core::port::{ReplicaBeat, ReplicaPlans, ReplicaState, StoreError, StoreResult};
use rota_tests::conformance::within;
use sqlx::{Connection, PgConnection};

use super::{migrated, options};

const REFUSES: &str = "
    create function refuses() returns trigger language plpgsql as $$
    begin raise exception 'so wollte es die Pruefung' using errcode = new.version; end $$;
    create trigger refuses before insert on replica for each row when (new.id = 'odd') execute function refuses()";

/// The answer to a write in which the server raises this state.
async fn answer(store: &PostgresStore, state: &str) -> StoreResult<()> {
    let beat = ReplicaBeat {
        id: ReplicaId::trusted("odd"),
        host: "h".into(),
        pid: 1,
        version: state.to_owned(),
        zones: String::new(),
        dags_dir: None,
        state: ReplicaState::Standby,
        epoch: None,
        turned_ago: None,
        trouble: None,
    };
    within("an answer", store.replica_beat(&beat)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_outage_is_an_outage() {
    let url = migrated().await;
    let mut admin = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(REFUSES).execute(&mut admin).await.unwrap();
    let store = PostgresStore::new(options(&url));
    for state in ["22003", "22P05", "22001", "23502", "23503", "23514", "54000"] {
        let refused = answer(&store, state).await;
        assert!(
            matches!(&refused, Err(StoreError::Data(why)) if why.contains(state)),
            "{state}: {refused:?}"
        );
    }
    for state in ["57014", "08006", "53200", "58030", "XX000", "40P01"] {
        let away = answer(&store, state).await;
        assert!(
            matches!(&away, Err(StoreError::Unavailable(why)) if why.contains(state)),
            "{state}: {away:?}"
        );
    }
    let full = answer(&store, "53100").await.unwrap_err();
    assert!(matches!(&full, StoreError::Unavailable(why) if why.contains("disk is full")), "{full}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_told_to_whoever_waits_for_it() {
    let url = migrated().await;
    let mut admin = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(REFUSES).execute(&mut admin).await.unwrap();
    for state in ["XX001", "XX002"] {
        let store = PostgresStore::new(options(&url));
        let told = tokio::spawn({
            let store = store.clone();
            async move { store.damaged().await }
        });
        let damaged = answer(&store, state).await;
        assert!(matches!(damaged, Err(StoreError::Damaged(_))), "{state}: {damaged:?}");
        assert!(within("the news", told).await.unwrap().contains(state), "{state}");
    }
}
