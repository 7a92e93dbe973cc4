//! Group commit: one task owns the only connection that writes. Whatever waits when it looks is executed in one
//! transaction and answered after the commit, so that many callers share one fsync and a lone caller waits for one.
//!
//! Each operation of a group runs inside its own savepoint: one that fails is rolled back alone and answers with its
//! error. If the commit fails, all of them answer `Unavailable`, because then nobody knows.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use futures_util::FutureExt;
use rota_core::port::{StoreError, StoreResult};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::sql::{failed, unavailable};

/// Most operations in one transaction. Bounds how long the first caller of a group waits for the others.
const GROUP_MAX: usize = 64;
/// Operations that may wait. Callers beyond wait for a place.
const WAITING_MAX: usize = 1024;

/// A future that borrows the connection.
pub(super) type Step<'c, T> = Pin<Box<dyn Future<Output = T> + Send + 'c>>;

type Operation = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> Step<'c, Executed> + Send>;
/// Answers the caller; an argument replaces the operation's own result.
type Answer = Box<dyn FnOnce(Option<StoreError>) + Send>;

/// An operation that ran inside the open transaction.
struct Executed {
    is_ok: bool,
    answer: Answer,
}

/// The callers' end.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    operations: mpsc::Sender<Operation>,
}

impl Writer {
    /// Starts the writer task on a connection of its own. It ends when the last handle is gone.
    pub(super) fn start(connection: SqliteConnection, options: SqliteConnectOptions) -> Self {
        let (operations, waiting) = mpsc::channel(WAITING_MAX);
        let task = WriterTask { waiting, connection: Some(connection), options, is_failing: false };
        tokio::spawn(task.run());
        Self { operations }
    }

    /// Runs `operation` in a transaction, shared with others that wait, and returns its result once that is on disk.
    /// An operation that is given up by its caller is executed all the same.
    pub(super) async fn submit<T, F>(&self, operation: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Step<'c, StoreResult<T>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let boxed: Operation = Box::new(move |connection| {
            Box::pin(async move {
                let result = operation(connection).await;
                let is_ok = result.is_ok();
                let answer: Answer = Box::new(move |failure| {
                    // A caller that no longer listens has nothing to be told.
                    let _ = sender.send(failure.map_or(result, Err));
                });
                Executed { is_ok, answer }
            })
        });
        self.operations.send(boxed).await.map_err(|_| unavailable("the writer has stopped: restart rota"))?;
        receiver
            .await
            .map_err(|_| unavailable("its transaction was given up, nothing was written: see the log"))?
    }
}

struct WriterTask {
    waiting: mpsc::Receiver<Operation>,
    connection: Option<SqliteConnection>,
    options: SqliteConnectOptions,
    /// Whether the last commit failed.
    is_failing: bool,
}

impl WriterTask {
    async fn run(mut self) {
        let mut group = Vec::with_capacity(GROUP_MAX);
        while self.waiting.recv_many(&mut group, GROUP_MAX).await > 0 {
            let committed = AssertUnwindSafe(self.commit_group(&mut group)).catch_unwind().await;
            if committed.is_err() {
                // A fault in one operation must not end all writing. Dropping the connection rolls the group back, dropping
                // the operations tells their callers that nobody will answer.
                tracing::error!(
                    "a fault in rota broke a write off; what was in its transaction was not written"
                );
                self.connection = None;
                group.clear();
            }
        }
        if let Some(connection) = self.connection.take() {
            let closed = connection.close().await;
            if let Err(error) = closed {
                tracing::warn!(%error, "the store's writer did not close cleanly; nothing is lost");
            }
        }
    }

    /// Executes a group and answers it. A connection that failed is dropped (which rolls back) and opened anew.
    async fn commit_group(&mut self, group: &mut Vec<Operation>) {
        let mut executed = Vec::with_capacity(group.len());
        match self.try_group(group, &mut executed).await {
            Ok(()) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the store commits again");
                }
                executed.into_iter().for_each(|done| (done.answer)(None));
            }
            Err(error) => {
                // Said once: it is tried again and again while its cause lasts.
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::error!("the store cannot commit: {}", failed(&error));
                }
                self.connection = None;
                for done in executed {
                    (done.answer)(done.is_ok.then(|| failed(&error)));
                }
                // Operations that were not reached: dropping them tells their callers that nobody will answer.
                group.clear();
            }
        }
    }

    async fn try_group(
        &mut self,
        group: &mut Vec<Operation>,
        executed: &mut Vec<Executed>,
    ) -> Result<(), sqlx::Error> {
        if self.connection.is_none() {
            self.connection = Some(self.options.connect().await?);
        }
        let connection = self.connection.as_mut().expect("opened above");
        step(connection, "begin immediate").await?;
        let is_alone = group.len() == 1;
        for operation in group.drain(..) {
            if is_alone {
                executed.push(operation(connection).await);
            } else {
                in_savepoint(connection, operation, executed).await?;
            }
        }
        let any_ok = executed.iter().any(|done| done.is_ok);
        step(connection, if any_ok { "commit" } else { "rollback" }).await
    }
}

async fn in_savepoint(
    connection: &mut SqliteConnection,
    operation: Operation,
    executed: &mut Vec<Executed>,
) -> Result<(), sqlx::Error> {
    step(connection, "savepoint operation").await?;
    let done = operation(connection).await;
    let is_ok = done.is_ok;
    executed.push(done);
    if !is_ok {
        step(connection, "rollback to operation").await?;
    }
    step(connection, "release operation").await
}

async fn step(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(sql).execute(connection).await.map(drop)
}
