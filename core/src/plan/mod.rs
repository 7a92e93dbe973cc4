//! What comes next. The planner is a pure fold: facts, intents and the time go in, one batch of changes comes out
//! ([`Planner`]). Nothing here makes a call or waits, so a simulation can drive it through any sequence of crashes.

mod active_runs;
mod admission;
mod draft;
mod intents;
mod ledger;
mod planned_dag;
mod planner;
mod questions;
mod ready_queue;
mod retry_wait;
mod run;
mod slots;
mod timers;
mod trigger_rule;
pub mod why;

pub use planner::Planner;
pub use retry_wait::retry_wait;
pub use run::RunWalk;
pub use trigger_rule::{Tally, Verdict, verdict};
