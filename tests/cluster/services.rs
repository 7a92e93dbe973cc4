//! The three services, private, shared by all tests of this binary. A test holds them alone, because it breaks them.

use std::sync::{Mutex, MutexGuard, OnceLock};

use rota_tests::services::together::Services;

/// Waits for its turn. What an earlier test left broken is mended.
pub(crate) fn take() -> MutexGuard<'static, Services> {
    static SERVICES: OnceLock<Mutex<Services>> = OnceLock::new();
    let services = SERVICES.get_or_init(|| Mutex::new(Services::start()));
    let services = services.lock().unwrap_or_else(|poisoned| {
        let mut services = poisoned.into_inner();
        services.mend();
        services
    });
    services.end_memory_alarm();
    services
}
