//! The clustered store over a private Postgres: the conformance suite, and what only a server can do wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot do what it is about has failed")]

mod locks;
mod outages;
mod partitions;
mod plans;
mod schema;
mod states;
mod witness;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use rota_backend::{PostgresOptions, PostgresStore, postgres_migrate};
use rota_tests::conformance::Opened;
use rota_tests::services::postgres::Postgres;

/// One server for all tests here; each has a database of its own.
fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(Postgres::start)
}

/// The address of a fresh, empty database.
async fn database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("suite{}", NEXT.fetch_add(1, Ordering::Relaxed));
    tokio::task::spawn_blocking(move || server().database(&name)).await.expect("a database")
}

fn options(url: &str) -> PostgresOptions {
    PostgresOptions::new(url, "rota-tests").expect("a good address")
}

/// The address of a fresh database with the schema.
async fn migrated() -> String {
    let url = database().await;
    postgres_migrate(&options(&url)).await.expect("a fresh database takes all migrations");
    url
}

async fn open() -> Opened<dyn rota_core::port::Store> {
    Opened { port: Arc::new(PostgresStore::new(options(&migrated().await))), keep: Box::new(()) }
}

rota_tests::store_suite!(open);
