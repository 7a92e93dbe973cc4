//! What any verb of a store finds out about damage, told to whoever ends the process: a damaged store is no outage, and nothing
//! gets better by asking again.

use rota_core::port::{StoreError, StoreResult};
use tokio::sync::watch;

/// What was found, once something was. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Damage(watch::Sender<Option<String>>);

impl Default for Damage {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Damage {
    /// Passes on the answer of a verb, and notes what it says about damage.
    pub(crate) fn noted<T>(&self, answer: StoreResult<T>) -> StoreResult<T> {
        if let Err(StoreError::Damaged(why)) = &answer {
            self.0.send_if_modified(|found| {
                let is_first = found.is_none();
                found.get_or_insert_with(|| why.clone());
                is_first
            });
        }
        answer
    }

    /// Completes when damage was found, with the first that was, in words.
    pub(crate) async fn found(&self) -> String {
        let mut found = self.0.subscribe();
        let why = found.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        match why {
            Some(why) => why,
            // The sender is this value, so it does not end before.
            None => std::future::pending().await,
        }
    }
}
