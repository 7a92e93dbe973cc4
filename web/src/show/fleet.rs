//! Workers: who runs tasks, how full they are, who takes nothing more, who was lost.

use chrono::{DateTime, TimeDelta, Utc};
use rota_core::id::QueueName;
use rota_core::port::{WorkerRow, WorkerState};

use super::axis::Pct;
use super::look::StateStyle;
use super::plain;
use super::time::{LocalClock, Stamp, count, span_short};

/// Lives that have ended and are listed all the same.
const ENDED_MAX: usize = 20;
/// Workers that are listed.
const ALIVE_MAX: usize = 200;
/// With more slots than this a worker gets a bar instead of a cell for each.
const CELLS_MAX: u32 = 48;
/// A heartbeat that is older is worth a word: with the usual lease of 30 s they come every 5 s.
const BEAT_LATE: TimeDelta = TimeDelta::seconds(15);
/// Ages are told in steps, so that a row that is well does not change with each heartbeat.
const BEAT_STEP_S: i64 = 10;

/// A life of a worker.
pub(crate) struct WorkerLine {
    pub(crate) id: String,
    pub(crate) life: i64,
    pub(crate) look: StateStyle,
    pub(crate) why: String,
    pub(crate) busy: String,
    pub(crate) slots: SlotUse,
    /// Without `noop`, which every worker serves.
    pub(crate) queues: String,
    pub(crate) labels: Vec<String>,
    pub(crate) host: String,
    pub(crate) pid: u32,
    pub(crate) version: String,
    pub(crate) started: Stamp,
    pub(crate) beat: String,
    pub(crate) is_late: bool,
    /// Whether it can be asked to take nothing more.
    pub(crate) can_drain: bool,
    pub(crate) has_ended: bool,
}

/// How full it is.
pub(crate) enum SlotUse {
    /// Cells: busy ones, then free ones.
    Cells { busy: u32, free: u32 },
    /// A bar.
    Bar { busy: Pct },
}

impl SlotUse {
    /// For who cannot see the cells or the bar.
    pub(crate) fn said(&self) -> String {
        match self {
            Self::Cells { busy, free } => format!("{busy} of {} busy", count(u64::from(busy + free), "slot")),
            Self::Bar { busy } => format!("{busy} busy"),
        }
    }
}

/// The table.
pub(crate) struct WorkerTable {
    pub(crate) lines: Vec<WorkerLine>,
    pub(crate) more: usize,
    /// Such as `2 of 3 live, 5 of 24 slots busy`.
    pub(crate) said: String,
    /// Whether some worker has a cell for each slot.
    pub(crate) has_cells: bool,
}

/// The newest life of each worker.
pub(crate) fn newest(workers: &[WorkerRow]) -> Vec<&WorkerRow> {
    let mut newest: Vec<&WorkerRow> = Vec::new();
    for worker in workers {
        // Of each worker the newest life comes first.
        if newest.last().is_none_or(|last| last.id != worker.id) {
            newest.push(worker);
        }
    }
    newest
}

/// Whether it runs tasks now.
pub(crate) fn is_up(worker: &WorkerRow) -> bool {
    matches!(worker.state, WorkerState::Live | WorkerState::Draining)
}

/// The queues of a worker that people know of.
pub(crate) fn queues(worker: &WorkerRow) -> impl Iterator<Item = &QueueName> {
    worker.queues.iter().filter(|queue| queue.as_str() != QueueName::NOOP)
}

/// Those that are up by name, then ended lives, the last one first.
pub(crate) fn workers(moment: &LocalClock, rows: &[WorkerRow]) -> WorkerTable {
    let heads = newest(rows);
    let (up, mut ended): (Vec<&WorkerRow>, Vec<&WorkerRow>) = rows.iter().partition(|worker| is_up(worker));
    ended.sort_by_key(|worker| std::cmp::Reverse(worker.heartbeat_at));
    let more = up.len().saturating_sub(ALIVE_MAX) + ended.len().saturating_sub(ENDED_MAX);
    let followed = |worker: &WorkerRow| {
        let head = heads.iter().find(|head| head.id == worker.id)?;
        (head.incarnation != worker.incarnation).then_some(head.incarnation.0)
    };
    let shown = up.iter().take(ALIVE_MAX).chain(ended.iter().take(ENDED_MAX));
    let lines: Vec<WorkerLine> = shown.map(|worker| line(moment, worker, followed(worker))).collect();
    let live = heads.iter().filter(|worker| worker.state == WorkerState::Live).count();
    let expected = heads.iter().filter(|worker| worker.state != WorkerState::Gone).count();
    let (busy, slots) = load(rows);
    WorkerTable {
        has_cells: lines.iter().any(|line| matches!(line.slots, SlotUse::Cells { .. })),
        lines,
        more,
        said: format!("{live} of {expected} live, {busy} of {} busy", count(slots, "slot")),
    }
}

/// Busy slots and all slots of the live workers.
pub(crate) fn load(rows: &[WorkerRow]) -> (u64, u64) {
    rows.iter().filter(|worker| worker.state == WorkerState::Live).fold((0, 0), |(busy, slots), worker| {
        (busy + u64::from(worker.running), slots + u64::from(worker.slots))
    })
}

fn line(moment: &LocalClock, worker: &WorkerRow, followed_by: Option<i64>) -> WorkerLine {
    let has_ended = !is_up(worker);
    let running = if has_ended { 0 } else { worker.running.min(worker.slots) };
    let labels = worker.labels.iter().map(|(name, value)| format!("{name}={}", plain(value)));
    let queues: Vec<&str> = queues(worker).map(QueueName::as_str).collect();
    let is_late = !has_ended && moment.now - worker.heartbeat_at > BEAT_LATE;
    WorkerLine {
        id: worker.id.to_string(),
        life: worker.incarnation.0,
        look: StateStyle::worker(worker),
        why: why(moment, worker, followed_by),
        busy: if has_ended { String::new() } else { format!("{running} of {}", worker.slots) },
        slots: slots(running, worker.slots),
        queues: queues.join(", "),
        labels: labels.collect(),
        host: worker.host.clone(),
        pid: worker.pid,
        version: worker.version.clone(),
        started: moment.event(worker.started_at).without_seconds(),
        beat: age(moment.now, worker.heartbeat_at),
        is_late,
        can_drain: worker.state == WorkerState::Live,
        has_ended,
    }
}

fn why(moment: &LocalClock, worker: &WorkerRow, followed_by: Option<i64>) -> String {
    match (worker.state, followed_by) {
        (WorkerState::Live, _) if moment.now - worker.heartbeat_at > BEAT_LATE => {
            "Its heartbeats are late. In a cluster its tasks are lost when its lease is up.".to_owned()
        }
        (WorkerState::Live, _) => match &worker.trouble {
            Some(why) => format!("It claims nothing until it can start tasks again: {why}."),
            None => String::new(),
        },
        (WorkerState::Draining, _) if worker.running == 0 => "It has nothing left to finish.".to_owned(),
        (WorkerState::Draining, _) => {
            format!("It finishes {} and takes nothing more.", count(u64::from(worker.running), "task"))
        }
        (WorkerState::Gone, Some(life)) => format!("It ended in good order and came back as life {life}."),
        (WorkerState::Gone, None) => "It ended in good order.".to_owned(),
        (WorkerState::Dead, Some(life)) => format!("What it ran was lost; it came back as life {life}."),
        (WorkerState::Dead, None) => "Its lease ran out; what it ran was lost.".to_owned(),
    }
}

fn slots(busy: u32, all: u32) -> SlotUse {
    if all <= CELLS_MAX {
        return SlotUse::Cells { busy, free: all - busy };
    }
    SlotUse::Bar { busy: Pct(f64::from(busy) * 100.0 / f64::from(all)) }
}

fn age(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds();
    if seconds < BEAT_STEP_S {
        return format!("< {BEAT_STEP_S}\u{a0}s");
    }
    span_short(TimeDelta::seconds(if seconds < 60 { seconds - seconds % BEAT_STEP_S } else { seconds }))
}

#[cfg(test)]
mod tests {
    use rota_core::id::{Incarnation, WorkerId};
    use rota_core::port::Object;

    use super::*;

    fn worker(id: &str, life: i64, state: WorkerState) -> WorkerRow {
        let at = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        WorkerRow {
            id: WorkerId::trusted(id),
            incarnation: Incarnation(life),
            host: "h".into(),
            pid: 7,
            version: "1".into(),
            queues: vec![QueueName::trusted("default"), QueueName::trusted(QueueName::NOOP)],
            labels: Object::new(),
            slots: 4,
            running: 3,
            state,
            trouble: None,
            heartbeat_at: at + TimeDelta::seconds(life),
            started_at: at,
        }
    }

    #[test]
    fn lives_that_ended_come_last_and_say_what_followed() {
        let rows = [
            worker("a", 9, WorkerState::Live),
            worker("a", 3, WorkerState::Dead),
            worker("b", 4, WorkerState::Dead),
            worker("c", 5, WorkerState::Draining),
        ];
        let now = DateTime::from_timestamp(1_800_000_012, 0).expect("a time");
        let moment = LocalClock { now, zone: rota_core::schedule::Zone::UTC };
        let table = workers(&moment, &rows);
        let lives: Vec<_> = table.lines.iter().map(|line| (line.id.as_str(), line.life)).collect();
        assert_eq!(lives, [("a", 9), ("c", 5), ("b", 4), ("a", 3)]);
        assert!(table.lines[3].why.ends_with("came back as life 9."), "{}", table.lines[3].why);
        assert_eq!(table.said.replace('\u{a0}', " "), "1 of 3 live, 3 of 4 slots busy");
        assert_eq!(table.lines[0].queues, "default");
    }

    #[test]
    fn an_age_changes_in_steps() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let of = |seconds| age(now, now - TimeDelta::seconds(seconds)).replace('\u{a0}', " ");
        assert_eq!(
            [of(0), of(9), of(10), of(19), of(59), of(130)],
            ["< 10 s", "< 10 s", "10 s", "10 s", "50 s", "2 m"]
        );
    }
}
