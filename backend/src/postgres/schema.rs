//! The schema: who may use it as it is, and how it is brought up to date.

use std::time::Duration;

use rota_core::port::{StoreError, StoreResult};
use sqlx::SqlStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::host::primary;
use super::options::PostgresOptions;
use super::sql::{failed, unavailable};

/// The migrations, in order. `migrations/sqlite` has the same file names.
const MIGRATIONS: [(i64, &str, &str); 4] = [
    (1, "initial", include_str!("../../../migrations/postgres/0001_initial.sql")),
    (2, "cluster", include_str!("../../../migrations/postgres/0002_cluster.sql")),
    (3, "mend", include_str!("../../../migrations/postgres/0003_mend.sql")),
    (4, "worker_trouble", include_str!("../../../migrations/postgres/0004_worker_trouble.sql")),
];

/// How long a migration waits for another one, or for somebody's lock on a table.
const LOCK_MAX: &str = "10s";
/// How long all of it may take.
const MIGRATE_MAX: Duration = Duration::from_secs(600);

/// The newest schema that this rota knows.
const fn newest() -> i64 {
    MIGRATIONS[MIGRATIONS.len() - 1].0
}

/// Brings the schema up to date and returns the names of what was applied. Another migration under way is waited for,
/// but not for long.
///
/// # Errors
/// `Refused` when a newer rota has written the schema, `Unavailable` when the database cannot be reached, a lock was not
/// to be had, or a statement failed (then nothing of that migration was applied).
pub async fn postgres_migrate(options: &PostgresOptions) -> StoreResult<Vec<String>> {
    tokio::time::timeout(MIGRATE_MAX, migrate(options))
        .await
        .unwrap_or_else(|_| Err(unavailable(format!("the migration took longer than {MIGRATE_MAX:?}"))))
}

async fn migrate(options: &PostgresOptions) -> StoreResult<Vec<String>> {
    let patient = |host: &PgConnectOptions| host.clone().options([("lock_timeout", LOCK_MAX)]);
    let hosts: Vec<PgConnectOptions> = options.hosts.iter().map(patient).collect();
    let (_, mut connection) = primary(&hosts, 0).await?;
    let before = version(&mut connection).await?;
    if before > newest() {
        return Err(too_new(before));
    }
    let migrations = MIGRATIONS.map(|(version, name, text)| {
        Migration::new(version, name.into(), MigrationType::Simple, SqlStr::from_static(text), false)
    });
    let migrator = Migrator::with_migrations(migrations.to_vec());
    migrator.run_direct(None, &mut connection, false).await.map_err(not_migrated)?;
    let applied = MIGRATIONS.iter().filter(|(version, ..)| *version > before);
    Ok(applied.map(|(version, name, _)| format!("{version:04}_{name}")).collect())
}

fn not_migrated(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) => too_new(version),
        MigrateError::VersionMismatch(version) => StoreError::Refused(format!(
            "the database has another schema {version} than this rota: it was written by a development version; use another database"
        )),
        other => unavailable(format!("cannot bring the schema up to date: {other}")),
    }
}

fn too_new(version: i64) -> StoreError {
    StoreError::Refused(format!(
        "the database was written by a newer rota (schema {version}, this one knows up to {}): start that version",
        newest()
    ))
}

/// Whether this rota can work with the schema.
///
/// # Errors
/// `Refused`: too new. `Unavailable`: too old, or away; both may be mended while this rota waits.
pub(super) async fn check(connection: &mut PgConnection) -> StoreResult<()> {
    match version(connection).await? {
        found if found == newest() => Ok(()),
        found if found > newest() => Err(too_new(found)),
        found => Err(unavailable(format!(
            "the schema is at {found}, this rota needs {}: run `rota migrate`",
            newest()
        ))),
    }
}

const HAS_TABLE: &str = "select to_regclass('_sqlx_migrations') is not null";
const VERSION: &str = "select coalesce(max(version), 0) from _sqlx_migrations where success";

async fn version(connection: &mut PgConnection) -> StoreResult<i64> {
    let exists: bool = sqlx::query_scalar(HAS_TABLE).fetch_one(&mut *connection).await.map_err(failed)?;
    if !exists {
        return Ok(0);
    }
    sqlx::query_scalar(VERSION).fetch_one(connection).await.map_err(failed)
}
