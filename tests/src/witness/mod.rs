//! A witness of what really ran, and checkers that believe nobody else.
//!
//! Tasks of the fault tests append lines to a file of their own ([`record`]); the test writes down what it did to the
//! server ([`history`]). [`check`] judges from these two alone whether rota kept its promises; only when a slot has no run
//! does it look at rota's ledger, for the reason. [`agree`] compares rota's own account with the witness afterwards.
//! [`commits`] is a second witness, inside Postgres; [`lateness`] is for reports.
//! [`residue`] looks for processes that should be gone. Nothing here shares code with rota's planner, store or worker.

pub mod agree;
pub mod check;
pub mod commits;
pub mod history;
pub mod lateness;
pub mod record;
pub mod residue;
