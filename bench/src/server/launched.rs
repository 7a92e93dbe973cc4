//! A process of the rota that is measured.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a process gets to stop in good order.
const STOP_MAX: Duration = Duration::from_secs(30);
/// Last bytes of a log that are shown when something goes wrong.
const LOG_TAIL: usize = 2000;

/// See the module's text. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Launched {
    name: &'static str,
    child: Child,
    pid: u32,
    log: PathBuf,
}

impl Launched {
    /// Starts `command` with its output in `log`.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: PathBuf) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let pid = child.id().with_context(|| format!("{name} ended at once"))?;
        Ok(Self { name, child, pid, log })
    }

    /// What it is in the cluster: its role.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Fails if it has ended.
    pub(crate) fn alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}{}", self.name, self.log_tail()),
        }
    }

    /// Ends it as Ctrl-C would, and waits until it is gone.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid)?).context("no process has number 0")?;
        kill_process(pid, Signal::TERM).with_context(|| format!("cannot stop {}", self.name))?;
        match timeout(STOP_MAX, self.child.wait()).await {
            Ok(status) => {
                let status = status?;
                ensure!(status.success(), "{} ended with {status}{}", self.name, self.log_tail());
                Ok(())
            }
            Err(_) => bail!("{} did not stop within {STOP_MAX:?}{}", self.name, self.log_tail()),
        }
    }

    /// Ends it as a power cut would.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// The end of its log, for an error's text.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(LOG_TAIL)..]).into_owned();
        if tail.is_empty() { tail } else { format!("\n--- end of the log of {} ---\n{tail}", self.name) }
    }
}
