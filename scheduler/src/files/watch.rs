//! Watches the DAG directory on a thread of its own: scans at once, then whenever the directory changed, and on a period in
//! case the watch missed something (network file systems do).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;

use crate::files::scan::{DagDirectory, DirectoryScan};

/// Editors write a file in several steps; scans wait until this long passed without another event.
const SETTLE: Duration = Duration::from_millis(50);

/// However busy the directory is, a scan waits no longer than this: a task that writes there all the time must not keep
/// edits from being seen.
const SETTLE_MAX: Duration = Duration::from_secs(1);

/// Ignored files that are named one by one, of those that turned up together.
const IGNORED_NAMED_MAX: usize = 20;

enum WatchSignal {
    Changed,
    Stop,
}

/// A running watch; stops when dropped.
pub(crate) struct DirWatch {
    signals: Sender<WatchSignal>,
    /// The newest scan. It is another one only if it differs from the one before.
    pub(crate) scans: watch::Receiver<Option<Arc<DirectoryScan>>>,
    _watcher: Option<RecommendedWatcher>,
}

impl Drop for DirWatch {
    fn drop(&mut self) {
        // An error means that the thread has ended already.
        let _ = self.signals.send(WatchSignal::Stop);
    }
}

/// Starts to watch `root`.
pub(crate) fn start(root: &Path, rescan: Duration) -> std::io::Result<DirWatch> {
    let (signals, inbox) = channel();
    let (outbox, scans) = watch::channel(None);
    let watcher = watch(root, signals.clone());
    let directory = DagDirectory::new(root.to_owned());
    let named = std::thread::Builder::new().name("dag-files".to_owned());
    named.spawn(move || run(directory, rescan, &inbox, &outbox))?;
    Ok(DirWatch { signals, scans, _watcher: watcher })
}

/// Without a watch (no inotify, limit reached) the rescan alone finds changes, later.
fn watch(root: &Path, signals: Sender<WatchSignal>) -> Option<RecommendedWatcher> {
    let tell = move |event: notify::Result<notify::Event>| {
        let is_read = event.is_ok_and(|event| event.kind.is_access());
        if !is_read {
            // An error means that the thread has ended.
            let _ = signals.send(WatchSignal::Changed);
        }
    };
    let watcher = notify::recommended_watcher(tell).and_then(|mut watcher| {
        watcher.watch(root, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    watcher
        .inspect_err(|error| {
            tracing::warn!("cannot watch {}, edits are found by rescan: {error}", root.display())
        })
        .ok()
}

fn run(
    mut directory: DagDirectory,
    rescan: Duration,
    inbox: &Receiver<WatchSignal>,
    outbox: &watch::Sender<Option<Arc<DirectoryScan>>>,
) {
    let mut last: Option<Vec<(String, String)>> = None;
    let mut last_error = None;
    let mut said = BTreeMap::new();
    loop {
        match directory.scan() {
            Ok(scan) => {
                say_ignored(&mut said, directory.ignored());
                let print = scan.iter().map(|(path, found)| (path.clone(), found.hash.clone())).collect();
                if last.as_ref() != Some(&print) {
                    last = Some(print);
                    outbox.send_replace(Some(Arc::new(scan)));
                }
                last_error = None;
            }
            Err(error) => {
                let text = error.to_string();
                if last_error.as_ref() != Some(&text) {
                    tracing::error!("cannot read the DAG directory, its last known state stays: {text}");
                    last_error = Some(text);
                }
            }
        }
        if !wait(inbox, rescan) {
            return;
        }
    }
}

/// Says once of each what is passed over; what came to count in between and does no more is said again.
fn say_ignored(said: &mut BTreeMap<String, String>, ignored: &BTreeMap<String, String>) {
    if said == ignored {
        return;
    }
    let new: Vec<_> = ignored.iter().filter(|(path, why)| said.get(*path) != Some(*why)).collect();
    for (path, why) in new.iter().take(IGNORED_NAMED_MAX) {
        tracing::warn!("{path} in the DAG directory is ignored: {why}");
    }
    if new.len() > IGNORED_NAMED_MAX {
        let more = new.len() - IGNORED_NAMED_MAX;
        tracing::warn!("{more} more files of the DAG directory are ignored; `rota dag validate` names them");
    }
    said.clone_from(ignored);
}

/// Waits for a change that has settled, or for the rescan. False: stop.
fn wait(inbox: &Receiver<WatchSignal>, rescan: Duration) -> bool {
    match inbox.recv_timeout(rescan) {
        Ok(WatchSignal::Changed) => {}
        Err(RecvTimeoutError::Timeout) => return true,
        Ok(WatchSignal::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
    }
    let deadline = Instant::now() + SETTLE_MAX;
    while Instant::now() < deadline {
        match inbox.recv_timeout(SETTLE) {
            Ok(WatchSignal::Changed) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Ok(WatchSignal::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_never_settles_is_scanned_all_the_same() {
        let (signals, inbox) = channel();
        let noise = std::thread::spawn(move || {
            // Ends when the inbox is dropped.
            while signals.send(WatchSignal::Changed).is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let since = Instant::now();
        assert!(wait(&inbox, Duration::from_secs(60)));
        assert!(since.elapsed() >= SETTLE_MAX, "it was given time to settle");
        drop(inbox);
        noise.join().unwrap();
    }
}
