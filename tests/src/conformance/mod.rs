//! What every adapter of a port must do, as claims: one function per claim, against the port alone. An adapter's test
//! gives a function that opens a fresh instance and names the suite:
//!
//! ```ignore
//! async fn open() -> Opened<dyn Store> { .. }
//! rota_tests::store_suite!(open);
//! ```
//!
//! Nothing here knows which adapter it runs over: time comes from the store's own clock, waiting is polling with a
//! deadline, and order is only expected where the port promises it.

pub mod broker;
pub mod leadership;
pub mod store;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// How long anything may take before a claim counts as broken.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// The pause between two looks.
const POLL: Duration = Duration::from_millis(5);

/// A fresh instance of an adapter.
pub struct Opened<P: ?Sized> {
    /// The adapter.
    pub port: Arc<P>,
    /// What must outlive it: a directory, a server.
    pub keep: Box<dyn Any + Send>,
}

/// Looks until there is something to see.
///
/// # Panics
/// After [`DEADLINE`], naming what was waited for.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looks = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(DEADLINE, looks).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Waits for something that is to come.
///
/// # Panics
/// After [`DEADLINE`], naming what was waited for.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// One test per claim.
#[macro_export]
macro_rules! claims {
    ($open:path, $module:ident: [$($claim:ident),+ $(,)?]) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $claim() {
            let opened = $open().await;
            $crate::conformance::$module::$claim(std::sync::Arc::clone(&opened.port)).await;
            drop(opened);
        }
    )+};
}

/// Fails if a claim was written and not put into its suite's list.
///
/// # Panics
/// Naming the first such claim.
pub fn assert_every_claim_is_listed() {
    let suites = [
        (include_str!("broker.rs"), [include_str!("broker.rs")].as_slice()),
        (include_str!("leadership.rs"), &[include_str!("leadership.rs")]),
        (
            include_str!("store/mod.rs"),
            &[
                include_str!("store/fence.rs"),
                include_str!("store/plans.rs"),
                include_str!("store/files.rs"),
                include_str!("store/replica_files.rs"),
                include_str!("store/tasks.rs"),
                include_str!("store/again.rs"),
                include_str!("store/claims.rs"),
                include_str!("store/workers.rs"),
                include_str!("store/intents.rs"),
                include_str!("store/views.rs"),
            ],
        ),
    ];
    for (list, files) in suites {
        for claim in files.iter().flat_map(|file| file.split("\npub async fn ").skip(1)) {
            let name = claim.split('(').next().unwrap_or_default();
            let listed = list.lines().any(|line| line.trim().trim_end_matches(',') == name);
            assert!(listed, "claim {name} is in no suite: add it to the list of its suite's macro");
        }
    }
}
