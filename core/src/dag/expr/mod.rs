//! The language of templates: Jinja's expressions and its statements `if`, `for`, `set` and `raw`, read and evaluated
//! within bounds.
//!
//! A text becomes tokens (`token`: flat, counted), nodes (`tree`, `parse`, `operand`) and instructions (`build`, `statement`); `eval` walks
//! them and charges a [`Meter`] for every step, every item and every byte before it is made, in `ops`, `filters` and
//! `checks` (what stands behind `is`) as well. Nothing is evaluated when a template is read. Nothing here reads a file, a clock or the environment.
//!
//! What differs from Jinja: there are no comments, methods, macros, includes or imports; numbers are whole ones of 64 bits
//! or finite floats, never infinite; values become text in JSON's form; texts and numbers cannot be compared by `<`.

mod build;
mod checks;
mod datum;
mod eval;
mod filters;
mod given;
mod items;
mod lists;
mod meter;
mod operand;
mod ops;
mod parse;
mod statement;
#[cfg(test)]
mod tests;
mod texts;
mod token;
mod tree;

use std::ops::Range;

use serde_json::{Map, Value};

pub(super) use checks::TESTS;
pub(super) use datum::Datum;
use datum::NO_VALUE;
pub(super) use filters::FILTERS;
pub(super) use meter::Meter;
pub(super) use statement::{Expression, Template, is_template};

/// What is wrong, and where in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExprFault {
    /// In bytes.
    pub(super) at: usize,
    pub(super) message: String,
}

impl ExprFault {
    fn new(at: usize, message: String) -> Self {
        Self { at, message }
    }
}

/// A name from outside with its parts: `params.region`, `tasks["load-x"].outputs.rows`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    /// Where it starts in the text, in bytes.
    pub(super) at: usize,
    pub(super) parts: Vec<String>,
    /// Whether an index that is not written out follows.
    pub(super) computed: bool,
}

/// What a template uses, in the order in which it stands.
#[derive(Debug, Default)]
pub(super) struct Uses {
    pub(super) paths: Vec<Path>,
    /// The names after `|`, with their places.
    pub(super) filters: Vec<(usize, String)>,
    /// The names after `is`, with their places.
    pub(super) tests: Vec<(usize, String)>,
}

/// One `{{ }}` or `{% %}` of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TemplateBlock {
    /// In the text, with its braces.
    pub(super) whole: Range<usize>,
    /// Without its braces and white-space signs.
    pub(super) body: Range<usize>,
    /// Whether it is replaced by a value, and how.
    pub(super) kind: BlockKind,
}

/// What stands in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    /// `{{ value }}`
    Value,
    /// `{{ value | raw }}`
    RawValue,
    /// `{% if .. %}` and the like.
    Statement,
}

/// What templates can name.
pub(super) trait Names {
    /// The value of a name and its parts; none if there is no such value.
    fn find(&self, parts: &[String]) -> Option<FoundName<'_>>;
}

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum FoundName<'n> {
    Value(&'n Value),
    Object(&'n Map<String, Value>),
}

/// How a value is written into the text around it.
pub(super) trait Writer {
    /// Appends a value.
    ///
    /// # Errors
    /// Why it cannot stand there.
    fn write(&self, value: &Datum, out: &mut String, meter: &mut Meter) -> Result<(), String>;
}
