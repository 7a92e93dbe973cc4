//! What a leader does besides folding facts into plans, each duty in a file of its own. A duty re-reads what it needs and
//! can be repeated without harm.

pub(crate) mod files;
pub(crate) mod republish;
pub(crate) mod sweep;
