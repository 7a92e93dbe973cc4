//! The outside, as traits: what the loops need from a store, a broker, an election and a clock.
//!
//! The store is cut by role, so that a signature says who may do what: people write [`Intents`], the leader writes
//! [`Plans`] under its epoch, workers write [`Facts`], pages read [`Views`]. Each trait has an embedded and a clustered
//! adapter; one conformance suite per trait runs over both.

mod broker;
mod clock;
mod error;
mod facts;
mod intents;
mod leadership;
mod ledger;
mod plans;
mod rows;
mod views;

pub use broker::*;
pub use clock::*;
pub use error::*;
pub use facts::*;
pub use intents::*;
pub use leadership::*;
pub use ledger::*;
pub use plans::*;
pub use rows::*;
pub use views::*;

/// All four roles of a store in one value, for the place that wires the loops.
pub trait Store: Intents + Plans + Facts + Views {}

impl<T: Intents + Plans + Facts + Views> Store for T {}
