//! The clustered store: Postgres, 13 or newer. The statements are those of `sql/`; this module says on which connections and
//! in which mode each role's verbs run.
//!
//! Each role has a lane of its own (`lane.rs`), so that a page that reads much never keeps a heartbeat waiting. A lane's
//! session settings make the server free the locks of a process that is stopped or cut off: a leader that is frozen inside
//! its transaction holds up the next one for two seconds at most. Verbs of a single statement run without a
//! transaction of their own. All instants that decide about leases are the database's.

#[macro_use]
mod dialect;
mod host;
mod lane;
mod options;
mod schema;
#[path = "../sql/mod.rs"]
mod sql;
mod task_path;
mod time;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rota_core::id::Epoch;
use rota_core::port::StoreResult;
use sqlx::postgres::PgConnection;

use lane::{Lane, LaneOptions, Mode, Step};
use time::DatabaseClock;

use crate::damage::Damage;

pub use options::PostgresOptions;
pub use schema::postgres_migrate;

/// What `sql/` implements the ports for.
type Store = PostgresStore;

/// The leader's transactions, one at a time. A frozen leader's session is ended, so that the next can begin its term.
const LEADER: LaneOptions = LaneOptions {
    name: "leader",
    size: 2,
    limit: Duration::from_secs(6),
    settings: &[
        ("idle_in_transaction_session_timeout", "2s"),
        ("statement_timeout", "5s"),
        ("lock_timeout", "3s"),
        ("tcp_user_timeout", "5s"),
        // See `task_path.rs`.
        ("enable_seqscan", "off"),
        ("jit", "off"),
    ],
};

/// Heartbeats and registrations, which must never wait behind anything else.
const LEASES: LaneOptions = LaneOptions {
    name: "lease",
    size: 2,
    limit: Duration::from_secs(3),
    settings: &[
        ("idle_in_transaction_session_timeout", "2s"),
        ("statement_timeout", "2s"),
        ("lock_timeout", "2s"),
        ("tcp_user_timeout", "5s"),
    ],
};

/// Claims, outcomes, logs.
const FACTS: LaneOptions = LaneOptions {
    name: "worker",
    size: 6,
    limit: Duration::from_secs(6),
    settings: &[
        ("idle_in_transaction_session_timeout", "2s"),
        ("statement_timeout", "5s"),
        ("lock_timeout", "3s"),
        ("tcp_user_timeout", "5s"),
        // See `task_path.rs`.
        ("enable_seqscan", "off"),
        ("jit", "off"),
    ],
};

/// Pages, and what people write.
const PEOPLE: LaneOptions = LaneOptions {
    name: "web",
    size: 6,
    limit: Duration::from_secs(10),
    settings: &[
        ("idle_in_transaction_session_timeout", "2s"),
        ("statement_timeout", "8s"),
        ("lock_timeout", "3s"),
        ("tcp_user_timeout", "5s"),
    ],
};

struct Lanes {
    leader: Lane,
    leases: Lane,
    facts: Lane,
    people: Lane,
    clock: DatabaseClock,
}

/// The clustered store. Clones share its connections, which are opened when they are needed.
#[derive(Clone)]
pub struct PostgresStore {
    lanes: Arc<Lanes>,
    damage: Damage,
    reader: Reader,
}

/// Who reads, where several roles have the same verb: what decides on which connections it runs.
#[derive(Debug, Clone, Copy)]
enum Reader {
    Leader,
    Worker,
    People,
}

impl PostgresStore {
    /// A store that has not connected yet. It is people's, until it is said to be somebody else's.
    pub fn new(options: PostgresOptions) -> Self {
        let lane = |lane| Lane::new(&options, lane);
        Self {
            lanes: Arc::new(Lanes {
                leader: lane(LEADER),
                leases: lane(LEASES),
                facts: lane(FACTS),
                people: lane(PEOPLE),
                clock: DatabaseClock::default(),
            }),
            damage: Damage::default(),
            reader: Reader::People,
        }
    }

    /// The same store for a leader: what it reads in common with others does not wait behind what people read.
    #[must_use]
    pub fn for_leader(self) -> Self {
        Self { reader: Reader::Leader, ..self }
    }

    /// The same store for a worker.
    #[must_use]
    pub fn for_worker(self) -> Self {
        Self { reader: Reader::Worker, ..self }
    }

    /// Completes when the database says that what it holds is damaged, with what it said.
    pub async fn damaged(&self) -> String {
        self.damage.found().await
    }

    /// Whether it answers and has the schema that this rota needs.
    ///
    /// # Errors
    /// `Refused` when a newer rota has written the schema; `Unavailable` when it cannot be reached, or `rota migrate` has
    /// not been run yet.
    pub async fn check(&self) -> StoreResult<()> {
        self.beat(|connection, _now| Box::pin(schema::check(connection))).await
    }

    async fn fenced<T, F>(&self, epoch: Epoch, operation: F) -> StoreResult<T>
    where
        F: for<'c> Fn(&'c mut PgConnection, DateTime<Utc>) -> Step<'c, StoreResult<T>>,
    {
        let answer = self.lanes.leader.run(&self.lanes.clock, Mode::Fenced(epoch), operation).await;
        self.damage.noted(answer)
    }

    async fn read<T, F>(&self, operation: F) -> StoreResult<T>
    where
        F: for<'c> Fn(&'c mut PgConnection, DateTime<Utc>) -> Step<'c, StoreResult<T>>,
    {
        let lane = match self.reader {
            Reader::Leader => &self.lanes.leader,
            Reader::Worker => &self.lanes.facts,
            Reader::People => &self.lanes.people,
        };
        self.damage.noted(lane.run(&self.lanes.clock, Mode::Statements, operation).await)
    }

    async fn clock_now(&self) -> StoreResult<DateTime<Utc>> {
        if let Some(now) = self.lanes.clock.now() {
            return Ok(now);
        }
        self.plan_read(|_connection, now| Box::pin(async move { Ok(now) })).await
    }
}

/// How the port's roles reach the database.
macro_rules! roles {
    ($($role:ident => $lane:ident, $mode:ident;)+) => {
        impl PostgresStore {$(
            async fn $role<T, F>(&self, operation: F) -> StoreResult<T>
            where
                F: for<'c> Fn(&'c mut PgConnection, DateTime<Utc>) -> Step<'c, StoreResult<T>>,
            {
                self.damage.noted(self.lanes.$lane.run(&self.lanes.clock, Mode::$mode, operation).await)
            }
        )+}
    };
}

roles! {
    begin => leader, Transaction;
    plan_read => leader, Statements;
    register => leases, Transaction;
    beat => leases, Statements;
    fact => facts, Statements;
    fact_read => facts, Statements;
    intend => people, Transaction;
    view => people, Statements;
}
