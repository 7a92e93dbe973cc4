//! The database's clock, without asking for it each time.
//!
//! Once a second somebody asks; in between the answer is carried on by `CLOCK_BOOTTIME`, which goes on while a process is
//! stopped or a machine sleeps. What decides about leases asks the database itself, in its statement (`clock!`).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rota_kit::boottime::BootTime;
use sqlx::postgres::PgConnection;

/// After this long the clock is asked again.
const FRESH: Duration = Duration::from_secs(1);
/// An answer that took longer says too little.
const ANSWER_MAX: Duration = Duration::from_millis(50);
/// Small steps back are the inaccuracy of two answers, and are not shown. Larger ones are the clock's own.
const STEP_MIN_US: i64 = 100_000;

const ASK: &str = "select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint)";

/// An answer.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// The database's clock, in microseconds since 1970.
    database_us: i64,
    /// When it showed that.
    at: BootTime,
    /// How long the answer took.
    took: Duration,
}

#[derive(Debug, Default)]
struct State {
    sample: Option<Sample>,
    /// The latest instant that was told.
    told_us: i64,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct DatabaseClock {
    state: Mutex<State>,
}

impl DatabaseClock {
    /// Now; `None` if the clock has to be asked first.
    pub(super) fn now(&self) -> Option<DateTime<Utc>> {
        let sample = self.state().sample?;
        let is_fresh = BootTime::now().since(sample.at) < FRESH;
        if is_fresh { self.tell() } else { None }
    }

    /// Now, as far as it can be told from an old answer.
    pub(super) fn estimate(&self) -> Option<DateTime<Utc>> {
        self.tell()
    }

    /// Asks.
    pub(super) async fn ask(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let before = BootTime::now();
        let database_us: i64 = sqlx::query_scalar(ASK).fetch_one(connection).await?;
        let after = BootTime::now();
        let took = after.since(before);
        let sample = Sample { database_us, at: before.after(took / 2), took };
        let mut state = self.state();
        let is_better = match state.sample {
            Some(old) => took <= old.took || took < ANSWER_MAX || after.since(old.at) > 10 * FRESH,
            None => true,
        };
        if is_better {
            state.sample = Some(sample);
        }
        Ok(())
    }

    fn tell(&self) -> Option<DateTime<Utc>> {
        let mut state = self.state();
        let sample = state.sample?;
        let passed = BootTime::now().since(sample.at).as_micros();
        let now_us = sample.database_us + i64::try_from(passed).unwrap_or(i64::MAX / 2);
        let is_inaccuracy = now_us < state.told_us && state.told_us - now_us < STEP_MIN_US;
        state.told_us = if is_inaccuracy { state.told_us } else { now_us };
        DateTime::from_timestamp_micros(state.told_us)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
