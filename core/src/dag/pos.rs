//! A place in a DAG file, which readers find and errors name.

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pos {
    /// From 1.
    pub(super) line: u32,
    /// From 1, in characters.
    pub(super) col: u32,
}

impl Pos {
    pub(super) const START: Self = Self { line: 1, col: 1 };
}
