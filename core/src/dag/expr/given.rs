//! The arguments that a filter, a test or a function was given.

use std::collections::VecDeque;
use std::sync::Arc;

use super::datum::{Datum, NO_VALUE};

/// Evaluated arguments, taken one by one; what is left at the end is one too many.
#[derive(Debug, Default)]
pub(super) struct GivenArgs {
    pub(super) plain: VecDeque<Datum>,
    pub(super) named: Vec<(String, Datum)>,
}

impl GivenArgs {
    /// The argument that was given by this name.
    pub(super) fn named(&mut self, name: &str) -> Option<Datum> {
        let at = self.named.iter().position(|(given, _)| given == name)?;
        Some(self.named.remove(at).1)
    }

    /// The next plain argument, or the one of this name. An argument without a value is not given.
    pub(super) fn take(&mut self, name: &str) -> Option<Datum> {
        self.plain.pop_front().or_else(|| self.named(name))
    }

    /// An argument that must be there.
    pub(super) fn need(&mut self, name: &str) -> Result<Datum, String> {
        match self.take(name) {
            Some(Datum::Undefined) => Err(NO_VALUE.to_owned()),
            Some(datum) => Ok(datum),
            None => Err(format!("the argument `{name}` is missing")),
        }
    }

    /// A text, if it is given and not `none`.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<Arc<str>>, String> {
        match self.take(name) {
            None | Some(Datum::Null) => Ok(None),
            Some(other) => match other.as_text() {
                Some(text) => Ok(Some(Arc::clone(text))),
                None => Err(wrong(name, "a text", &other)),
            },
        }
    }

    /// A text that must be given.
    pub(super) fn need_text(&mut self, name: &str) -> Result<Arc<str>, String> {
        self.text(name)?.ok_or_else(|| format!("the argument `{name}` is missing"))
    }

    /// A whole number, if it is given and not `none`.
    pub(super) fn int(&mut self, name: &str) -> Result<Option<i128>, String> {
        match self.take(name) {
            None | Some(Datum::Null) => Ok(None),
            Some(Datum::Int(number)) => Ok(Some(number)),
            Some(other) => Err(wrong(name, "a whole number", &other)),
        }
    }

    /// A count of at least one that must be given.
    pub(super) fn count(&mut self, name: &str) -> Result<usize, String> {
        let number = self.int(name)?.ok_or_else(|| format!("the argument `{name}` is missing"))?;
        if number < 1 {
            return Err(format!("`{name}` must be at least 1, got {number}"));
        }
        Ok(usize::try_from(number).unwrap_or(usize::MAX))
    }

    /// Whether a switch is on; off unless it is given.
    pub(super) fn switch(&mut self, name: &str) -> Result<bool, String> {
        self.take(name).map_or(Ok(false), |datum| datum.is_true())
    }

    /// No more arguments.
    pub(super) fn end(self) -> Result<(), String> {
        match (self.named.first(), self.plain.len()) {
            (Some((name, _)), _) => Err(format!("there is no argument `{name}`")),
            (None, 0) => Ok(()),
            (None, more) => Err(format!("{more} too many arguments")),
        }
    }
}

fn wrong(name: &str, expected: &str, got: &Datum) -> String {
    match got {
        Datum::Undefined => NO_VALUE.to_owned(),
        got => format!("`{name}` must be {expected}, got {}", got.kind()),
    }
}
