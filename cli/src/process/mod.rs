//! What every process that runs loops needs around them: its life from first to last, a runtime, a listener, signals, a
//! watchdog, a time zone.

pub(crate) mod cautions;
pub(crate) mod confine;
pub(crate) mod leading;
pub(crate) mod life;
pub(crate) mod listen;
pub(crate) mod signals;
pub(crate) mod token;
mod watchdog;

use anyhow::Context;
use rota_core::schedule::Zone;

/// A few threads: the loops wait most of the time, and idle threads cost memory.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 4);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("rota")
        .enable_all()
        .build()
        .context("the async runtime cannot be started")
}

/// The zone that pages show times in: `TZ`, else the machine's, else UTC.
pub(crate) fn zone() -> Zone {
    let named = std::env::var("TZ").ok().map(|name| name.trim_start_matches(':').to_owned());
    let machine = || std::fs::read_to_string("/etc/timezone").ok();
    let linked = || {
        let link = std::fs::read_link("/etc/localtime").ok()?;
        link.to_string_lossy().split_once("zoneinfo/").map(|(_, name)| name.to_owned())
    };
    let names = [named, linked(), machine()];
    names.into_iter().flatten().find_map(|name| name.trim().parse().ok()).unwrap_or(Zone::UTC)
}
