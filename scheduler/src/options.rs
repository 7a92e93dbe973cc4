//! What a scheduler can be told.

use std::path::PathBuf;
use std::time::Duration;

use rota_core::id::ReplicaId;

/// Options of one scheduler replica.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name among the replicas.
    pub replica: ReplicaId,
    /// Its DAG directory; `None` for a replica that has none.
    pub dags_dir: Option<PathBuf>,
    /// How often it looks at the store even if no doorbell rang: the longest that a lost doorbell can cost.
    pub sweep: Duration,
    /// How often it rescans the DAG directory even if the directory watch said nothing.
    pub rescan: Duration,
    /// How long finished runs and ledger entries are kept.
    pub retention: Duration,
    /// The most time that one call of the store or the broker may take.
    pub call_timeout: Duration,
}

impl Options {
    /// The defaults: sweep 1 s, rescan 10 s, retention 90 days, calls 30 s.
    pub fn new(replica: ReplicaId) -> Self {
        Self {
            replica,
            dags_dir: None,
            sweep: Duration::from_secs(1),
            rescan: Duration::from_secs(10),
            retention: Duration::from_secs(90 * 24 * 3600),
            call_timeout: Duration::from_secs(30),
        }
    }
}
