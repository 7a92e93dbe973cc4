//! Migrations: several at once, too old, too new, and somebody in the way.

use rota_backend::{PostgresStore, postgres_migrate};
use rota_core::port::StoreError;
use rota_tests::conformance::within;
use sqlx::{Connection, PgConnection};

use super::{database, migrated, options};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_migrations_at_once_apply_each_step_once() {
    let options = options(&database().await);
    let (one, two, three) =
        tokio::join!(postgres_migrate(&options), postgres_migrate(&options), postgres_migrate(&options));
    for outcome in [one, two, three] {
        outcome.unwrap();
    }
    PostgresStore::new(options.clone()).check().await.unwrap();
    assert_eq!(postgres_migrate(&options).await.unwrap(), Vec::<String>::new(), "nothing is left to do");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_database_says_what_to_run() {
    let store = PostgresStore::new(options(&database().await));
    let error = store.check().await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "it may be mended while rota waits: {error}");
    assert!(error.to_string().contains("rota migrate"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_is_refused() {
    let url = migrated().await;
    let mut session = PgConnection::connect(&url).await.unwrap();
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                 values (999, 'from the future', true, '', 0)";
    sqlx::query(newer).execute(&mut session).await.unwrap();
    for refused in [
        PostgresStore::new(options(&url)).check().await.unwrap_err(),
        postgres_migrate(&options(&url)).await.unwrap_err(),
    ] {
        assert!(
            matches!(refused, StoreError::Refused(_)) && refused.to_string().contains("newer rota"),
            "{refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_does_not_wait_for_ever() {
    let url = migrated().await;
    let mut session = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("begin; lock table _sqlx_migrations in access exclusive mode")
        .execute(&mut session)
        .await
        .unwrap();
    let refused = within("the migration", postgres_migrate(&options(&url))).await.unwrap_err();
    assert!(refused.to_string().contains("lock timeout"), "{refused}");
}
