//! What goes over the wire: small JSON with a version and ids, nothing else, so a broker can never run a command. What
//! cannot be read is an error with a reason, never a panic.

use std::io::Write;

use rota_core::id::{AttemptKey, RunId, TaskKey, TaskNo};
use rota_core::port::{Bell, Change};
use serde::{Deserialize, Serialize};

/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;
/// Most bytes of a task's message. Ours have about 60.
pub(super) const TASK_BYTES_MAX: usize = 4096;
/// Most bytes of a hint.
const HINT_BYTES_MAX: usize = 1 << 20;
/// Attempts in one bell, changes in one announcement: far below [`HINT_BYTES_MAX`].
const HINTS_AT_ONCE: usize = 2048;

#[derive(Deserialize)]
struct TaskBody {
    v: u32,
    run: i64,
    task: u32,
    index: u32,
    attempt: u32,
}

#[derive(Serialize, Deserialize)]
struct Hint<T> {
    v: u32,
    hint: T,
}

/// Finished attempts as run, task, index, attempt: a fourth of the bytes of named fields.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireBell {
    Finished(Vec<(i64, u32, u32, u32)>),
    Intent,
    Workers,
}

/// The message that names `key`.
pub(super) fn write_task(key: &AttemptKey) -> Vec<u8> {
    let TaskKey { run, task, index } = key.task;
    let mut body = Vec::with_capacity(96);
    write!(body, r#"{{"v":{VERSION},"run":{run},"task":{task},"index":{index},"attempt":{}}}"#, key.attempt)
        .expect("writing into memory does not fail");
    body
}

/// The attempt that a message names, or why it cannot be told.
pub(super) fn read_task(body: &[u8]) -> Result<AttemptKey, String> {
    if body.len() > TASK_BYTES_MAX {
        return Err(format!("{} bytes, expected at most {TASK_BYTES_MAX}", body.len()));
    }
    let read: TaskBody = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    known_version(read.v)?;
    let task = TaskKey { run: RunId(read.run), task: TaskNo(read.task), index: read.index };
    Ok(task.attempt(read.attempt))
}

/// A bell as one message, or several if it names very many attempts.
pub(super) fn write_bell(bell: &Bell) -> Vec<Vec<u8>> {
    let finished = match bell {
        Bell::Finished(keys) => keys,
        Bell::Intent => return vec![write_hint(&WireBell::Intent)],
        Bell::Workers => return vec![write_hint(&WireBell::Workers)],
    };
    let plain = |key: &AttemptKey| (key.task.run.0, key.task.task.0, key.task.index, key.attempt);
    let bells =
        finished.chunks(HINTS_AT_ONCE).map(|keys| WireBell::Finished(keys.iter().map(plain).collect()));
    bells.map(|bell| write_hint(&bell)).collect()
}

/// The bell in a message.
pub(super) fn read_bell(body: &[u8]) -> Result<Bell, String> {
    Ok(match read_hint(body)? {
        WireBell::Finished(keys) => Bell::Finished(
            keys.into_iter()
                .map(|(run, task, index, attempt)| {
                    TaskKey { run: RunId(run), task: TaskNo(task), index }.attempt(attempt)
                })
                .collect(),
        ),
        WireBell::Intent => Bell::Intent,
        WireBell::Workers => Bell::Workers,
    })
}

/// A nudge says nothing: it is addressed.
pub(super) fn write_nudge() -> Vec<u8> {
    write_hint(&())
}

/// Changes as messages.
pub(super) fn write_changes(changes: &[Change]) -> Vec<Vec<u8>> {
    changes.chunks(HINTS_AT_ONCE).map(|changes| write_hint(&changes)).collect()
}

/// The changes in a message.
pub(super) fn read_changes(body: &[u8]) -> Result<Vec<Change>, String> {
    read_hint(body)
}

fn write_hint<T: Serialize>(hint: &T) -> Vec<u8> {
    serde_json::to_vec(&Hint { v: VERSION, hint }).expect("ids and names are always JSON")
}

fn read_hint<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, String> {
    if body.len() > HINT_BYTES_MAX {
        return Err(format!("{} bytes, expected at most {HINT_BYTES_MAX}", body.len()));
    }
    let read: Hint<T> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    known_version(read.v)?;
    Ok(read.hint)
}

fn known_version(version: u32) -> Result<(), String> {
    if version == VERSION { Ok(()) } else { Err(format!("version {version}, expected {VERSION}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rota_core::id::DagId;

    fn key(number: u32) -> AttemptKey {
        TaskKey { run: RunId(i64::MAX), task: TaskNo(number), index: 7 }.attempt(u32::MAX)
    }

    #[test]
    fn a_task_reads_as_it_was_written() {
        let body = write_task(&key(3));
        assert!(body.len() <= 96, "one allocation: {}", body.len());
        assert_eq!(read_task(&body), Ok(key(3)));
    }

    #[test]
    fn what_is_not_a_task_says_why() {
        let long = [b" ".repeat(TASK_BYTES_MAX), write_task(&key(0))].concat();
        let bad: [(&[u8], &str); 7] = [
            (b"", "EOF"),
            (b"garbage", "expected value"),
            (b"{\"v\":2,\"run\":1,\"task\":1,\"index\":0,\"attempt\":1}", "version 2"),
            (b"{\"v\":1,\"run\":1,\"task\":-1,\"index\":0,\"attempt\":1}", "invalid value"),
            (b"{\"v\":1,\"run\":1}", "missing field"),
            (b"\xff\xfe\x00", "expected value"),
            (&long, "expected at most 4096"),
        ];
        for (body, why) in bad {
            let error = read_task(body).unwrap_err();
            assert!(error.contains(why), "{error}: expected {why}");
        }
    }

    #[test]
    fn bells_read_as_they_were_rung_however_many_they_name() {
        let many: Vec<AttemptKey> = (0..5000).map(key).collect();
        let messages = write_bell(&Bell::Finished(many.clone()));
        assert!(messages.len() > 1 && messages.iter().all(|message| message.len() < HINT_BYTES_MAX));
        let mut heard = Vec::new();
        for message in &messages {
            let Ok(Bell::Finished(keys)) = read_bell(message) else { panic!("a bell with attempts") };
            heard.extend(keys);
        }
        assert_eq!(heard, many);
        for bell in [Bell::Intent, Bell::Workers] {
            assert_eq!(read_bell(&write_bell(&bell)[0]), Ok(bell));
        }
        assert!(read_bell(b"{\"v\":9,\"hint\":\"intent\"}").unwrap_err().contains("version 9"));
        // What another version may ring is passed over with a reason, as `listen.rs` does with all that cannot be read.
        assert!(read_bell(b"{\"v\":1,\"hint\":\"files\"}").unwrap_err().contains("unknown variant"));
    }

    #[test]
    fn changes_read_as_they_were_announced() {
        let changes = vec![
            Change::Fleet,
            Change::Dag(DagId::trusted("d")),
            Change::Run { run: RunId(1), dag: DagId::trusted("d") },
        ];
        assert_eq!(read_changes(&write_changes(&changes)[0]), Ok(changes));
        assert!(write_changes(&[]).is_empty());
    }
}
