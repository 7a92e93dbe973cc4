//! Ports that can be made to fail or to hang, by a switch that a test holds.

mod broker;
mod plans;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

pub use broker::FaultyBroker;
pub use plans::FaultyPlans;

/// What a call of the port does before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it goes through.
    None,
    /// It fails at once.
    Fails,
    /// It never answers.
    Hangs,
}

/// The switch of a port.
#[derive(Debug, Clone, Default)]
pub struct Switch(Arc<AtomicU8>);

impl Switch {
    /// From now on.
    pub fn set(&self, fault: Fault) {
        self.0.store(fault as u8, Ordering::SeqCst);
    }

    /// `Err` if the call is to fail; does not come back if it is to hang.
    async fn pass(&self) -> Result<(), &'static str> {
        match self.0.load(Ordering::SeqCst) {
            0 => Ok(()),
            1 => Err("the test says so"),
            _ => std::future::pending().await,
        }
    }
}
