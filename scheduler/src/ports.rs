//! What a scheduler needs of the outside.

use std::sync::Arc;

use rota_core::port::{Broker, Leadership, Plans};

/// The ports of one scheduler replica.
#[derive(Clone)]
pub struct Ports {
    /// The store, as the leader sees it.
    pub plans: Arc<dyn Plans>,
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// The election.
    pub leadership: Arc<dyn Leadership>,
}
