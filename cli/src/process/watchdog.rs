//! A thread that ends the process if the async runtime stops answering: a process that hangs holds its data directory
//! and does nothing, one that is gone is started again by whoever watches over it.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;

const TICK: Duration = Duration::from_secs(1);

/// Ticks without an answer after which the process ends. Ticks are counted, not time: a process that was stopped or
/// a machine that slept must not take that for a hang.
const TICKS_MAX: u32 = 60;

/// Starts the thread. It lives as long as the process.
pub(crate) fn start(runtime: Handle) -> std::io::Result<()> {
    thread::Builder::new()
        .name("watchdog".to_owned())
        .stack_size(64 * 1024)
        .spawn(move || watch(&runtime))?;
    Ok(())
}

fn watch(runtime: &Handle) {
    let answered = Arc::new(AtomicBool::new(true));
    let mut silent_ticks = 0;
    loop {
        if answered.swap(false, Ordering::AcqRel) {
            silent_ticks = 0;
            let answer = Arc::clone(&answered);
            runtime.spawn(async move { answer.store(true, Ordering::Release) });
        } else {
            silent_ticks += 1;
        }
        if silent_ticks >= TICKS_MAX {
            crate::output::note(&format!(
                "rota does not answer itself for {TICKS_MAX} s and ends; a new start goes on where it stopped"
            ));
            process::abort();
        }
        thread::sleep(TICK);
    }
}
