//! Schedules, by example and by property: against `croner`, and against a brute-force enumerator that walks every
//! minute (or second) of a window and shares no code with the crate.
//!
//! Properties run with a seed that is printed when one fails: `ROTA_TEST_SEED=... cargo test` repeats it, and
//! `ROTA_TEST_CASES` (a multiplier, default 1) makes them run longer.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

#[path = "schedule/against_brute.rs"]
mod against_brute;
#[path = "schedule/against_croner.rs"]
mod against_croner;
#[path = "schedule/brute.rs"]
mod brute;
#[path = "schedule/catchup.rs"]
mod catchup;
#[path = "schedule/examples.rs"]
mod examples;
#[path = "schedule/expression.rs"]
mod expression;
#[path = "schedule/garbage.rs"]
mod garbage;

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use proptest::prelude::{ProptestConfig, Strategy};
use proptest::test_runner::{RngSeed, TestCaseError, TestRunner};
use rota_core::schedule::Zone;

/// Runs a property over `cases` random inputs; a failure names the seed and the smallest input found.
fn check<S: Strategy>(cases: u32, input: &S, property: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S::Value: Debug,
{
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("ROTA_TEST_SEED").unwrap_or_else(|| RandomState::new().hash_one(cases));
    let times = u32::try_from(number("ROTA_TEST_CASES").unwrap_or(1)).unwrap();
    let config = ProptestConfig {
        cases: cases * times,
        max_global_rejects: 100 * cases * times,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed),
        ..ProptestConfig::default()
    };
    if let Err(failure) = TestRunner::new(config).run(input, property) {
        panic!("ROTA_TEST_SEED={seed}: {failure}");
    }
}

/// The zone as the crate has it. The oracles keep chrono-tz, with data and code of its own: the zones of these tests are
/// among those whose rules have not changed since its edition, as a test beside `Zone` shows.
fn zone(tz: Tz) -> Zone {
    Zone::named(tz.name()).unwrap()
}

/// An instant written as RFC 3339.
fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// The instant of a second since the epoch.
fn secs(secs: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(secs, 0).unwrap()
}
