//! What a scheduler tells of itself.

use rota_core::id::Epoch;

/// What a scheduler replica is doing, for health pages and start-up messages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    /// The epoch it leads under; `None` while it stands by.
    pub epoch: Option<Epoch>,
    /// Whether it leads without reaching the election.
    pub is_doubtful: bool,
    /// DAGs whose file is good, once the directory was read in this term.
    pub dags: Option<usize>,
    /// Broken files: path and first error, in words.
    pub broken: Vec<String>,
    /// Files that are older than what the store has of their DAGs, in words: this replica's directory is to be updated.
    pub behind: Vec<String>,
}
