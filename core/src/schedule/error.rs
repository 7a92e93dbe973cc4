//! What is wrong with a schedule, and where.

/// Why a schedule was refused. The message says what was found, what was expected and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScheduleError {
    /// The part of the schedule that is wrong.
    pub part: Part,
    /// For people: lower-case, no full stop.
    pub message: String,
}

/// A part of a schedule, so that the reader of a file can point at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The rules as a whole: none, or too many.
    Rules,
    /// One rule.
    Rule {
        /// Its place in [`super::Spec::rules`], from 0 (0 for [`super::parse_schedule_text`]).
        index: usize,
        /// Where in its text, in bytes from 0; for `at`, the place in the list; else 0.
        offset: usize,
    },
    /// `end:`, against `start:`.
    End,
}

/// A fault within one rule's text, before it is known which rule that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScheduleFault {
    pub(super) offset: usize,
    pub(super) message: String,
}

impl ScheduleFault {
    pub(super) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { offset, message: message.into() }
    }

    pub(super) fn in_rule(self, index: usize) -> ScheduleError {
        ScheduleError { part: Part::Rule { index, offset: self.offset }, message: self.message }
    }
}

/// `; did you mean X?` for the candidate nearest to `given`, or nothing when none is near.
pub(super) fn did_you_mean(given: &str, candidates: &[&str]) -> String {
    let given = given.to_ascii_lowercase();
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&given, candidate), candidate))
        .min_by_key(|(distance, candidate)| {
            (*distance, candidate.as_bytes().first() != given.as_bytes().first())
        })
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 2).clamp(1, 3))
        .map(|(_, candidate)| format!("; did you mean `{candidate}`?"))
        .unwrap_or_default()
}

/// At most 40 characters of what a person wrote, for messages.
pub(super) fn clip(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
