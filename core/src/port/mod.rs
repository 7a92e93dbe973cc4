//! The outside, as traits: what the loops need from a store, a broker, an election and a clock.
//!
//! The store's verbs stand by table: a file here has the rows of one and the traits that read and write them, named after
//! the table and the role whose they are. A role is all of its traits together, so that a signature says who may do
//! what: people write [`Intents`], the leader writes [`Plans`] under its epoch, workers write [`Facts`], pages read
//! [`Views`]. What several roles read is one verb in a trait of its own (`*Reads`). Each trait has an embedded and a clustered
//! adapter; one conformance suite runs over both.

mod audit;
mod batch;
mod broker;
mod clock;
mod dag;
mod dag_file;
mod error;
mod history;
mod intent;
mod leadership;
mod log;
mod replica;
mod replica_file;
mod run;
mod slot;
mod task;
mod term;
mod worker;

pub use audit::*;
pub use batch::*;
pub use broker::*;
pub use clock::*;
pub use dag::*;
pub use dag_file::*;
pub use error::*;
pub use history::*;
pub use intent::*;
pub use leadership::*;
pub use log::*;
pub use replica::*;
pub use replica_file::*;
pub use run::*;
pub use slot::*;
pub use task::*;
pub use term::*;
pub use worker::*;

use serde_json::{Map, Value};

/// Parameters of a run, or outputs of a task: a JSON object.
pub type Object = Map<String, Value>;

/// A role is all of these traits together: whoever has them plays it.
macro_rules! role {
    ($(#[$about:meta])* $role:ident: $first:ident $(+ $more:ident)*) => {
        $(#[$about])*
        pub trait $role: $first $(+ $more)* {}

        impl<T: $first $(+ $more)*> $role for T {}
    };
}

role! {
    /// What people write: triggers, pause switches, cancels, retries. Each is recorded with who asked, in the same
    /// transaction.
    Intents: AuditIntents + DagIntents + RunIntents + WorkerIntents
}

role! {
    /// What the leader reads and writes. Every verb that writes for a term carries its epoch and does nothing under an
    /// old one.
    Plans: BatchPlans + DagFilePlans + DagFileReads + DagReads + DagSources + HistoryPlans + IntentPlans
        + ReplicaFilePlans + ReplicaPlans + RunPlans + RunReads + TaskPlans + TaskReads + TermPlans + WorkerPlans
}

role! {
    /// What workers write: that they live, what they claimed, how it ended, what it printed.
    Facts: DagSources + LogFacts + TaskFacts + WorkerFacts
}

role! {
    /// What pages and commands read. Bounded: every list has a limit.
    Views: AuditViews + DagFileReads + DagReads + DagViews + LogViews + ReplicaViews + RunReads + RunViews + SlotViews
        + TaskReads + TaskViews + TermViews + WorkerViews
}

role! {
    /// All four roles of a store in one value, for the place that wires the loops.
    Store: Intents + Plans + Facts + Views
}
