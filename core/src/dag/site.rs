//! The templates of a file: where they stand.

use std::collections::HashMap;

use indexmap::IndexMap;

use crate::id::TaskNo;

use super::model::{Graph, Param};
use super::read::Reader;
use super::task::Draft;
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

pub(super) struct Scene;
impl Scene {
    pub(super) fn new(
        _: &IndexMap<String, Param>,
        _: &HashMap<&str, TaskNo>,
        _: &[Draft<'_, '_>],
        _: &Graph,
    ) -> Self {
        Self
    }
    pub(super) fn check_shared(&mut self, _: &mut Reader<'_>, sites: &[Site<'_, '_>]) {
        for s in sites {
            _ = (s.node, s.kind);
        }
    }
    pub(super) fn check_task(&mut self, _: &mut Reader<'_>, _: TaskNo) -> (Vec<TaskNo>, Vec<TaskNo>) {
        (Vec::new(), Vec::new())
    }
}
