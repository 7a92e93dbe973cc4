//! An expression as a flat list of nodes that name each other by number: long ones are long, not deep, and dropping one
//! needs no stack.

use std::sync::Arc;

use super::datum::Datum;

/// A node's number in its [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeNo(u32);

/// All nodes of one template or expression.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<(usize, ExprNode)>,
}

impl Tree {
    /// Adds a node that stands at that place of the text.
    pub(super) fn add(&mut self, at: usize, node: ExprNode) -> NodeNo {
        self.nodes.push((at, node));
        NodeNo(self.nodes.len() as u32 - 1)
    }

    pub(super) fn get(&self, no: NodeNo) -> &ExprNode {
        &self.nodes[no.0 as usize].1
    }

    pub(super) fn at(&self, no: NodeNo) -> usize {
        self.nodes[no.0 as usize].0
    }
}

/// A part of an expression. Chains of operators of one rank are one node.
#[derive(Debug)]
pub(super) enum ExprNode {
    Const(Datum),
    /// A variable of `set` or `for`.
    Local(String),
    /// A name from outside with its parts: `params.region`.
    Outer(Vec<String>),
    List(Vec<NodeNo>),
    Map(Vec<(NodeNo, NodeNo)>),
    Not(NodeNo),
    Negative(NodeNo),
    /// `and` or `or`: stops at the first that decides.
    Logic {
        stops_at: bool,
        terms: Vec<NodeNo>,
    },
    /// Arithmetic from left to right.
    Chain {
        first: NodeNo,
        rest: Vec<(Operator, NodeNo)>,
    },
    /// `a < b <= c`: each with its neighbour.
    Compare {
        first: NodeNo,
        rest: Vec<(Comparison, NodeNo)>,
    },
    Choice {
        test: NodeNo,
        yes: NodeNo,
        no: Option<NodeNo>,
    },
    /// What follows a value, from left to right.
    Steps {
        base: NodeNo,
        steps: Vec<(usize, PathStep)>,
    },
    /// `range(..)`, `dict(..)`, `loop.cycle(..)` or `loop.changed(..)`.
    Call {
        function: Function,
        args: CallArgs,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Sub,
    Concat,
    Mul,
    Div,
    FloorDiv,
    Rem,
    Pow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Range,
    Dict,
    Cycle,
    Changed,
}

#[derive(Debug)]
pub(super) enum PathStep {
    Attribute(Arc<str>),
    Index(NodeNo),
    Slice { from: Option<NodeNo>, to: Option<NodeNo>, by: Option<NodeNo> },
    Filter { name: String, args: CallArgs },
    Test { name: String, is_negated: bool, args: CallArgs },
}

/// Arguments as written.
#[derive(Debug, Default)]
pub(super) struct CallArgs {
    pub(super) plain: Vec<NodeNo>,
    pub(super) named: Vec<(String, NodeNo)>,
}
