//! Why a log has no lines, in words: there are many kinds of nothing.

use rota_core::port::TaskRow;
use rota_core::state::TaskState;

use super::attempts::attempt_state;
use super::home::sentence;
use super::look::StateStyle;
use super::time::{LocalClock, span};
use crate::tasks::TaskNow;

/// What is said in place of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoLines {
    pub(crate) look: StateStyle,
    pub(crate) title: &'static str,
    pub(crate) text: String,
}

/// For the attempt that was chosen, if the task had one.
pub(crate) fn nothing(moment: &LocalClock, task: &TaskNow, row: Option<&TaskRow>) -> NoLines {
    let Some(row) = row.filter(|row| row.attempt > 0) else { return never_begun(task) };
    let state = attempt_state(row);
    let (title, text) = match (state, row.started_at) {
        (TaskState::Running, Some(began)) => {
            let by = row.worker.as_ref().map(|worker| format!(" on {worker}")).unwrap_or_default();
            (
                "No output yet",
                format!("It has run for {}{by} and printed nothing so far.", span(moment.now - began)),
            )
        }
        (TaskState::Queued, _) => ("Not started", waits(task, "It waits for a worker.")),
        (_, None) => ("Never started", reason(row, "It ended before a worker took it.")),
        (_, Some(began)) => {
            let ran = row.finished_at.map(|ended| format!("It ran for {}", span(ended - began)));
            ("No output", ended(row, &ran.unwrap_or_else(|| "It ran".to_owned())))
        }
    };
    NoLines { look: StateStyle::task(state), title, text }
}

fn never_begun(task: &TaskNow) -> NoLines {
    let look = StateStyle::task(task.state);
    if !task.state.is_terminal() {
        return NoLines {
            look,
            title: "Not started",
            text: waits(task, "There is a log once an attempt has started."),
        };
    }
    let text = task.row.as_ref().map(|row| reason(row, "It ended without an attempt."));
    NoLines { look, title: "Never started", text: text.unwrap_or_default() }
}

fn waits(task: &TaskNow, otherwise: &str) -> String {
    task.why.as_deref().map_or_else(|| otherwise.to_owned(), sentence)
}

fn reason(row: &TaskRow, otherwise: &str) -> String {
    row.error.as_deref().map_or_else(|| otherwise.to_owned(), sentence)
}

/// An attempt without a code and a signal was lost, or had no process of its own.
fn ended(row: &TaskRow, ran: &str) -> String {
    match (row.exit_code, row.signal, row.error.as_deref()) {
        (Some(code), _, _) => format!("{ran}, ended with exit code {code} and printed nothing."),
        (None, Some(signal), _) => format!("{ran}, was ended by signal {signal} and printed nothing."),
        (None, None, Some(error)) => {
            format!("{} Nothing that it printed reached the store.", sentence(error))
        }
        (None, None, None) => format!("{ran} and had no process that could print."),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use rota_core::id::{QueueName, RunId, TaskKey, TaskName, TaskNo, WorkerId};

    use super::*;

    const T0: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn row(state: TaskState) -> TaskRow {
        TaskRow {
            key: TaskKey { run: RunId(1), task: TaskNo(0), index: 0 },
            name: TaskName::trusted("a"),
            attempt: 1,
            state,
            queue: QueueName::trusted("default"),
            priority: 0,
            failures: 0,
            losses: 0,
            queued_at: Some(T0),
            started_at: Some(T0),
            finished_at: state.is_terminal().then_some(T0 + TimeDelta::seconds(2)),
            retry_at: None,
            worker: Some(WorkerId::trusted("w-1")),
            incarnation: None,
            exit_code: None,
            signal: None,
            error: None,
            outputs: None,
            cancel_requested: false,
        }
    }

    fn said(row: Option<TaskRow>, state: TaskState, why: Option<&str>) -> (&'static str, String) {
        let moment = LocalClock { now: T0 + TimeDelta::seconds(3), zone: rota_core::schedule::Zone::UTC };
        let task = TaskNow {
            name: TaskName::trusted("a"),
            no: TaskNo(0),
            row: row.clone(),
            state,
            why: why.map(str::to_owned),
        };
        let nothing = nothing(&moment, &task, row.as_ref());
        (nothing.title, nothing.text.replace('\u{a0}', " "))
    }

    #[test]
    fn each_kind_of_nothing_has_its_words() {
        use TaskState::{Failed, Queued, Running, Success, UpstreamFailed, Waiting};
        let lost = "the worker was lost; on_lost: fail forbids another attempt";
        let none = |state, why| said(None, state, why);
        assert_eq!(none(Waiting, Some("waits for b")), ("Not started", "Waits for b.".to_owned()));
        assert_eq!(none(Waiting, None).1, "There is a log once an attempt has started.");
        let cases = [
            (row(Queued), "Not started", "It waits for a worker."),
            (row(Running), "No output yet", "It has run for 3.0 s on w-1 and printed nothing so far."),
            (
                TaskRow { exit_code: Some(0), ..row(Success) },
                "No output",
                "It ran for 2.0 s, ended with exit code 0 and printed nothing.",
            ),
            (
                TaskRow { signal: Some(9), ..row(Failed) },
                "No output",
                "It ran for 2.0 s, was ended by signal 9 and printed nothing.",
            ),
            (row(Success), "No output", "It ran for 2.0 s and had no process that could print."),
            (
                TaskRow { error: Some(lost.to_owned()), ..row(Failed) },
                "No output",
                "The worker was lost; on_lost: fail forbids another attempt. Nothing that it printed reached the store.",
            ),
            (
                TaskRow { attempt: 0, error: Some("`b` failed".to_owned()), ..row(UpstreamFailed) },
                "Never started",
                "`b` failed.",
            ),
        ];
        for (row, title, text) in cases {
            let state = row.state;
            assert_eq!(said(Some(row), state, None), (title, text.to_owned()), "{state:?}");
        }
    }
}
