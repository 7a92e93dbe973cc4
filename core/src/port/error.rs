//! What can go wrong at a port.

use crate::id::Epoch;

/// Why a store verb did nothing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The epoch is no longer current: another replica leads. Step down.
    #[error("epoch {0} is over: another scheduler leads")]
    Fenced(Epoch),
    /// A guarded write found another state than expected. Nothing was written; re-read and decide again.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The thing named does not exist.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The request breaks a rule that the store keeps; the text says which and what to do.
    #[error("{0}")]
    Refused(String),
    /// The database does not take a value: out of range, too large, of another kind, against a rule of the schema. Asking again
    /// changes nothing. The text is the database's, for the log.
    #[error("the store does not take a value: {0}")]
    Data(String),
    /// What the store holds is damaged. What is read from it may be wrong, and asking again changes nothing: stop.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The store cannot be reached or answered with an error; the write may or may not have happened.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// The store undid the operation because it crossed another one: nothing was written, and asking again at once helps.
    /// Adapters do so themselves and answer `Unavailable` in the end, so callers need not know it apart.
    #[error("store unavailable: {0}")]
    Undone(String),
}

impl StoreError {
    /// Whether the store itself is in trouble. That says nothing about what was asked, which is to be kept and asked again.
    pub const fn is_outage(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Undone(_) | Self::Damaged(_) => true,
            Self::Fenced(_) | Self::Conflict(_) | Self::NotFound(_) | Self::Refused(_) | Self::Data(_) => {
                false
            }
        }
    }
}

/// Result of a store verb.
pub type StoreResult<T> = Result<T, StoreError>;

/// Why a broker verb did nothing certain. Messages are hints, so the caller goes on and lets the sweep repair.
#[derive(Debug, thiserror::Error)]
#[error("broker unavailable: {0}")]
pub struct BrokerError(pub String);

/// Why a term could not be had or kept.
#[derive(Debug, thiserror::Error)]
#[error("election unavailable: {0}")]
pub struct LeadershipError(pub String);
