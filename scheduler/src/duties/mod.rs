//! What a leader does besides folding facts into plans, each duty in a file of its own: it holds what it remembers from one
//! go to the next, works on the [`crate::term::LeaderTerm`] that it is given, and returns what came of it. A duty re-reads
//! what it needs, can be repeated without harm, and knows neither the other duties nor the loop that calls it.

pub(crate) mod directory;
pub(crate) mod intents;
pub(crate) mod prune;
pub(crate) mod reap;
pub(crate) mod republish;
pub(crate) mod sweep;
