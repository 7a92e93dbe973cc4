//! A port whose every call has the same limit, so that no caller can forget it.

use std::sync::Arc;
use std::time::Duration;

use crate::within::{Late, within};

/// A port, and the longest that one call of it may take.
#[derive(Debug)]
pub struct Timed<P: ?Sized> {
    port: Arc<P>,
    limit: Duration,
}

impl<P: ?Sized> Timed<P> {
    /// Bounds all calls of `port`.
    #[must_use]
    pub fn new(port: Arc<P>, limit: Duration) -> Self {
        Self { port, limit }
    }

    /// Makes a call: `store.ask(|plans| plans.now())`.
    ///
    /// # Errors
    /// Those of the call, and that it had no answer in time.
    pub fn ask<'p, T, E, F>(&'p self, call: impl FnOnce(&'p P) -> F) -> impl Future<Output = Result<T, E>>
    where
        E: From<Late>,
        F: Future<Output = Result<T, E>>,
    {
        self.ask_within(self.limit, call)
    }

    /// The same with a limit of its own.
    ///
    /// # Errors
    /// Those of the call, and that it had no answer in time.
    pub fn ask_within<'p, T, E, F>(
        &'p self,
        limit: Duration,
        call: impl FnOnce(&'p P) -> F,
    ) -> impl Future<Output = Result<T, E>>
    where
        E: From<Late>,
        F: Future<Output = Result<T, E>>,
    {
        within(limit, call(&self.port))
    }
}

impl<P: ?Sized> Clone for Timed<P> {
    fn clone(&self) -> Self {
        Self { port: Arc::clone(&self.port), limit: self.limit }
    }
}
