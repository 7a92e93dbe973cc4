//! Expressions: tokens to nodes, with Jinja's ranks of operators (what stands between these is read in `operand`). Recursion is bounded by [`DEPTH_MAX`]; how long a chain
//! may be was counted before.

use std::collections::HashSet;

use super::token::{DEPTH_MAX, Token, Tokens, measure, too_deep};
use super::tree::{Comparison, ExprNode, NodeNo, Operator, Tree};
use super::{ExprFault, Uses};

/// The ranks of operators, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Or,
    And,
    Not,
    Compare,
    Sum,
    Concat,
    Product,
    Power,
}

#[derive(Debug, Clone, Copy)]
enum Infix {
    Logic,
    Arithmetic(Operator),
    Compare(Comparison),
}

/// Words that are no names.
pub(super) const RESERVED: [&str; 15] = [
    "and", "or", "not", "in", "is", "if", "else", "elif", "for", "endfor", "endif", "set", "true", "false",
    "none",
];

/// What expressions of one template have in common.
#[derive(Debug, Default)]
pub(super) struct ParserShared {
    pub(super) tree: Tree,
    pub(super) uses: Uses,
    /// The names that `set` and `for` made, by scope.
    pub(super) scopes: Vec<HashSet<String>>,
}

impl ParserShared {
    pub(super) fn is_local(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains(name))
    }

    /// Makes a name known in the innermost scope.
    pub(super) fn bind(&mut self, name: &str) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_owned());
        }
    }
}

/// Reads the tokens of one block.
pub(super) struct Parser<'p, 't> {
    pub(super) shared: &'p mut ParserShared,
    pub(super) tokens: &'p Tokens<'t>,
    pub(super) next: usize,
    depth: usize,
    /// What is expected where the expression ends.
    end: &'static str,
}

impl<'p, 't> Parser<'p, 't> {
    /// # Errors
    /// More operators or depth than may be.
    pub(super) fn new(
        shared: &'p mut ParserShared,
        tokens: &'p Tokens<'t>,
        end: &'static str,
    ) -> Result<Self, ExprFault> {
        measure(&tokens.all)?;
        Ok(Self { shared, tokens, next: 0, depth: 0, end })
    }

    pub(super) fn peek(&self) -> Option<&'p Token<'t>> {
        self.tokens.all.get(self.next).map(|(_, token)| token)
    }

    pub(super) fn at(&self) -> usize {
        let last = self.tokens.all.last().map_or(self.tokens.body_end, |(at, _)| *at);
        self.tokens.all.get(self.next).map_or(last, |(at, _)| *at)
    }

    pub(super) fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(next)) if *next == sign);
        self.next += usize::from(found);
        found
    }

    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(next)) if *next == word);
        self.next += usize::from(found);
        found
    }

    pub(super) fn need(&mut self, sign: &'static str) -> Result<(), ExprFault> {
        if self.sign(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    /// The fault that something else stands here.
    pub(super) fn unexpected(&self, expected: &str) -> ExprFault {
        match (self.peek(), &self.tokens.fault) {
            (None, Some(fault)) if !fault.message.starts_with("unexpected end of input") => fault.clone(),
            (None, _) => ExprFault::new(self.at(), format!("unexpected end of input, expected {expected}")),
            (Some(token), _) => {
                ExprFault::new(self.at(), format!("unexpected {}, expected {expected}", token.words()))
            }
        }
    }

    /// # Errors
    /// Something stands behind the expression, or the block has no end.
    pub(super) fn finish(self) -> Result<(), ExprFault> {
        match (self.peek(), &self.tokens.fault) {
            (None, None) => Ok(()),
            (None, Some(fault)) => Err(fault.clone()),
            (Some(_), _) => Err(self.unexpected(self.end)),
        }
    }

    pub(super) fn add(&mut self, at: usize, node: ExprNode) -> NodeNo {
        self.shared.tree.add(at, node)
    }

    pub(super) fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, ExprFault>,
    ) -> Result<T, ExprFault> {
        if self.depth >= DEPTH_MAX {
            return Err(ExprFault::new(self.at(), too_deep()));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// An expression with `if else`.
    pub(super) fn expression(&mut self) -> Result<NodeNo, ExprFault> {
        self.deeper(|parser| {
            let at = parser.at();
            let mut value = parser.ranked(Rank::Or)?;
            // Another `if` must stand in brackets or behind `else`, or it would nest without an end.
            if parser.word("if") {
                let test = parser.ranked(Rank::Or)?;
                let no = if parser.word("else") { Some(parser.expression()?) } else { None };
                value = parser.add(at, ExprNode::Choice { test, yes: value, no });
            }
            Ok(value)
        })
    }

    /// An expression without `if` of its own, as a loop's list is.
    pub(super) fn plain_expression(&mut self) -> Result<NodeNo, ExprFault> {
        self.deeper(|parser| parser.ranked(Rank::Or))
    }

    /// One expression, or several with commas between them as a list.
    pub(super) fn expression_list(&mut self) -> Result<NodeNo, ExprFault> {
        let at = self.at();
        let first = self.expression()?;
        if !matches!(self.peek(), Some(Token::Sign(","))) {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.sign(",") && self.peek().is_some() {
            items.push(self.expression()?);
        }
        Ok(self.add(at, ExprNode::List(items)))
    }

    /// The names that `set` or `for` gives values, and the sign or word behind them.
    pub(super) fn targets(&mut self, then: &'static str) -> Result<Vec<String>, ExprFault> {
        let bracketed = self.sign("(");
        let mut names = vec![self.target()?];
        while self.sign(",") && matches!(self.peek(), Some(Token::Word(_))) {
            names.push(self.target()?);
        }
        if bracketed {
            self.need(")")?;
        }
        if then == "=" && self.peek().is_none() {
            return Err(ExprFault::new(
                self.at(),
                "`set` needs a value; write `{% set name = value %}`".to_owned(),
            ));
        }
        let found = if then == "=" { self.sign("=") } else { self.word(then) };
        if found { Ok(names) } else { Err(self.unexpected(&format!("`{then}`"))) }
    }

    fn target(&mut self) -> Result<String, ExprFault> {
        let (at, name) = self.name()?;
        if RESERVED.contains(&name.as_str()) || name == "loop" {
            return Err(ExprFault::new(at, format!("`{name}` cannot be the name of a variable")));
        }
        Ok(name)
    }

    /// Opens the scope of a loop, in which these names are known, and `loop`.
    pub(super) fn scope(&mut self, names: &[String]) {
        self.shared.scopes.push(HashSet::from(["loop".to_owned()]));
        names.iter().for_each(|name| self.shared.bind(name));
    }

    /// Operators of that rank and above; those of one rank become one node.
    fn ranked(&mut self, lowest: Rank) -> Result<NodeNo, ExprFault> {
        let at = self.at();
        let mut left =
            if lowest <= Rank::Not && self.word("not") { self.negated(at)? } else { self.unary()? };
        let mut highest = Rank::Power;
        while let Some((rank, _)) = self.infix().filter(|(rank, _)| (lowest..=highest).contains(rank)) {
            left = self.chain(at, left, rank)?;
            highest = rank;
        }
        Ok(left)
    }

    fn negated(&mut self, at: usize) -> Result<NodeNo, ExprFault> {
        let inner = self.deeper(|parser| parser.ranked(Rank::Not))?;
        Ok(self.add(at, ExprNode::Not(inner)))
    }

    /// All operators of `rank` that follow `first`.
    fn chain(&mut self, at: usize, first: NodeNo, rank: Rank) -> Result<NodeNo, ExprFault> {
        let (mut terms, mut sums, mut pairs) = (vec![first], Vec::new(), Vec::new());
        while let Some((_, infix)) = self.infix().filter(|(next, _)| *next == rank) {
            self.next += if matches!(infix, Infix::Compare(Comparison::NotIn)) { 2 } else { 1 };
            let right = self.operand(rank)?;
            match infix {
                Infix::Logic => terms.push(right),
                Infix::Arithmetic(operator) => sums.push((operator, right)),
                Infix::Compare(comparison) => pairs.push((comparison, right)),
            }
        }
        let node = match rank {
            Rank::Or | Rank::And | Rank::Not => ExprNode::Logic { stops_at: rank == Rank::Or, terms },
            Rank::Compare => ExprNode::Compare { first, rest: pairs },
            Rank::Sum | Rank::Concat | Rank::Product | Rank::Power => ExprNode::Chain { first, rest: sums },
        };
        Ok(self.add(at, node))
    }

    /// The right side of an operator of `rank`.
    fn operand(&mut self, rank: Rank) -> Result<NodeNo, ExprFault> {
        match rank {
            Rank::Or => self.ranked(Rank::And),
            Rank::And => self.ranked(Rank::Not),
            Rank::Not | Rank::Compare => self.ranked(Rank::Sum),
            Rank::Sum => self.ranked(Rank::Concat),
            Rank::Concat => self.ranked(Rank::Product),
            Rank::Product => self.ranked(Rank::Power),
            Rank::Power => self.unary(),
        }
    }

    fn infix(&self) -> Option<(Rank, Infix)> {
        let after = self.tokens.all.get(self.next + 1).map(|(_, token)| token);
        let arithmetic = |rank, operator| Some((rank, Infix::Arithmetic(operator)));
        let compare = |comparison| Some((Rank::Compare, Infix::Compare(comparison)));
        match self.peek()? {
            Token::Word("or") => Some((Rank::Or, Infix::Logic)),
            Token::Word("and") => Some((Rank::And, Infix::Logic)),
            Token::Word("in") => compare(Comparison::In),
            Token::Word("not") if after == Some(&Token::Word("in")) => compare(Comparison::NotIn),
            Token::Sign("==") => compare(Comparison::Eq),
            Token::Sign("!=") => compare(Comparison::Ne),
            Token::Sign("<") => compare(Comparison::Lt),
            Token::Sign("<=") => compare(Comparison::Le),
            Token::Sign(">") => compare(Comparison::Gt),
            Token::Sign(">=") => compare(Comparison::Ge),
            Token::Sign("+") => arithmetic(Rank::Sum, Operator::Add),
            Token::Sign("-") => arithmetic(Rank::Sum, Operator::Sub),
            Token::Sign("~") => arithmetic(Rank::Concat, Operator::Concat),
            Token::Sign("*") => arithmetic(Rank::Product, Operator::Mul),
            Token::Sign("/") => arithmetic(Rank::Product, Operator::Div),
            Token::Sign("//") => arithmetic(Rank::Product, Operator::FloorDiv),
            Token::Sign("%") => arithmetic(Rank::Product, Operator::Rem),
            Token::Sign("**") => arithmetic(Rank::Power, Operator::Pow),
            _ => None,
        }
    }
}
