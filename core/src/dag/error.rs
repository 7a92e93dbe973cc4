//! What is wrong with a DAG file, where, and what to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::foreign;
use super::pos::Pos;

/// Most errors reported for one file. The rest is counted, not listed.
pub const ERRORS_MAX: usize = 100;

/// Most names that a hint lists.
const LISTED_MAX: usize = 48;

/// How the line behind the last error ends that is listed.
const NOT_SHOWN: &str = " more errors are not shown";

/// Most names that are compared with a misspelt one.
const CANDIDATES_MAX: usize = 2_000;

/// One thing that is wrong with a DAG file. Displayed as `path:line:col: message; hint`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileError {
    /// The file, as the caller named it.
    pub path: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub col: u32,
    /// What is wrong and what was expected.
    pub message: String,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

impl FileError {
    /// How many errors it stands for: 1, but for the line that counts those that are not listed.
    pub fn stands_for(&self) -> usize {
        self.message.strip_suffix(NOT_SHOWN).and_then(|count| count.parse().ok()).unwrap_or(1)
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.path, self.line, self.col, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FileError {}

/// All that is wrong with a DAG file, by position; never empty. Displayed one per line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Errors(pub Vec<FileError>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (no, error) in self.0.iter().enumerate() {
            if no > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// Most remarks kept of one file. The rest is counted, not listed.
pub const REMARKS_MAX: usize = 100;

/// Something in a valid file that may not mean what its writer meant. Displayed as `line:col: message; hint`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub col: u32,
    /// What happens, in words that hold whatever the run is given.
    pub message: String,
    /// How to write it so that the remark goes away, where that is known.
    pub hint: Option<String>,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.col, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// Gathers remarks while a file is read, at most [`REMARKS_MAX`].
#[derive(Debug, Default)]
pub(super) struct Remarks {
    kept: Vec<Remark>,
    dropped: usize,
}

impl Remarks {
    pub(super) fn push(&mut self, pos: Pos, message: String, hint: Option<String>) {
        if self.kept.len() >= REMARKS_MAX {
            self.dropped += 1;
        } else {
            self.kept.push(Remark { line: pos.line, col: pos.col, message, hint });
        }
    }

    /// The remarks by position.
    pub(super) fn finish(mut self) -> Vec<Remark> {
        self.kept.sort_by_key(|remark| (remark.line, remark.col));
        if let (Some(last), true) = (self.kept.last(), self.dropped > 0) {
            let message = format!("{} more remarks are not shown", self.dropped);
            self.kept.push(Remark { line: last.line, col: last.col, message, hint: None });
        }
        self.kept
    }
}

/// Gathers errors while a file is read, at most [`ERRORS_MAX`].
#[derive(Debug)]
pub(super) struct Sink {
    path: String,
    errors: Vec<FileError>,
    dropped: usize,
}

impl Sink {
    pub(super) fn new(path: &str) -> Self {
        Self { path: path.to_owned(), errors: Vec::new(), dropped: 0 }
    }

    pub(super) fn push(&mut self, pos: Pos, message: impl Into<String>) {
        self.add(pos, message.into(), None);
    }

    pub(super) fn push_hint(&mut self, pos: Pos, message: impl Into<String>, hint: impl Into<String>) {
        self.add(pos, message.into(), Some(hint.into()));
    }

    /// Reports a name that is none of `known`, and the nearest of them.
    pub(super) fn unknown<'n>(
        &mut self,
        pos: Pos,
        what: &str,
        given: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) {
        if self.is_full() {
            self.dropped += 1;
            return;
        }
        self.add(pos, format!("unknown {what} `{}`", cut(given)), nearest_hint(given, known));
    }

    /// Reports a word that is none of a few `known`: the nearest, and all there are.
    pub(super) fn unknown_word<'n>(
        &mut self,
        pos: Pos,
        what: &str,
        given: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        let all = format!("expected {}", one_of(&known));
        let hint = match nearest(given, &known) {
            Some(name) => format!("did you mean `{name}`? {all}"),
            None => all,
        };
        self.add(pos, format!("unknown {what} `{}`", cut(given)), Some(hint));
    }

    /// Reports a key that has no meaning in `place`, and the nearest that has.
    pub(super) fn unknown_key<'n>(
        &mut self,
        pos: Pos,
        place: &str,
        given: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) {
        let hint = if self.is_full() {
            None
        } else {
            foreign::key(place, given).or_else(|| nearest_hint(given, known))
        };
        self.add(pos, format!("unknown key `{}` in {place}", cut(given)), hint);
    }

    /// How many errors there are so far.
    pub(super) fn count(&self) -> usize {
        self.errors.len() + self.dropped
    }

    pub(super) fn is_full(&self) -> bool {
        self.errors.len() >= ERRORS_MAX
    }

    /// The errors by position, or nothing.
    pub(super) fn finish(mut self) -> Option<Errors> {
        self.errors.sort_by_key(|error| (error.line, error.col));
        if self.dropped > 0 {
            let last = self.errors.last().map_or(Pos::START, |e| Pos { line: e.line, col: e.col });
            let message = format!("{}{NOT_SHOWN}", self.dropped);
            self.errors.push(file_error(&self.path, last, message, None));
        }
        (!self.errors.is_empty()).then_some(Errors(self.errors))
    }

    pub(super) fn add(&mut self, pos: Pos, message: String, hint: Option<String>) {
        if self.is_full() {
            self.dropped += 1;
        } else {
            self.errors.push(file_error(&self.path, pos, message, hint));
        }
    }
}

pub(super) fn file_error(path: &str, pos: Pos, message: String, hint: Option<String>) -> FileError {
    FileError { path: path.to_owned(), line: pos.line, col: pos.col, message, hint }
}

/// `did you mean`, or the list of what there is when it is short.
pub(super) fn nearest_hint<'n>(given: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
    let known: Vec<&str> = known.into_iter().take(CANDIDATES_MAX).collect();
    if let Some(name) = nearest(given, &known) {
        return Some(format!("did you mean `{name}`?"));
    }
    match known.len() {
        0 => None,
        1..=LISTED_MAX => Some(format!("expected {}", one_of(&known))),
        _ => None,
    }
}

/// `a`, `b` or `c`, each in backticks.
pub(super) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} or {last}", init.join(", ")),
    }
}

/// The text in one line, cut to 80 characters.
pub(super) fn cut(text: &str) -> String {
    let mut short: String =
        text.chars().take(80).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if text.chars().nth(80).is_some() {
        short.push('…');
    }
    short
}

/// Whether one of `known` may be meant.
pub(super) fn is_near(given: &str, known: &[&str]) -> bool {
    nearest(given, known).is_some()
}

fn nearest<'n>(given: &str, known: &[&'n str]) -> Option<&'n str> {
    if given.len() > 2 * crate::id::NAME_CHARS_MAX {
        return None;
    }
    let lower = given.to_lowercase();
    let allowed = (given.chars().count() / 3).max(1).min(given.chars().count().saturating_sub(1));
    known
        .iter()
        .filter(|name| name.len().abs_diff(given.len()) <= allowed + 1)
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), *name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}
