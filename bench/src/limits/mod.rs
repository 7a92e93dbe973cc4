//! What this machine can do at all, without rota: the yardsticks beside the figures.

pub(crate) mod chain;
pub(crate) mod postgres;
pub(crate) mod rabbit;
pub(crate) mod rows;
pub(crate) mod spawns;

use rota_tests::services::together::Services;

use crate::figures::Bench;
use crate::home::Home;
use crate::record::Record;

/// Rows per transaction: what the leader lets into the lane of no-op tasks at most.
const BATCH: usize = 2048;
const TASKS: usize = 50_000;
const MESSAGES: usize = 30_000;

/// What stands beside figures of no-op tasks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Tasks per second as bare rows of the store.
    rows: f64,
    services: Option<ServiceLimits>,
}

/// What the services of a cluster can do.
#[derive(Debug, Clone, Copy)]
struct ServiceLimits {
    postgres: postgres::Speed,
    /// Messages per second, published and consumed at the same time.
    messages: f64,
}

impl Limits {
    /// Measures them. `name` is that of a new file or database.
    pub(crate) async fn measure(bench: &Bench, home: &Home, name: &str) -> anyhow::Result<Self> {
        let tasks = bench.size(TASKS);
        let limits = match &bench.services {
            None => {
                let rows = rows::tasks_per_second(&home.file(&format!("{name}.db")), tasks, BATCH).await?;
                Self { rows, services: None }
            }
            Some(services) => {
                let rows = postgres::tasks_per_second(&database(services), tasks, BATCH).await?;
                let postgres = postgres::Speed::measure(&database(services)).await?;
                let messages = rabbit::messages_per_second(services, bench.size(MESSAGES)).await?;
                Self { rows, services: Some(ServiceLimits { postgres, messages }) }
            }
        };
        eprintln!("limits: {limits:?}");
        Ok(limits)
    }

    /// The mean of a measurement before and one after.
    pub(crate) fn mean(self, other: Self) -> Self {
        let services = self.services.zip(other.services).map(|(one, other)| ServiceLimits {
            postgres: one.postgres.mean(other.postgres),
            messages: f64::midpoint(one.messages, other.messages),
        });
        Self { rows: f64::midpoint(self.rows, other.rows), services }
    }

    /// Adds them to a figure in tasks per second.
    pub(crate) fn beside(self, record: Record) -> Record {
        let Some(ServiceLimits { postgres, messages }) = self.services else {
            let what =
                "tasks/s as bare SQLite rows (1 insert and 2 updates each, 2048 of each per transaction)";
            return record.limit(what, self.rows);
        };
        record
            .limit(
                "tasks/s as bare Postgres rows (1 insert and 2 updates each by unnest, 2048 of each per transaction)",
                self.rows,
            )
            .number("rabbit_messages_per_s", messages)
            .number("postgres_unnest_updates_per_s", postgres.updates_per_s)
            .number("postgres_commit_ms", postgres.commit_ms)
    }
}

/// What three batches wait for goes on together, as in the real thing: in each turn, what is to be queued, what claimed, and
/// what finished.
pub(crate) fn turns<T>(batches: &[T]) -> impl Iterator<Item = [Option<&T>; 3]> {
    let turns = 0..batches.len() + 2;
    turns.map(|turn| [0, 1, 2].map(|delay| turn.checked_sub(delay).and_then(|turn: usize| batches.get(turn))))
}

/// A new, empty database.
pub(crate) fn database(services: &Services) -> String {
    tokio::task::block_in_place(|| {
        let place = services.place("limit");
        services.postgres.url(&place.name)
    })
}
