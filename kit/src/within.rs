//! A limit on how long a call may take. A call that is given up may have happened all the same, so what is called like this
//! is either read, or guarded, or harmless when it is done twice.

use std::fmt;
use std::time::Duration;

use rota_core::port::{BrokerError, StoreError};

/// There was no answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late {
    limit: Duration,
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.limit.subsec_nanos() == 0 {
            write!(f, "no answer within {} s", self.limit.as_secs())
        } else {
            write!(f, "no answer within {:?}", self.limit)
        }
    }
}

impl From<Late> for StoreError {
    fn from(late: Late) -> Self {
        Self::Unavailable(late.to_string())
    }
}

impl From<Late> for BrokerError {
    fn from(late: Late) -> Self {
        Self(late.to_string())
    }
}

/// The call's answer, or that there was none within `limit`.
///
/// # Errors
/// Those of the call, and [`Late`].
pub async fn within<T, E: From<Late>>(
    limit: Duration,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(Late { limit }.into()))
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn a_call_without_an_answer_ends_at_its_limit_and_says_so() {
        let store = within(Duration::from_millis(2), pending::<Result<(), StoreError>>()).await;
        assert!(matches!(store, Err(StoreError::Unavailable(why)) if why == "no answer within 2ms"));
        let broker = within(Duration::ZERO, pending::<Result<(), BrokerError>>()).await;
        assert!(matches!(broker, Err(BrokerError(why)) if why == "no answer within 0 s"));
    }

    #[tokio::test]
    async fn an_answer_in_time_is_the_calls_own() {
        let call = async { Err::<(), _>(StoreError::Conflict("taken".to_owned())) };
        assert!(matches!(within(Duration::from_secs(9), call).await, Err(StoreError::Conflict(_))));
    }
}
