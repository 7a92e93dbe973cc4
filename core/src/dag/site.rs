//! Where templates stand in a DAG file, and what they become there. `template_checks` checks them.

use super::yaml::Node;

/// A template in the file.
#[derive(Clone, Copy)]
pub(super) struct Site<'n, 's> {
    pub(super) node: &'n Node<'s>,
    pub(super) kind: SiteKind,
}

/// What a template becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SiteKind {
    /// A shell script: values are quoted.
    Script,
    /// Text as it is.
    Plain,
    /// A condition: one expression.
    When,
}
