//! What a scheduler can be told.

use std::path::PathBuf;
use std::time::Duration;

use rota_core::id::ReplicaId;
use rota_kit::host::host_name;

/// How long finished runs and ledger entries are kept unless somebody says otherwise.
pub const RETENTION_DEFAULT: Duration = Duration::from_secs(90 * 24 * 3600);

/// Options of one scheduler replica.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name among the replicas. What it saw in its DAG directory is recorded under it, so it should be the same after a
    /// restart.
    pub replica: ReplicaId,
    /// The name of its host, for people.
    pub host: String,
    /// Its DAG directory; `None` for a replica that has none.
    pub dags_dir: Option<PathBuf>,
    /// How often it looks at the store even if no doorbell rang: the longest that a lost doorbell can cost.
    pub sweep: Duration,
    /// How often it rescans the DAG directory even if the directory watch said nothing.
    pub rescan: Duration,
    /// How long finished runs and ledger entries are kept.
    pub retention: Duration,
    /// The most time that one call of the store may take.
    pub call_timeout: Duration,
    /// How long a leader that does not reach the store keeps the lead: another replica may reach it.
    pub store_patience: Duration,
    /// How long a new leader waits for the first look at its DAG directory.
    pub first_scan: Duration,
}

impl Options {
    /// The defaults: sweep 1 s, rescan 10 s, retention 90 days, calls 5 s, patience 5 s, first scan 10 s.
    pub fn new(replica: ReplicaId) -> Self {
        Self {
            replica,
            host: host_name(),
            dags_dir: None,
            sweep: Duration::from_secs(1),
            rescan: Duration::from_secs(10),
            retention: RETENTION_DEFAULT,
            call_timeout: Duration::from_secs(5),
            store_patience: Duration::from_secs(5),
            first_scan: Duration::from_secs(10),
        }
    }
}
