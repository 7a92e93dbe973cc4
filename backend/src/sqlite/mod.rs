//! The embedded store: one SQLite file in WAL mode with `synchronous=FULL`, so that what is committed survives a crash
//! of the process and of the machine. One connection writes ([`writer`]), a few read.

#[macro_use]
mod dialect;
mod private;
#[macro_use]
#[path = "../sql/mod.rs"]
mod sql;
mod task_path;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rota_core::id::Epoch;
use rota_core::port::{Clock, StoreError, StoreResult};
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqlStr, Sqlite, SqliteConnection, SqlitePool};
use tokio::time::{Instant, sleep};
use tracing::log::LevelFilter;

use sql::failed;
use writer::{Step, Writer};

use crate::damage::Damage;

/// Connections that read: pages, the leader and workers each find one free.
const READERS_MAX: u32 = 3;
/// A reader that nobody needs is closed after this long.
const READER_IDLE: Duration = Duration::from_secs(60);
/// How long a statement waits for another process's lock (a backup, say).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks at the whole file, at least.
const LOOK_PAUSE_MIN: Duration = Duration::from_secs(60);
/// Statements slower than this are logged.
const SLOW: Duration = Duration::from_secs(1);
/// Page cache of the writer and of each reader, as SQLite's `cache_size` wants it: KiB, negative.
const WRITER_CACHE: &str = "-4096";
const READER_CACHE: &str = "-1024";
/// What is left of the write-ahead log's file after a burst, in bytes.
const LOG_KEPT: &str = "16777216";
/// Rows on their way from SQLite's thread to ours.
const ROW_BUFFER: usize = 512;

/// The migrations, in order. `migrations/postgres` has the same file names.
const MIGRATIONS: [(i64, &str, &str); 4] = [
    (1, "initial", include_str!("../../../migrations/sqlite/0001_initial.sql")),
    (2, "cluster", include_str!("../../../migrations/sqlite/0002_cluster.sql")),
    (3, "mend", include_str!("../../../migrations/sqlite/0003_mend.sql")),
    (4, "worker_trouble", include_str!("../../../migrations/sqlite/0004_worker_trouble.sql")),
];

/// What `sql/` implements the ports for.
type Store = SqliteStore;

/// The embedded store. Clones share its connections.
#[derive(Clone)]
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    clock: Arc<dyn Clock>,
    options: SqliteConnectOptions,
    damage: Damage,
}

impl SqliteStore {
    /// Opens the file, makes it (for its owner alone) if it is missing, and brings its schema up to date. Needs a tokio runtime, on which it
    /// starts the writer's task. `clock` is the store's one clock: leases and due times compare with it.
    ///
    /// `Refused` when a newer rota has written the file; `Damaged` when it is no sound database; `Unavailable` when it cannot be
    /// opened.
    pub async fn open(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> StoreResult<Self> {
        let path = path.as_ref();
        private::make_private(path);
        let options = options(path);
        let mut connection =
            options.clone().connect().await.map_err(|error| unusable("open", path, &error))?;
        migrate(&mut connection, path).await?;
        let readers = SqlitePoolOptions::new()
            .min_connections(0)
            .max_connections(READERS_MAX)
            .idle_timeout(READER_IDLE)
            .acquire_timeout(BUSY_TIMEOUT)
            .test_before_acquire(false)
            .connect_lazy_with(read_only(&options));
        let writer = Writer::start(connection, options.clone());
        Ok(Self { writer, readers, clock, options, damage: Damage::default() })
    }

    /// Completes when the file turns out to be damaged, with what was found. Besides what reads and writes come across, the
    /// whole file is looked at now and then, for at most a hundredth of the time.
    pub async fn damaged(&self) -> String {
        let looks = async {
            loop {
                let began = Instant::now();
                // A look that fails for another reason says nothing.
                let _ = self.damage.noted(self.look_over().await);
                sleep(LOOK_PAUSE_MIN.max(began.elapsed() * 100)).await;
            }
        };
        tokio::select! {
            why = self.damage.found() => why,
            () = looks => unreachable!("the loop above has no end"),
        }
    }

    /// Looks at every page of the file. On a connection of its own, because it takes a while.
    async fn look_over(&self) -> StoreResult<()> {
        let mut connection = read_only(&self.options).connect().await.map_err(failed)?;
        let found: String =
            sqlx::query_scalar("pragma quick_check(1)").fetch_one(&mut connection).await.map_err(failed)?;
        let _ = connection.close().await;
        if found == "ok" { Ok(()) } else { Err(StoreError::Damaged(found)) }
    }

    async fn reader(&self) -> StoreResult<PoolConnection<Sqlite>> {
        self.readers.acquire().await.map_err(failed)
    }

    async fn clock_now(&self) -> StoreResult<DateTime<Utc>> {
        Ok(self.clock.now())
    }

    /// Submits a write; `now` is read when its turn has come.
    async fn write<T, F>(&self, operation: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection, DateTime<Utc>) -> Step<'c, StoreResult<T>>
            + Send
            + 'static,
    {
        let clock = Arc::clone(&self.clock);
        self.damage.noted(self.writer.submit(move |connection| operation(connection, clock.now())).await)
    }

    /// Submits a write of the leader, which counts only under the current epoch.
    async fn fenced<T, F>(&self, epoch: Epoch, operation: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection, DateTime<Utc>) -> Step<'c, StoreResult<T>>
            + Send
            + 'static,
    {
        self.write(move |connection, now| {
            Box::pin(async move {
                sql::fence_check(connection, epoch).await?;
                operation(connection, now).await
            })
        })
        .await
    }

    async fn read<T, F>(&self, operation: F) -> StoreResult<T>
    where
        F: for<'c> FnOnce(&'c mut SqliteConnection, DateTime<Utc>) -> Step<'c, StoreResult<T>>,
    {
        let mut reader = self.reader().await?;
        self.damage.noted(operation(&mut reader, self.clock.now()).await)
    }
}

/// How the port's roles reach the file: all that write share the writer, all that read share the readers.
macro_rules! roles {
    ($($role:ident => $how:ident),+ $(,)?) => {
        impl SqliteStore {$(
            async fn $role<T, F>(&self, operation: F) -> StoreResult<T>
            where
                T: Send + 'static,
                F: for<'c> FnOnce(&'c mut SqliteConnection, DateTime<Utc>) -> Step<'c, StoreResult<T>>
                    + Send
                    + 'static,
            {
                self.$how(operation).await
            }
        )+}
    };
}

roles! {
    intend => write, begin => write, register => write, beat => write, fact => write,
    plan_read => read, fact_read => read, view => read,
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cache_size", WRITER_CACHE)
        .pragma("journal_size_limit", LOG_KEPT)
        .row_buffer_size(ROW_BUFFER)
        .thread_name(|number| format!("sqlite-{number}"))
        .log_statements(LevelFilter::Off)
        .log_slow_statements(LevelFilter::Warn, SLOW)
}

fn read_only(options: &SqliteConnectOptions) -> SqliteConnectOptions {
    options.clone().pragma("cache_size", READER_CACHE).pragma("query_only", "on")
}

async fn migrate<C: Migrate>(connection: &mut C, path: &Path) -> StoreResult<()> {
    let migrations = MIGRATIONS.map(|(version, name, text)| {
        Migration::new(version, name.into(), MigrationType::Simple, SqlStr::from_static(text), false)
    });
    let outcome = Migrator::with_migrations(migrations.to_vec()).run_direct(None, connection, false).await;
    outcome.map_err(|error| match error {
        MigrateError::VersionMissing(version) => StoreError::Refused(format!(
            "{} was written by a newer rota (schema {version}, this one knows up to {}): start that version, or give \
             this one another directory",
            path.display(),
            MIGRATIONS.len(),
        )),
        MigrateError::VersionMismatch(version) => StoreError::Refused(format!(
            "{} has another schema {version} than this rota: it was written by a development version; give this one \
             another directory",
            path.display(),
        )),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            unusable("bring up to date", path, &error)
        }
        other => StoreError::Unavailable(format!("cannot bring {} up to date: {other}", path.display())),
    })
}

fn unusable(what: &str, path: &Path, error: &sqlx::Error) -> StoreError {
    match failed(error) {
        StoreError::Unavailable(why) => {
            StoreError::Unavailable(format!("cannot {what} {}: {why}", path.display()))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemClock;

    async fn open(path: &Path) -> StoreResult<SqliteStore> {
        SqliteStore::open(path, Arc::new(SystemClock)).await
    }

    #[tokio::test]
    async fn no_file_of_the_store_is_for_others_however_open_its_directory_is() {
        use std::fs::{self, Permissions};
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
        let modes = || {
            let entries = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap());
            entries.map(|entry| entry.metadata().unwrap().permissions().mode() & 0o777).collect::<Vec<_>>()
        };
        let path = directory.path().join("rota.db");
        // The second time they are there, and open: an earlier version left them so, or a copy did.
        for _ in 0..2 {
            let store = open(&path).await.unwrap();
            assert_eq!(modes(), [0o600; 3], "the database, its log and its shared memory");
            let copied: Vec<_> =
                fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
            drop(store);
            for file in copied.iter().filter(|file| file.exists()) {
                fs::set_permissions(file, Permissions::from_mode(0o666)).unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_newer_schema_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rota.db");
        drop(open(&path).await.unwrap());
        let mut connection = options(&path).connect().await.unwrap();
        let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                     values (999, 'from the future', true, x'00', 0)";
        sqlx::query(newer).execute(&mut connection).await.unwrap();
        let refused = open(&path).await.err().expect("a newer schema must not open");
        assert!(matches!(refused, StoreError::Refused(_)), "{refused}");
        assert!(refused.to_string().contains("newer rota"), "{refused}");
    }

    #[tokio::test]
    async fn an_operation_that_fails_does_not_touch_its_neighbours() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory.path().join("rota.db")).await.unwrap();
        let bump = |fails: bool| {
            store.write(move |conn, _now| {
                Box::pin(async move {
                    let bump = "update counter set value = value + 1 where name = 'claim_token'";
                    sqlx::query(bump).execute(conn).await.map_err(failed)?;
                    if fails { Err(StoreError::Conflict("wanted".to_owned())) } else { Ok(()) }
                })
            })
        };
        let (first, second, third, fourth) = tokio::join!(bump(false), bump(true), bump(false), bump(true));
        assert!(first.is_ok() && third.is_ok());
        assert!(
            matches!(second, Err(StoreError::Conflict(_))) && matches!(fourth, Err(StoreError::Conflict(_)))
        );
        let mut reader = store.reader().await.unwrap();
        let value: i64 = sqlx::query_scalar("select value from counter where name = 'claim_token'")
            .fetch_one(&mut *reader)
            .await
            .unwrap();
        assert_eq!(value, 2);
    }

    #[tokio::test]
    async fn a_transaction_that_is_lost_answers_unavailable_and_the_writer_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory.path().join("rota.db")).await.unwrap();
        let write = |sql: &'static str| {
            store.write(move |conn, _now| {
                Box::pin(async move { sqlx::query(sql).execute(conn).await.map(drop).map_err(failed) })
            })
        };
        let bump = "update counter set value = value + 1 where name = 'claim_token'";
        let (bumped, lost, after) = tokio::join!(write(bump), write("rollback"), write(bump));
        for answer in [bumped, lost, after] {
            assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        }
        write(bump).await.unwrap();
        let mut reader = store.reader().await.unwrap();
        let value: i64 =
            sqlx::query_scalar("select value from counter").fetch_one(&mut *reader).await.unwrap();
        assert_eq!(value, 1, "what was answered as written is there, and nothing else");
    }

    #[tokio::test]
    async fn a_value_that_sqlite_does_not_take_is_no_outage() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory.path().join("rota.db")).await.unwrap();
        for (what, sql) in [
            ("of another kind", "update counter set value = 'a text'"),
            ("absent", "update counter set value = null"),
            ("against a check", "insert into replica_file values ('r', 'odd', 'n', 'p', null, null, 0)"),
        ] {
            let write = store.write(move |conn, _now| {
                Box::pin(async move { sqlx::query(sql).execute(conn).await.map(drop).map_err(failed) })
            });
            let answer = write.await;
            assert!(matches!(answer, Err(StoreError::Data(_))), "{what}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn an_overwritten_page_is_found_though_nobody_asks_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rota.db");
        let store = open(&path).await.unwrap();
        store.look_over().await.unwrap();
        store.readers.close().await;
        drop(store);
        let mut other = options(&path).connect().await.unwrap();
        sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut other).await.unwrap();
        other.close().await.unwrap();
        let page = 4096;
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - page;
        bytes[last..].fill(0xa5);
        std::fs::write(&path, bytes).unwrap();
        let store = open(&path).await.unwrap();
        let found = tokio::time::timeout(Duration::from_secs(30), store.damaged()).await.unwrap();
        assert!(!found.is_empty());
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_damaged() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rota.db");
        std::fs::write(&path, [0xa5; 8192]).unwrap();
        let damaged = open(&path).await.err().expect("it must not open");
        assert!(matches!(damaged, StoreError::Damaged(_)), "{damaged}");
    }

    #[tokio::test]
    async fn the_file_is_written_for_power_loss_and_read_only_where_it_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory.path().join("rota.db")).await.unwrap();
        let pragmas = store.write(|conn, _now| {
            Box::pin(async move {
                let mode: String =
                    sqlx::query_scalar("pragma journal_mode").fetch_one(&mut *conn).await.map_err(failed)?;
                let level: i64 =
                    sqlx::query_scalar("pragma synchronous").fetch_one(conn).await.map_err(failed)?;
                Ok((mode, level))
            })
        });
        assert_eq!(pragmas.await.unwrap(), ("wal".to_owned(), 2));
        let mut reader = store.reader().await.unwrap();
        assert!(sqlx::query("delete from run").execute(&mut *reader).await.is_err());
    }
}
