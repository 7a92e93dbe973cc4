//! Results that the store did not take at once, on disk until it does: a worker that stops, or is killed, during an
//! outage of the store still delivers them in its next life.
//!
//! One JSON object per line. Nothing is written while the store answers.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rota_core::port::Finish;
use serde_json::{Value, json};

/// The file of one worker.
#[derive(Debug)]
pub(crate) struct Spool {
    path: PathBuf,
    is_used: bool,
}

impl Spool {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { is_used: path.exists(), path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What an earlier life left. A last line that was cut by a crash is left out: its result was not known to anybody.
    pub(crate) fn load(&self) -> io::Result<Vec<Finish>> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(text.lines().filter_map(decode).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Adds results, on disk when this returns.
    pub(crate) fn append<'a>(&mut self, finishes: impl Iterator<Item = &'a Finish>) -> io::Result<()> {
        let is_new = !self.is_used;
        self.is_used = true;
        // A line that an earlier write left unfinished must not swallow the next one.
        let mut text = String::from("\n");
        for finish in finishes {
            text.push_str(&encode(finish).to_string());
            text.push('\n');
        }
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        if is_new && let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }

    /// The store has everything.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.is_used)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            // Delivering again does no harm.
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

fn encode(finish: &Finish) -> Value {
    json!({
        "key": finish.key,
        "token": finish.token,
        "state": finish.state,
        "spawned_at": finish.spawned_at,
        "ended_at": finish.ended_at,
        "exit_code": finish.exit_code,
        "signal": finish.signal,
        "error": finish.error,
        "outputs": finish.outputs,
    })
}

fn decode(line: &str) -> Option<Finish> {
    let mut entry: Value = serde_json::from_str(line).ok()?;
    let mut field = |name| entry.get_mut(name).map(Value::take);
    Some(Finish {
        key: serde_json::from_value(field("key")?).ok()?,
        token: serde_json::from_value(field("token")?).ok()?,
        state: serde_json::from_value(field("state")?).ok()?,
        spawned_at: serde_json::from_value(field("spawned_at")?).ok()?,
        ended_at: serde_json::from_value(field("ended_at")?).ok()?,
        exit_code: serde_json::from_value(field("exit_code")?).ok()?,
        signal: serde_json::from_value(field("signal")?).ok()?,
        error: serde_json::from_value(field("error")?).ok()?,
        outputs: serde_json::from_value(field("outputs")?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use rota_core::id::{ClaimToken, RunId, TaskKey, TaskNo};
    use rota_core::state::TaskState;

    fn finish(attempt: u32) -> Finish {
        Finish {
            key: TaskKey::single(RunId(7), TaskNo(2)).attempt(attempt),
            token: ClaimToken(11),
            state: TaskState::Failed,
            spawned_at: Some(DateTime::UNIX_EPOCH),
            ended_at: DateTime::UNIX_EPOCH,
            exit_code: Some(3),
            signal: None,
            error: Some("exit code 3".to_owned()),
            outputs: json!({"rows": "12"}).as_object().cloned(),
        }
    }

    #[test]
    fn results_survive_a_restart_and_a_cut_last_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        let mut spool = Spool::new(path.clone());
        spool.append([finish(1), finish(2)].iter()).unwrap();
        spool.append([finish(3)].iter()).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"key\":{\"ta").unwrap();
        let mut next_life = Spool::new(path.clone());
        assert_eq!(next_life.load().unwrap(), [finish(1), finish(2), finish(3)]);
        next_life.clear();
        assert!(!path.exists() && next_life.load().unwrap().is_empty());
    }
}
