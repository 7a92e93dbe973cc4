//! The clustered store over a private Postgres: the conformance suite, and what only a server can do wrong.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use rota_backend::{PostgresOptions, PostgresStore, postgres_migrate};
use rota_tests::conformance::Opened;
use rota_tests::services::postgres::Postgres;

/// One server for all tests of this binary; each has a database of its own.
fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(Postgres::start)
}

async fn fresh_options() -> PostgresOptions {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("suite{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let url = tokio::task::spawn_blocking(move || server().database(&name)).await.expect("a database");
    PostgresOptions::new(&url, "rota-tests").expect("a good address")
}

async fn open() -> Opened<dyn rota_core::port::Store> {
    let options = fresh_options().await;
    postgres_migrate(&options).await.expect("a fresh database takes all migrations");
    Opened { port: Arc::new(PostgresStore::new(options)), keep: Box::new(()) }
}

rota_tests::store_suite!(open);
