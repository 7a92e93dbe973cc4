//! A few connections for one purpose, such that one that hangs is never waited for long and never kept.
//!
//! This is a pool of our own because sqlx's returns a connection with an unbounded round trip, which loses its place for
//! ever when the server is silently gone (transact-rs/sqlx#4349), and does so after every use. Here every use has a time
//! limit; a connection whose use ended in anything but an answer is dropped, which closes its socket, and so are the idle ones
//! beside it, because they are as dead as it is.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rota_core::id::Epoch;
use rota_core::port::{StoreError, StoreResult};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::host::primary;
use super::options::PostgresOptions;
use super::sql::{failed, fence_check, unavailable};
use super::time::DatabaseClock;

/// A future that borrows the connection.
pub(super) type Step<'c, T> = Pin<Box<dyn Future<Output = T> + Send + 'c>>;

/// A connection that was idle for longer is asked whether it still stands before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
/// How long that question may take.
const PING_MAX: Duration = Duration::from_millis(500);
/// A connection older than this is closed when its turn is over: servers keep memory per session, and it lets load move on to a
/// host that came back.
const LIFETIME: Duration = Duration::from_secs(1800);
/// How often an operation is tried that the server ended because of a deadlock.
const TRIES_MAX: u32 = 3;

/// How a lane's sessions are set.
#[derive(Debug, Clone, Copy)]
pub(super) struct LaneOptions {
    /// For messages.
    pub(super) name: &'static str,
    /// Connections at a time.
    pub(super) size: usize,
    /// The longest that an operation may take, the wait for a connection included.
    pub(super) limit: Duration,
    /// Session settings: they free the locks of a process that is stopped or cut off.
    pub(super) settings: &'static [(&'static str, &'static str)],
}

/// How an operation is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// All of it or nothing of it.
    Transaction,
    /// All of it, if this epoch is still the current one, or nothing of it.
    Fenced(Epoch),
    /// Each of its statements for itself.
    Statements,
}

struct Idle {
    connection: PgConnection,
    opened: Instant,
    used: Instant,
}

/// See the module's text.
pub(super) struct Lane {
    options: LaneOptions,
    hosts: Vec<PgConnectOptions>,
    places: Semaphore,
    idle: Mutex<Vec<Idle>>,
    /// The host that answered last is tried first.
    last_host: AtomicUsize,
}

impl Lane {
    pub(super) fn new(place: &PostgresOptions, options: LaneOptions) -> Self {
        let hosts =
            place.hosts.iter().map(|host| host.clone().options(options.settings.iter().copied())).collect();
        Self {
            places: Semaphore::new(options.size),
            options,
            hosts,
            idle: Mutex::default(),
            last_host: AtomicUsize::new(0),
        }
    }

    /// Executes an operation. `Unavailable` when there is no connection or no answer in time: then it may have happened.
    pub(super) async fn run<T, F>(&self, clock: &DatabaseClock, mode: Mode, operation: F) -> StoreResult<T>
    where
        F: for<'c> Fn(&'c mut PgConnection, DateTime<Utc>) -> Step<'c, StoreResult<T>>,
    {
        let deadline = Instant::now() + self.options.limit;
        let late = |_| unavailable(format!("no {} connection is free", self.options.name));
        let _place = timeout_at(deadline, self.places.acquire()).await.map_err(late)?;
        for attempt in 1.. {
            let mut session = self.session(deadline).await?;
            let used = timeout_at(deadline, execute(&mut session.connection, clock, mode, &operation)).await;
            match used {
                Ok(Used::Answered(answer)) => {
                    self.give_back(session);
                    return answer;
                }
                // Nothing of it was done, and the others that it was in the way of have gone on.
                Ok(Used::Undone(_)) if attempt < TRIES_MAX => self.give_back(session),
                Ok(Used::Undone(words)) => return Err(StoreError::Unavailable(words)),
                Ok(Used::Broken(error)) => {
                    self.forget_idle();
                    return Err(error);
                }
                Err(_late) => {
                    self.forget_idle();
                    return Err(unavailable(format!("no answer within {:?}", self.options.limit)));
                }
            }
        }
        unreachable!("the loop above only ends by returning")
    }

    /// An idle connection that stands, else a new one.
    async fn session(&self, deadline: Instant) -> StoreResult<Idle> {
        while let Some(mut idle) = self.pop() {
            if idle.used.elapsed() < TRUSTED_IDLE {
                return Ok(idle);
            }
            if matches!(timeout(PING_MAX, idle.connection.ping()).await, Ok(Ok(()))) {
                return Ok(idle);
            }
            self.forget_idle();
        }
        let opened = timeout_at(deadline, self.open()).await;
        opened.unwrap_or_else(|_| Err(unavailable("no connection could be opened in time")))
    }

    async fn open(&self) -> StoreResult<Idle> {
        let (host, connection) = primary(&self.hosts, self.last_host.load(Ordering::Relaxed)).await?;
        self.last_host.store(host, Ordering::Relaxed);
        let now = Instant::now();
        Ok(Idle { connection, opened: now, used: now })
    }

    fn give_back(&self, mut session: Idle) {
        session.used = Instant::now();
        if session.opened.elapsed() < LIFETIME {
            self.idle().push(session);
        }
    }

    fn pop(&self) -> Option<Idle> {
        self.idle().pop()
    }

    fn forget_idle(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of a connection's use.
enum Used<T> {
    /// An answer, be it a refusal; the connection is as it was.
    Answered(StoreResult<T>),
    /// The server undid the operation, and said why.
    Undone(String),
    /// Nobody knows what the connection is good for.
    Broken(StoreError),
}

impl<T> Used<T> {
    /// The end of a use that did not come to its answer, not even to being undone as a whole.
    fn broken(error: StoreError) -> Self {
        Self::Broken(match error {
            StoreError::Undone(words) => StoreError::Unavailable(words),
            error => error,
        })
    }
}

async fn execute<T, F>(
    connection: &mut PgConnection,
    clock: &DatabaseClock,
    mode: Mode,
    operation: &F,
) -> Used<T>
where
    F: for<'c> Fn(&'c mut PgConnection, DateTime<Utc>) -> Step<'c, StoreResult<T>>,
{
    let now = match now(connection, clock).await {
        Ok(now) => now,
        Err(error) => return Used::broken(error),
    };
    let begun = match mode {
        Mode::Statements => return used(operation(connection, now).await),
        Mode::Transaction => step(connection, "begin").await,
        Mode::Fenced(epoch) => fence_check(connection, epoch).await,
    };
    let answer = match begun {
        Ok(()) => operation(connection, now).await,
        Err(error @ StoreError::Fenced(_)) => Err(error),
        Err(error) => return Used::broken(error),
    };
    let end = if answer.is_ok() { "commit" } else { "rollback" };
    match (answer, step(connection, end).await) {
        (answer, Ok(())) => used(answer),
        (Ok(_), Err(error)) | (Err(error), Err(_)) => Used::broken(error),
    }
}

fn used<T>(answer: StoreResult<T>) -> Used<T> {
    match answer {
        Err(StoreError::Undone(words)) => Used::Undone(words),
        Err(error @ StoreError::Unavailable(_)) => Used::Broken(error),
        answer => Used::Answered(answer),
    }
}

async fn now(connection: &mut PgConnection, clock: &DatabaseClock) -> StoreResult<DateTime<Utc>> {
    if let Some(now) = clock.now() {
        return Ok(now);
    }
    clock.ask(connection).await.map_err(failed)?;
    clock.estimate().ok_or_else(|| unavailable("the database's clock shows an instant that is none"))
}

async fn step(connection: &mut PgConnection, sql: &'static str) -> StoreResult<()> {
    sqlx::raw_sql(sql).execute(connection).await.map(drop).map_err(failed)
}
