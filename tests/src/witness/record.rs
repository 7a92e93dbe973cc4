//! What tasks write down: one line per event, appended with a single write.

use std::path::Path;

use chrono::DateTime;

/// The directory of a test, in the environment of its tasks: `log.HOST` of each host, `locks/` and `witness.sh` are there.
pub const DIR_VARIABLE: &str = "WITNESS_DIR";

/// The shell functions of a witnessed task: `. "$WITNESS_DIR/witness.sh"`, work, `finish [CODE]`.
///
/// The lock is inherited by everything that the task starts, so that it is refused for as long as anything of an earlier
/// attempt is alive. `finish` is the only thing that writes an end: a task that was killed has none. Each line is on the
/// disk before the task goes on. A worker counts as a host of its own and has its own file, which nobody else writes; all of
/// them are on one kernel, so that their clocks and locks are the same.
pub const SCRIPT: &str = r#"# What ran, in its own words.
mark() {
    local now=$EPOCHREALTIME up rest log="$WITNESS_DIR/log.${ROTA_WORKER%%@*}"
    read -r up rest </proc/uptime
    printf '%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|.\n' "$1" "$2" "$ROTA_DAG_ID" "$ROTA_SLOT" "$ROTA_RUN_ID" \
        "$ROTA_TASK_ID" "$ROTA_ATTEMPT" "$ROTA_FENCE_TOKEN" "$$" "${now/[.,]/}" "${up/./}" "${ROTA_PARAM_KEY-}" \
        >>"$log"
    sync --data "$log"
}
finish() {
    mark end "${1-0}"
    exit "${1-0}"
}
mark start -
exec 9>"$WITNESS_DIR/locks/$ROTA_RUN_ID-$ROTA_TASK_ID"
flock --nonblock 9 || mark overlap -
"#;

/// Fields of a line, the closing dot included.
const FIELDS: usize = 13;

/// Microseconds since 1970, by `CLOCK_REALTIME`.
pub type Micros = i64;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An attempt began.
    Start,
    /// An attempt ended by itself, with this exit code.
    End(i32),
    /// An attempt found another one of its task alive.
    Overlap,
}

/// A line of the witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The host (here: the worker) that it happened on.
    pub host: String,
    /// What happened.
    pub kind: Kind,
    /// `ROTA_DAG_ID`.
    pub dag: String,
    /// `ROTA_SLOT`, in seconds since 1970; `None` for a manual run.
    pub slot: Option<i64>,
    /// `ROTA_RUN_ID`.
    pub run: i64,
    /// `ROTA_TASK_ID`.
    pub task: String,
    /// `ROTA_ATTEMPT`.
    pub attempt: u32,
    /// `ROTA_FENCE_TOKEN`.
    pub token: i64,
    /// The shell's process id.
    pub pid: i32,
    /// When.
    pub at: Micros,
    /// When, in hundredths of a second since boot.
    pub boot: i64,
    /// The parameter `key`; empty if there is none.
    pub key: String,
}

/// Reads the witnesses of all hosts: their events, and the lines that cannot be read.
///
/// # Panics
/// A file of the directory cannot be read.
#[must_use]
pub fn read(dir: &Path) -> (Vec<Event>, Vec<String>) {
    let (mut events, mut unreadable) = (Vec::new(), Vec::new());
    for (host, text) in texts(dir) {
        for line in text.lines() {
            match parse(&host, line) {
                Some(event) => events.push(event),
                None => unreadable.push(format!("{host}: {line}")),
            }
        }
    }
    events.sort_by_key(|event| event.at);
    (events, unreadable)
}

/// How many lines the witnesses of all hosts have by now.
#[must_use]
pub fn lines(dir: &Path) -> usize {
    texts(dir).map(|(_, text)| text.lines().count()).sum()
}

/// The file of each host.
pub fn texts(dir: &Path) -> impl Iterator<Item = (String, String)> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.filter_map(|entry| {
        let path = entry.unwrap().path();
        let host = path.file_name()?.to_str()?.strip_prefix("log.")?.to_owned();
        Some((host, std::fs::read_to_string(path).unwrap()))
    })
}

fn parse(host: &str, line: &str) -> Option<Event> {
    let fields: Vec<&str> = line.split('|').collect();
    if fields.len() != FIELDS || fields[FIELDS - 1] != "." {
        return None;
    }
    let kind = match fields[0] {
        "start" => Kind::Start,
        "end" => Kind::End(fields[1].parse().ok()?),
        "overlap" => Kind::Overlap,
        _ => return None,
    };
    let slot = match fields[3] {
        "" => None,
        text => Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp()),
    };
    Some(Event {
        host: host.to_owned(),
        kind,
        dag: fields[2].to_owned(),
        slot,
        run: fields[4].parse().ok()?,
        task: fields[5].to_owned(),
        attempt: fields[6].parse().ok()?,
        token: fields[7].parse().ok()?,
        pid: fields[8].parse().ok()?,
        at: fields[9].parse().ok()?,
        boot: fields[10].parse().ok()?,
        key: fields[11].to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_script_is_read_back() {
        let line = "end|3|tick|2026-11-20T13:00:05Z|7|left|2|41|1234|1795179605123456|577012||.";
        let event = parse("w1", line).unwrap();
        assert_eq!(event.host, "w1");
        assert_eq!((event.kind, event.run, event.attempt, event.token), (Kind::End(3), 7, 2, 41));
        assert_eq!((event.slot, event.at), (Some(1_795_179_605), 1_795_179_605_123_456));
    }

    #[test]
    fn each_host_has_a_file_and_a_refused_lock_is_an_overlap() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("locks")).unwrap();
        std::fs::write(dir.path().join("witness.sh"), SCRIPT).unwrap();
        let start = |worker: &str, script: &str| {
            let mut command = std::process::Command::new("bash");
            command.args(["-c", &format!(". \"$WITNESS_DIR/witness.sh\"\n{script}")]);
            command.env(DIR_VARIABLE, dir.path()).env("ROTA_WORKER", format!("{worker}@1.2:abc"));
            let of_task =
                [("DAG_ID", "d"), ("SLOT", ""), ("RUN_ID", "7"), ("TASK_ID", "a"), ("ATTEMPT", "1")];
            command.envs(of_task.map(|(name, value)| (format!("ROTA_{name}"), value)));
            command.env("ROTA_FENCE_TOKEN", "41").stdin(std::process::Stdio::piped()).spawn().unwrap()
        };
        let mut first = start("w1", "read -r _ || true\nfinish");
        crate::lab::wait_for("the first start", || {
            lines(dir.path()) == 1 && dir.path().join("locks/7-a").exists()
        });
        assert!(start("w2", "finish 3").wait().unwrap().code() == Some(3));
        drop(first.stdin.take());
        assert!(first.wait().unwrap().success());
        let (events, unreadable) = read(dir.path());
        let seen: Vec<_> = events.iter().map(|event| (event.host.as_str(), event.kind)).collect();
        let of_w2 = [("w2", Kind::Start), ("w2", Kind::Overlap), ("w2", Kind::End(3))];
        assert_eq!(seen, [&[("w1", Kind::Start)][..], &of_w2[..], &[("w1", Kind::End(0))][..]].concat());
        assert_eq!(unreadable, Vec::<String>::new());
    }

    #[test]
    fn torn_lines_are_not_read() {
        for line in ["", "end|3|tick|", "end|3|tick|2026-11-20T13:00:05Z|7|left|2|41|1234|1795179605123456|5"]
        {
            assert_eq!(parse("w1", line), None, "{line}");
        }
    }
}
