//! Looks whether tasks can be started. A start that failed for want of descriptors, memory, processes or room on the disk stops all
//! claims (`readiness`), and so does a look at the worker's directory that fails. Looks go on, and claims begin again with the first
//! one that ends well.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::life::Life;
use crate::shortage::is_shortage;

/// Between two looks while nothing is known to be short.
const LOOK: Duration = Duration::from_secs(5);
/// Before the first look after something was short. It doubles while shortages come back.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The longest wait for another look.
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(30);
/// What is short again so soon after it was not has come back.
const COMES_BACK: Duration = Duration::from_secs(60);
/// What must fit into the worker's directory: about what an attempt may write there for rota.
const ROOM_BYTES: usize = 64 * 1024;
/// The file that a look writes.
const PROBE: &str = "probe";

/// Looks again and again, for as long as the life lasts.
pub(crate) async fn watch(life: Arc<Life>) {
    let readiness = &life.shared.readiness;
    let (mut pause, mut well_since) = (LOOK_AGAIN, None::<Instant>);
    loop {
        if readiness.is_well() {
            tokio::select! {
                () = sleep(LOOK) => {}
                () = readiness.troubled() => {}
            }
            if let Err(why) = look(&life.shared.options.state_dir) {
                readiness.is_short(&why);
            }
            continue;
        }
        // Others hear of it at once, not with the next regular heartbeat.
        life.beat_now.notify_one();
        let comes_back = well_since.is_some_and(|since| since.elapsed() < COMES_BACK);
        pause = if comes_back { (pause * 2).min(LOOK_AGAIN_MAX) } else { LOOK_AGAIN };
        while let Err(why) = try_out(&life, pause).await {
            tracing::debug!("this worker still cannot start tasks: {why}");
        }
        readiness.is_over();
        well_since = Some(Instant::now());
        life.beat_now.notify_one();
    }
}

/// After `pause`: whether all can be had that a task needs, a process included.
async fn try_out(life: &Life, pause: Duration) -> Result<(), String> {
    sleep(pause).await;
    let directory = &life.shared.options.state_dir;
    look(directory)?;
    life.shared.executor.try_out(directory).await
}

/// Takes, for a moment, descriptors and room in the directory. What else may be wrong with it is found by who uses it.
fn look(directory: &Path) -> Result<(), String> {
    let probe = directory.join(PROBE);
    let taken = || -> io::Result<()> {
        let _pipes = (io::pipe()?, io::pipe()?);
        fs::write(&probe, [0; ROOM_BYTES])
    };
    let looked = taken();
    let _ = fs::remove_file(&probe);
    match looked {
        Err(error) if is_shortage(&error) => Err(format!("cannot write {}: {error}", probe.display())),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_leaves_nothing_behind_and_minds_only_what_is_short() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(look(directory.path()), Ok(()));
        assert!(fs::read_dir(directory.path()).unwrap().next().is_none());
        assert_eq!(look(&directory.path().join("absent")), Ok(()));
    }
}
