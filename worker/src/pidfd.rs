//! Waiting for a process through its pidfd.

use std::io;

use rustix::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a pidfd with the runtime; it becomes readable when its process has ended.
///
/// # Errors
/// The runtime is being shut down, or has no file descriptors left.
#[expect(
    deprecated,
    reason = "its successor needs unsafe code, for types whose descriptor may change; an `OwnedFd` keeps its own"
)]
pub(crate) fn register(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(pidfd, Interest::READABLE)
}
