//! The three services, private, shared by all tests of this binary. A test holds them alone, because it breaks them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rota_tests::services::etcd::Etcd;
use rota_tests::services::postgres::Postgres;
use rota_tests::services::rabbit::Rabbit;

/// The services.
pub(crate) struct Services {
    pub(crate) postgres: Postgres,
    pub(crate) rabbit: Rabbit,
    pub(crate) etcd: Etcd,
}

/// Where one test's part of them is.
pub(crate) struct Place {
    /// The database.
    pub(crate) database: String,
    /// The virtual host.
    pub(crate) vhost: String,
    /// The prefix of its keys.
    pub(crate) prefix: String,
}

/// Waits for its turn. What an earlier test left broken is mended.
pub(crate) fn take() -> MutexGuard<'static, Services> {
    static SERVICES: OnceLock<Mutex<Services>> = OnceLock::new();
    let services = SERVICES.get_or_init(|| {
        Mutex::new(std::thread::scope(|scope| {
            let rabbit = scope.spawn(Rabbit::start);
            let etcd = scope.spawn(|| Etcd::start(1));
            let postgres = Postgres::start();
            Services { postgres, rabbit: rabbit.join().unwrap(), etcd: etcd.join().unwrap() }
        }))
    });
    let mut services = services.lock().unwrap_or_else(PoisonError::into_inner);
    services.mend();
    services
}

impl Services {
    /// A database, a virtual host and a prefix that nobody used before.
    pub(crate) fn place(&self, test: &str) -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{test}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.postgres.database(&name);
        self.rabbit.vhost(&name);
        Place { database: name.clone(), vhost: name.clone(), prefix: format!("/{name}/") }
    }
}
