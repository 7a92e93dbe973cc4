//! The outside, as traits: what the loops need from a store, a broker, an election and a clock.
//!
//! The store is cut by role, so that a signature says who may do what: people write [`Intents`], the leader writes
//! [`Plans`] under its epoch, workers write [`Facts`], pages read [`Views`]. Each trait has an embedded and a clustered
//! adapter; one conformance suite per trait runs over both.

mod batch;
mod broker;
mod clock;
mod error;
mod intent;
mod leadership;
mod rows;
mod run;
mod slot;
mod task;

pub use batch::*;
pub use broker::*;
pub use clock::*;
pub use error::*;
pub use intent::*;
pub use leadership::*;
pub use rows::*;
pub use run::*;
pub use slot::*;
pub use task::*;

/// All four roles of a store in one value, for the place that wires the loops.
pub trait Store: Intents + Plans + Facts + Views {}

impl<T: Intents + Plans + Facts + Views> Store for T {}
