//! Results that come after their attempt was given up as lost: what counts, until when, and in which words it is told.
//!
//! The attempt stays lost. Its task takes a success over as long as nobody has claimed the next attempt, which then never
//! starts. All else is only noted with the attempt. A store reads where the task stands, asks here, and writes under the
//! guard that the task still stands there.

use crate::state::TaskState;

/// Which of a task's attempts ends with the success of one that was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenOver {
    /// The lost one: the next is not planned yet.
    ByLost,
    /// The next one: it is queued and never starts.
    ByNext,
}

/// Where the task of a lost attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The task's current attempt.
    pub attempt: u32,
    /// Its state.
    pub state: TaskState,
    /// Attempts so far that were lost since a person last asked for the task. Without one, the current attempt is what a
    /// person asked for, and no earlier result counts for it.
    pub losses: u32,
}

/// Whether a task takes over a result of its attempt `lost`, which was given up; `None`: it comes too late.
pub fn taken_over(result: TaskState, lost: u32, task: Standing) -> Option<TakenOver> {
    let is_success = result == TaskState::Success;
    let waits_for_next = task.state == TaskState::UpForRetry && task.attempt == lost;
    let next_may_start = task.state == TaskState::Queued && task.attempt == lost + 1;
    if is_success && waits_for_next {
        Some(TakenOver::ByLost)
    } else if is_success && next_may_start && task.losses > 0 {
        Some(TakenOver::ByNext)
    } else {
        None
    }
}

/// Stands in every note about a late result, and nowhere else in what is said of attempts: who has it is noted already.
pub const NOTE_MARK: &str = "its result came ";

impl TakenOver {
    /// What is said of the attempt that ends the task.
    pub fn words(self, lost: u32) -> String {
        match self {
            Self::ByLost => format!("{NOTE_MARK}late and counts"),
            Self::ByNext => format!("never started: the result of attempt {lost} came late and counts"),
        }
    }
}

/// What is said of a lost attempt that ended after all, when the next one has taken its result over.
pub fn note_of_counting(result: TaskState) -> String {
    format!("{NOTE_MARK}late and counts: {result}")
}

/// What is said of a lost attempt that ended after all, when that changes nothing any more.
pub fn note_of_too_late(result: TaskState) -> String {
    format!("{NOTE_MARK}too late: {result}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_counts_until_the_next_attempt_is_claimed() {
        let at =
            |attempt, state, losses| taken_over(TaskState::Success, 2, Standing { attempt, state, losses });
        assert_eq!(at(2, TaskState::UpForRetry, 1), Some(TakenOver::ByLost));
        assert_eq!(at(3, TaskState::Queued, 1), Some(TakenOver::ByNext));
        assert_eq!(at(3, TaskState::Queued, 0), None, "a person asked for that attempt");
        assert_eq!(at(4, TaskState::Queued, 2), None, "one attempt lies between");
        for state in TaskState::ALL.iter().filter(|state| **state != TaskState::UpForRetry) {
            assert_eq!(at(2, *state, 1), None, "{state}");
        }
        for state in TaskState::ALL.iter().filter(|state| **state != TaskState::Queued) {
            assert_eq!(at(3, *state, 1), None, "{state}");
        }
    }

    #[test]
    fn nothing_but_a_success_counts() {
        let task = Standing { attempt: 2, state: TaskState::UpForRetry, losses: 1 };
        for result in [TaskState::Failed, TaskState::Cancelled] {
            assert_eq!(taken_over(result, 2, task), None, "{result}");
        }
    }

    #[test]
    fn every_note_can_be_told_from_what_else_is_said() {
        for note in [
            TakenOver::ByLost.words(1),
            note_of_counting(TaskState::Success),
            note_of_too_late(TaskState::Failed),
        ] {
            assert!(note.contains(NOTE_MARK), "{note}");
        }
        assert!(
            !TakenOver::ByNext.words(1).contains(NOTE_MARK),
            "that is said of an attempt that was not lost"
        );
    }
}
