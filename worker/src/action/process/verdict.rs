//! What an attempt's end means: the only place that says success, failed, cancelled or lost.

use chrono::{DateTime, Utc};
use rota_core::dag::parse_outputs;

use super::child::Exit;
use super::{End, Forced, Job, Outcome, StopReason, words};

/// All that is known about an end.
pub(super) struct Ended {
    /// How the process ended; `None` if there was none.
    pub(super) exit: Option<Exit>,
    /// Who ended it, if it did not end by itself.
    pub(super) forced: Option<Forced>,
    /// What it wrote to `$ROTA_OUTPUT`.
    pub(super) written: Result<Option<Vec<u8>>, String>,
    /// Why there was no process.
    pub(super) start_error: Option<String>,
}

/// Judges an end.
pub(super) fn outcome(
    ended: Ended,
    job: &Job,
    spawned_at: Option<DateTime<Utc>>,
    ended_at: DateTime<Utc>,
) -> Outcome {
    let exit = ended.exit.unwrap_or(Exit { code: None, signal: None });
    let is_good = exit.code == Some(0) && ended.forced.is_none();
    let (outputs, output_error) = read_outputs(ended.written, job, is_good);
    let (end, error) = match (ended.start_error, ended.forced, output_error) {
        (Some(error), _, _) => (End::Failed, Some(error)),
        (None, Some(forced), _) => (end_of(forced), Some(forced.describe(job))),
        (None, None, _) if !is_good => (End::Failed, Some(words::exit(exit.code, exit.signal))),
        (None, None, Some(error)) => (End::Failed, Some(error)),
        (None, None, None) => (End::Success, None),
    };
    // Not every store takes NUL.
    let error = error.map(|error| error.replace('\0', "\u{fffd}"));
    Outcome { end, spawned_at, ended_at, exit_code: exit.code, signal: exit.signal, error, outputs }
}

/// The outputs; what is wrong with them counts only for an attempt that is good otherwise.
fn read_outputs(
    written: Result<Option<Vec<u8>>, String>,
    job: &Job,
    is_good: bool,
) -> (Option<rota_core::port::Object>, Option<String>) {
    let promised: &[String] = if is_good { &job.outputs } else { &[] };
    let bytes = match written {
        Ok(None) if promised.is_empty() => return (None, None),
        Ok(bytes) => bytes.unwrap_or_default(),
        Err(error) => return (None, Some(error)),
    };
    match parse_outputs(&bytes, promised) {
        Ok(outputs) => (Some(outputs).filter(|outputs| !outputs.is_empty()), None),
        Err(error) => (None, Some(error.to_string())),
    }
}

fn end_of(forced: Forced) -> End {
    match forced {
        Forced::TimeUp => End::Failed,
        Forced::By(StopReason::Cancelled) => End::Cancelled,
        Forced::By(StopReason::LeaseLost | StopReason::Shutdown) => End::Lost,
    }
}
