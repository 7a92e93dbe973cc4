//! Expressions: tokens to nodes, with Jinja's ranks of operators. Recursion is bounded by [`DEPTH_MAX`]; how long a chain
//! may be was counted before.

use std::collections::HashSet;
use std::sync::Arc;

use super::datum::Datum;
use super::token::{DEPTH_MAX, Token, Tokens, measure, too_deep};
use super::tree::{Args, Comparison, Function, Node, NodeNo, Operator, Step, Tree};
use super::{Fault, Path, Uses};

/// Most arguments of one filter, test or function.
const ARGS_MAX: usize = 16;

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
const RESERVED: [&str; 15] = [
    "and", "or", "not", "in", "is", "if", "else", "elif", "for", "endfor", "endif", "set", "true", "false",
    "none",
];

/// What expressions of one template have in common.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) tree: Tree,
    pub(super) uses: Uses,
    /// The names that `set` and `for` made, by scope.
    pub(super) scopes: Vec<HashSet<String>>,
}

impl Shared {
    fn is_local(&self, name: &str) -> bool {
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
    shared: &'p mut Shared,
    tokens: &'p Tokens<'t>,
    next: usize,
    depth: usize,
    /// What is expected where the expression ends.
    end: &'static str,
}

impl<'p, 't> Parser<'p, 't> {
    /// # Errors
    /// More operators or depth than may be.
    pub(super) fn new(
        shared: &'p mut Shared,
        tokens: &'p Tokens<'t>,
        end: &'static str,
    ) -> Result<Self, Fault> {
        measure(&tokens.all)?;
        Ok(Self { shared, tokens, next: 0, depth: 0, end })
    }

    pub(super) fn peek(&self) -> Option<&'p Token<'t>> {
        self.tokens.all.get(self.next).map(|(_, token)| token)
    }

    fn at(&self) -> usize {
        let last = self.tokens.all.last().map_or(self.tokens.body_end, |(at, _)| *at);
        self.tokens.all.get(self.next).map_or(last, |(at, _)| *at)
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(next)) if *next == sign);
        self.next += usize::from(found);
        found
    }

    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(next)) if *next == word);
        self.next += usize::from(found);
        found
    }

    fn need(&mut self, sign: &'static str) -> Result<(), Fault> {
        if self.sign(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    /// The fault that something else stands here.
    pub(super) fn unexpected(&self, expected: &str) -> Fault {
        match (self.peek(), &self.tokens.fault) {
            (None, Some(fault)) if !fault.message.starts_with("unexpected end of input") => fault.clone(),
            (None, _) => Fault::new(self.at(), format!("unexpected end of input, expected {expected}")),
            (Some(token), _) => {
                Fault::new(self.at(), format!("unexpected {}, expected {expected}", token.words()))
            }
        }
    }

    /// # Errors
    /// Something stands behind the expression, or the block has no end.
    pub(super) fn finish(self) -> Result<(), Fault> {
        match (self.peek(), &self.tokens.fault) {
            (None, None) => Ok(()),
            (None, Some(fault)) => Err(fault.clone()),
            (Some(_), _) => Err(self.unexpected(self.end)),
        }
    }

    fn add(&mut self, at: usize, node: Node) -> NodeNo {
        self.shared.tree.add(at, node)
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth >= DEPTH_MAX {
            return Err(Fault::new(self.at(), too_deep()));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// An expression with `if else`.
    pub(super) fn expression(&mut self) -> Result<NodeNo, Fault> {
        self.deeper(|parser| {
            let at = parser.at();
            let mut value = parser.ranked(Rank::Or)?;
            // Another `if` must stand in brackets or behind `else`, or it would nest without an end.
            if parser.word("if") {
                let test = parser.ranked(Rank::Or)?;
                let no = if parser.word("else") { Some(parser.expression()?) } else { None };
                value = parser.add(at, Node::Choice { test, yes: value, no });
            }
            Ok(value)
        })
    }

    /// An expression without `if` of its own, as a loop's list is.
    pub(super) fn plain_expression(&mut self) -> Result<NodeNo, Fault> {
        self.deeper(|parser| parser.ranked(Rank::Or))
    }

    /// One expression, or several with commas between them as a list.
    pub(super) fn expression_list(&mut self) -> Result<NodeNo, Fault> {
        let at = self.at();
        let first = self.expression()?;
        if !matches!(self.peek(), Some(Token::Sign(","))) {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.sign(",") && self.peek().is_some() {
            items.push(self.expression()?);
        }
        Ok(self.add(at, Node::List(items)))
    }

    /// The names that `set` or `for` gives values, and the sign or word behind them.
    pub(super) fn targets(&mut self, then: &'static str) -> Result<Vec<String>, Fault> {
        let bracketed = self.sign("(");
        let mut names = vec![self.target()?];
        while self.sign(",") && matches!(self.peek(), Some(Token::Word(_))) {
            names.push(self.target()?);
        }
        if bracketed {
            self.need(")")?;
        }
        if then == "=" && self.peek().is_none() {
            return Err(Fault::new(
                self.at(),
                "`set` needs a value; write `{% set name = value %}`".to_owned(),
            ));
        }
        let found = if then == "=" { self.sign("=") } else { self.word(then) };
        if found { Ok(names) } else { Err(self.unexpected(&format!("`{then}`"))) }
    }

    fn target(&mut self) -> Result<String, Fault> {
        let (at, name) = self.name()?;
        if RESERVED.contains(&name.as_str()) || name == "loop" {
            return Err(Fault::new(at, format!("`{name}` cannot be the name of a variable")));
        }
        Ok(name)
    }

    /// Opens the scope of a loop, in which these names are known, and `loop`.
    pub(super) fn scope(&mut self, names: &[String]) {
        self.shared.scopes.push(HashSet::from(["loop".to_owned()]));
        names.iter().for_each(|name| self.shared.bind(name));
    }

    /// Operators of that rank and above; those of one rank become one node.
    fn ranked(&mut self, lowest: Rank) -> Result<NodeNo, Fault> {
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

    fn negated(&mut self, at: usize) -> Result<NodeNo, Fault> {
        let inner = self.deeper(|parser| parser.ranked(Rank::Not))?;
        Ok(self.add(at, Node::Not(inner)))
    }

    /// All operators of `rank` that follow `first`.
    fn chain(&mut self, at: usize, first: NodeNo, rank: Rank) -> Result<NodeNo, Fault> {
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
            Rank::Or | Rank::And | Rank::Not => Node::Logic { stops_at: rank == Rank::Or, terms },
            Rank::Compare => Node::Compare { first, rest: pairs },
            Rank::Sum | Rank::Concat | Rank::Product | Rank::Power => Node::Chain { first, rest: sums },
        };
        Ok(self.add(at, node))
    }

    /// The right side of an operator of `rank`.
    fn operand(&mut self, rank: Rank) -> Result<NodeNo, Fault> {
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

    /// A value with its sign, then filters and tests: `-x | abs` is `(-x) | abs`.
    fn unary(&mut self) -> Result<NodeNo, Fault> {
        let base = self.signed()?;
        self.steps(base, true)
    }

    fn signed(&mut self) -> Result<NodeNo, Fault> {
        let at = self.at();
        if !self.sign("-") {
            let base = self.primary()?;
            return self.steps(base, false);
        }
        let inner = self.deeper(Self::signed)?;
        Ok(self.add(at, Node::Negative(inner)))
    }

    /// What follows a value: attributes and indices, or filters and tests.
    fn steps(&mut self, base: NodeNo, pipes: bool) -> Result<NodeNo, Fault> {
        let mut steps = Vec::new();
        loop {
            let at = self.at();
            if !pipes && self.sign(".") {
                steps.push((at, self.attribute()?));
            } else if !pipes && self.sign("[") {
                steps.push((at, self.index()?));
            } else if matches!(self.peek(), Some(Token::Sign("("))) && !pipes {
                let message =
                    "only `range` and `dict` can be called; write `value | filter` instead of a method";
                return Err(Fault::new(at, message.to_owned()));
            } else if pipes && self.sign("|") {
                steps.push((at, self.filter()?));
            } else if pipes && self.word("is") {
                steps.push((at, self.test()?));
            } else if steps.is_empty() {
                return Ok(base);
            } else {
                let at = self.shared.tree.at(base);
                return Ok(self.add(at, Node::Steps { base, steps }));
            }
        }
    }

    fn attribute(&mut self) -> Result<Step, Fault> {
        match self.peek() {
            Some(Token::Word(name)) => {
                self.next += 1;
                Ok(Step::Attribute(Arc::from(*name)))
            }
            Some(Token::Int(number)) => {
                let at = self.at();
                self.next += 1;
                Ok(Step::Index(self.add(at, Node::Const(Datum::Int(*number)))))
            }
            _ => Err(self.unexpected("identifier or integer")),
        }
    }

    fn index(&mut self) -> Result<Step, Fault> {
        let stops = |parser: &Self| matches!(parser.peek(), Some(Token::Sign("]" | ":")));
        let from = if stops(self) { None } else { Some(self.expression()?) };
        if self.sign("]") {
            return from.map(Step::Index).ok_or_else(|| self.unexpected("expression"));
        }
        self.need(":")?;
        let to = if stops(self) { None } else { Some(self.expression()?) };
        let by = if self.sign(":") && !stops(self) { Some(self.expression()?) } else { None };
        self.need("]")?;
        Ok(Step::Slice { from, to, by })
    }

    fn name(&mut self) -> Result<(usize, String), Fault> {
        let at = self.at();
        let Some(Token::Word(name)) = self.peek() else { return Err(self.unexpected("identifier")) };
        self.next += 1;
        Ok((at, (*name).to_owned()))
    }

    fn filter(&mut self) -> Result<Step, Fault> {
        let (at, name) = self.name()?;
        self.shared.uses.filters.push((at, name.clone()));
        let args = if self.sign("(") { self.args()? } else { Args::default() };
        Ok(Step::Filter { name, args })
    }

    fn test(&mut self) -> Result<Step, Fault> {
        let is_negated = self.word("not");
        let (at, name) = self.name()?;
        self.shared.uses.tests.push((at, name.clone()));
        let mut args = Args::default();
        let follows = match self.peek() {
            Some(Token::Word(word)) => !matches!(*word, "and" | "or" | "else" | "is" | "if" | "in" | "not"),
            Some(Token::Text(_) | Token::Int(_) | Token::Float(_)) => true,
            Some(Token::Sign(sign)) => matches!(*sign, "[" | "{"),
            None => false,
        };
        if self.sign("(") {
            args = self.args()?;
        } else if follows {
            args.plain.push(self.signed()?);
        }
        Ok(Step::Test { name, is_negated, args })
    }

    fn args(&mut self) -> Result<Args, Fault> {
        let mut args = Args::default();
        while !self.sign(")") {
            if args.plain.len() + args.named.len() >= ARGS_MAX {
                return Err(Fault::new(self.at(), format!("more than {ARGS_MAX} arguments")));
            }
            let is_named = matches!(self.tokens.all.get(self.next + 1), Some((_, Token::Sign("="))));
            if let (true, Some(Token::Word(name))) = (is_named, self.peek()) {
                self.next += 2;
                args.named.push(((*name).to_owned(), self.expression()?));
            } else if args.named.is_empty() {
                args.plain.push(self.expression()?);
            } else {
                return Err(Fault::new(self.at(), "non-keyword arg after keyword arg".to_owned()));
            }
            if !matches!(self.peek(), Some(Token::Sign(")"))) {
                self.need(",")?;
            }
        }
        Ok(args)
    }

    fn primary(&mut self) -> Result<NodeNo, Fault> {
        let at = self.at();
        let Some(token) = self.peek() else { return Err(self.unexpected("expression")) };
        let datum = match token {
            Token::Word("true" | "True") => Datum::Bool(true),
            Token::Word("false" | "False") => Datum::Bool(false),
            Token::Word("none" | "None") => Datum::Null,
            Token::Word(name) if RESERVED.contains(name) => return Err(self.unexpected("expression")),
            Token::Word(name) => return self.named(at, name),
            Token::Text(_) => Datum::text(self.texts()),
            Token::Int(number) => Datum::Int(*number),
            Token::Float(number) => Datum::Float(*number),
            Token::Sign("(") => return self.bracketed(at),
            Token::Sign("[") => {
                self.next += 1;
                let items = self.list("]")?;
                return Ok(self.add(at, Node::List(items)));
            }
            Token::Sign("{") => return self.map(at),
            Token::Sign(_) => return Err(self.unexpected("expression")),
        };
        self.next += 1;
        Ok(self.add(at, Node::Const(datum)))
    }

    /// Texts that stand side by side are one; the last is left to the caller.
    fn texts(&mut self) -> String {
        let mut whole = String::new();
        while let Some(Token::Text(text)) = self.peek() {
            whole.push_str(text);
            self.next += 1;
        }
        self.next -= 1;
        whole
    }

    fn list(&mut self, close: &'static str) -> Result<Vec<NodeNo>, Fault> {
        let mut items = Vec::new();
        while !self.sign(close) {
            items.push(self.expression()?);
            if !self.sign(",") {
                self.need(close)?;
                break;
            }
        }
        Ok(items)
    }

    fn bracketed(&mut self, at: usize) -> Result<NodeNo, Fault> {
        self.next += 1;
        if self.sign(")") {
            return Ok(self.add(at, Node::List(Vec::new())));
        }
        let first = self.expression()?;
        if !self.sign(",") {
            self.need(")")?;
            return Ok(first);
        }
        let mut items = vec![first];
        items.extend(self.list(")")?);
        Ok(self.add(at, Node::List(items)))
    }

    fn map(&mut self, at: usize) -> Result<NodeNo, Fault> {
        self.next += 1;
        let mut entries = Vec::new();
        while !self.sign("}") {
            let key = self.expression()?;
            self.need(":")?;
            entries.push((key, self.expression()?));
            if !self.sign(",") {
                self.need("}")?;
                break;
            }
        }
        Ok(self.add(at, Node::Map(entries)))
    }

    /// A name: a variable, a function's call, or a name from outside with the parts that are written out.
    fn named(&mut self, at: usize, name: &str) -> Result<NodeNo, Fault> {
        self.next += 1;
        if self.shared.is_local(name) {
            return self.local(at, name);
        }
        if let Some(function) = [("range", Function::Range), ("dict", Function::Dict)]
            .into_iter()
            .find_map(|(known, function)| (known == name).then_some(function))
            && self.sign("(")
        {
            let args = self.args()?;
            return Ok(self.add(at, Node::Call { function, args }));
        }
        let mut parts = vec![name.to_owned()];
        while let Some((part, length)) = self.literal_part() {
            parts.push(part);
            self.next += length;
        }
        let computed = matches!(self.peek(), Some(Token::Sign("[" | ".")));
        self.shared.uses.paths.push(Path { at, parts: parts.clone(), computed });
        Ok(self.add(at, Node::Outer(parts)))
    }

    fn local(&mut self, at: usize, name: &str) -> Result<NodeNo, Fault> {
        let follows = self.tokens.all.get(self.next..self.next + 3).unwrap_or_default();
        let signs: Vec<&Token<'_>> = follows.iter().map(|(_, token)| token).collect();
        if name == "loop"
            && let [Token::Sign("."), Token::Word(word @ ("cycle" | "changed")), Token::Sign("(")] =
                signs.as_slice()
        {
            self.next += 3;
            let function = if *word == "cycle" { Function::Cycle } else { Function::Changed };
            let args = self.args()?;
            return Ok(self.add(at, Node::Call { function, args }));
        }
        Ok(self.add(at, Node::Local(name.to_owned())))
    }

    /// `.name` or `["name"]`, and how many tokens it takes.
    fn literal_part(&self) -> Option<(String, usize)> {
        let token = |ahead: usize| self.tokens.all.get(self.next + ahead).map(|(_, token)| token);
        match (token(0)?, token(1)?, token(2)) {
            (Token::Sign("."), Token::Word(name), _) => Some(((*name).to_owned(), 2)),
            (Token::Sign("["), Token::Text(key), Some(Token::Sign("]"))) => Some((key.clone(), 3)),
            _ => None,
        }
    }
}
