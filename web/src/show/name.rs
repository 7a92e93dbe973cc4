//! What a run is called: the same on every page, in the dashboard's zone, which is said beside it.

use rota_core::port::RunRow;

use super::time::LocalClock;

/// `Fri 23 Oct 09:30 Berlin` for the run of a slot, else `run 812, manual`.
pub(crate) fn run_name(moment: &LocalClock, run: &RunRow) -> String {
    match run.slot {
        Some(slot) => moment.slot_named(slot),
        None => format!("run {}, {}", run.id, run.trigger),
    }
}

/// The same in the middle of a sentence: `the run of Fri 23 Oct 09:30 Berlin`.
pub(crate) fn the_run(moment: &LocalClock, run: &RunRow) -> String {
    let name = run_name(moment, run);
    if run.slot.is_some() { format!("the run of {name}") } else { name }
}

/// The same as a title: `Run of Fri 23 Oct 09:30 Berlin`, `Run 812, manual`.
pub(crate) fn run_title(moment: &LocalClock, run: &RunRow) -> String {
    match run.slot {
        Some(_) => format!("Run of {}", run_name(moment, run)),
        None => format!("Run {}, {}", run.id, run.trigger),
    }
}
