//! What comes next. The planner is a pure fold: facts, intents and the time go in, one batch of changes comes out
//! ([`Planner`]). Nothing here makes a call or waits, so a simulation can drive it through any sequence of crashes.

mod condition;
mod failures;
mod fire;
mod lane;
mod planner;
mod questions;
mod retry;
mod rule;
mod run;
pub mod why;

pub use planner::{Aftermath, Planner};
pub use retry::retry_wait;
pub use rule::{Tally, Verdict, verdict};
pub use run::{Effects, RunWalk};
