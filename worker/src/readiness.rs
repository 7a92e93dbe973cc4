//! Whether this worker can start processes now, as far as is known: told by whoever could not start one and by the looks of
//! `probe`, asked by whoever claims or tells.

use tokio::sync::watch;

/// What the worker is short of, if it is. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    trouble: watch::Sender<Option<String>>,
}

impl Readiness {
    /// Nothing is known to be short.
    pub(crate) fn new() -> Self {
        Self { trouble: watch::Sender::new(None) }
    }

    /// What it is short of, in words.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    /// Follows it from outside.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<String>> {
        self.trouble.subscribe()
    }

    /// Whether tasks can be started, as far as is known.
    pub(crate) fn is_well(&self) -> bool {
        self.trouble.borrow().is_none()
    }

    /// Something could not be had.
    pub(crate) fn is_short(&self, why: &str) {
        self.trouble.send_if_modified(|trouble| {
            if trouble.is_some() {
                return false;
            }
            tracing::error!("this worker cannot start tasks and claims none until it can: {why}");
            *trouble = Some(why.to_owned());
            true
        });
    }

    /// Waits until nothing is known to be short.
    pub(crate) async fn well(&self) {
        // The sender is this value.
        let _ = self.trouble.subscribe().wait_for(Option::is_none).await;
    }

    /// Waits until something is short.
    pub(crate) async fn troubled(&self) {
        let _ = self.trouble.subscribe().wait_for(Option::is_some).await;
    }

    /// A start ended well again.
    pub(crate) fn is_over(&self) {
        tracing::warn!("this worker can start tasks again");
        self.trouble.send_replace(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn trouble_is_the_first_cause_until_it_is_over() {
        let readiness = Readiness::new();
        readiness.well().await;
        readiness.is_short("no descriptors");
        readiness.is_short("no memory");
        readiness.troubled().await;
        assert_eq!(readiness.trouble().as_deref(), Some("no descriptors"));
        readiness.is_over();
        readiness.well().await;
        assert_eq!(readiness.trouble(), None);
    }
}
