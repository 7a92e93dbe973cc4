//! What tasks write down: one line per event, appended with a single write.

use std::path::Path;

use chrono::DateTime;

/// The directory of a test, in the environment of its tasks: `log`, `locks/` and `witness.sh` are there.
pub const DIR_VARIABLE: &str = "WITNESS_DIR";

/// The shell functions of a witnessed task: `. "$WITNESS_DIR/witness.sh"`, work, `finish [CODE]`.
///
/// The lock is inherited by everything that the task starts, so that it is refused for as long as anything of an earlier
/// attempt is alive. `finish` is the only thing that writes an end: a task that was killed has none.
pub const SCRIPT: &str = r#"# What ran, in its own words.
mark() {
    local now=$EPOCHREALTIME up rest
    read -r up rest </proc/uptime
    printf '%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|%s|.\n' "$1" "$2" "$ROTA_DAG_ID" "$ROTA_SLOT" "$ROTA_RUN_ID" \
        "$ROTA_TASK_ID" "$ROTA_ATTEMPT" "$ROTA_FENCE_TOKEN" "$$" "${now/[.,]/}" "${up/./}" "${ROTA_PARAM_KEY-}" \
        >>"$WITNESS_DIR/log"
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

/// Reads a witness: its events in the order in which they were written, and the lines that cannot be read.
#[must_use]
pub fn read(log: &Path) -> (Vec<Event>, Vec<String>) {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let (mut events, mut unreadable) = (Vec::new(), Vec::new());
    for line in text.lines() {
        match parse(line) {
            Some(event) => events.push(event),
            None => unreadable.push(line.to_owned()),
        }
    }
    (events, unreadable)
}

fn parse(line: &str) -> Option<Event> {
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
        let event = parse(line).unwrap();
        assert_eq!((event.kind, event.run, event.attempt, event.token), (Kind::End(3), 7, 2, 41));
        assert_eq!((event.slot, event.at), (Some(1_795_179_605), 1_795_179_605_123_456));
    }

    #[test]
    fn torn_lines_are_not_read() {
        for line in ["", "end|3|tick|", "end|3|tick|2026-11-20T13:00:05Z|7|left|2|41|1234|1795179605123456|5"]
        {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
