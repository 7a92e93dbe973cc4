//! What stands between operators: values and names, their attributes and indices, filters, tests and calls.

use std::sync::Arc;

use super::datum::Datum;
use super::parse::{Parser, RESERVED};
use super::token::Token;
use super::tree::{CallArgs, ExprNode, Function, NodeNo, PathStep};
use super::{ExprFault, Path};

/// Most arguments of one filter, test or function.
const ARGS_MAX: usize = 16;

impl Parser<'_, '_> {
    /// A value with its sign, then filters and tests: `-x | abs` is `(-x) | abs`.
    pub(super) fn unary(&mut self) -> Result<NodeNo, ExprFault> {
        let base = self.signed()?;
        self.steps(base, true)
    }

    fn signed(&mut self) -> Result<NodeNo, ExprFault> {
        let at = self.at();
        if !self.sign("-") {
            let base = self.primary()?;
            return self.steps(base, false);
        }
        let inner = self.deeper(Self::signed)?;
        Ok(self.add(at, ExprNode::Negative(inner)))
    }

    /// What follows a value: attributes and indices, or filters and tests.
    fn steps(&mut self, base: NodeNo, pipes: bool) -> Result<NodeNo, ExprFault> {
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
                return Err(ExprFault::new(at, message.to_owned()));
            } else if pipes && self.sign("|") {
                steps.push((at, self.filter()?));
            } else if pipes && self.word("is") {
                steps.push((at, self.test()?));
            } else if steps.is_empty() {
                return Ok(base);
            } else {
                let at = self.shared.tree.at(base);
                return Ok(self.add(at, ExprNode::Steps { base, steps }));
            }
        }
    }

    fn attribute(&mut self) -> Result<PathStep, ExprFault> {
        match self.peek() {
            Some(Token::Word(name)) => {
                self.next += 1;
                Ok(PathStep::Attribute(Arc::from(*name)))
            }
            Some(Token::Int(number)) => {
                let at = self.at();
                self.next += 1;
                Ok(PathStep::Index(self.add(at, ExprNode::Const(Datum::Int(*number)))))
            }
            _ => Err(self.unexpected("identifier or integer")),
        }
    }

    fn index(&mut self) -> Result<PathStep, ExprFault> {
        let stops = |parser: &Self| matches!(parser.peek(), Some(Token::Sign("]" | ":")));
        let from = if stops(self) { None } else { Some(self.expression()?) };
        if self.sign("]") {
            return from.map(PathStep::Index).ok_or_else(|| self.unexpected("expression"));
        }
        self.need(":")?;
        let to = if stops(self) { None } else { Some(self.expression()?) };
        let by = if self.sign(":") && !stops(self) { Some(self.expression()?) } else { None };
        self.need("]")?;
        Ok(PathStep::Slice { from, to, by })
    }

    pub(super) fn name(&mut self) -> Result<(usize, String), ExprFault> {
        let at = self.at();
        let Some(Token::Word(name)) = self.peek() else { return Err(self.unexpected("identifier")) };
        self.next += 1;
        Ok((at, (*name).to_owned()))
    }

    fn filter(&mut self) -> Result<PathStep, ExprFault> {
        let (at, name) = self.name()?;
        self.shared.uses.filters.push((at, name.clone()));
        let args = if self.sign("(") { self.args()? } else { CallArgs::default() };
        Ok(PathStep::Filter { name, args })
    }

    fn test(&mut self) -> Result<PathStep, ExprFault> {
        let is_negated = self.word("not");
        let (at, name) = self.name()?;
        self.shared.uses.tests.push((at, name.clone()));
        let mut args = CallArgs::default();
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
        Ok(PathStep::Test { name, is_negated, args })
    }

    fn args(&mut self) -> Result<CallArgs, ExprFault> {
        let mut args = CallArgs::default();
        while !self.sign(")") {
            if args.plain.len() + args.named.len() >= ARGS_MAX {
                return Err(ExprFault::new(self.at(), format!("more than {ARGS_MAX} arguments")));
            }
            let is_named = matches!(self.tokens.all.get(self.next + 1), Some((_, Token::Sign("="))));
            if let (true, Some(Token::Word(name))) = (is_named, self.peek()) {
                self.next += 2;
                args.named.push(((*name).to_owned(), self.expression()?));
            } else if args.named.is_empty() {
                args.plain.push(self.expression()?);
            } else {
                return Err(ExprFault::new(self.at(), "non-keyword arg after keyword arg".to_owned()));
            }
            if !matches!(self.peek(), Some(Token::Sign(")"))) {
                self.need(",")?;
            }
        }
        Ok(args)
    }

    fn primary(&mut self) -> Result<NodeNo, ExprFault> {
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
                return Ok(self.add(at, ExprNode::List(items)));
            }
            Token::Sign("{") => return self.map(at),
            Token::Sign(_) => return Err(self.unexpected("expression")),
        };
        self.next += 1;
        Ok(self.add(at, ExprNode::Const(datum)))
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

    fn list(&mut self, close: &'static str) -> Result<Vec<NodeNo>, ExprFault> {
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

    fn bracketed(&mut self, at: usize) -> Result<NodeNo, ExprFault> {
        self.next += 1;
        if self.sign(")") {
            return Ok(self.add(at, ExprNode::List(Vec::new())));
        }
        let first = self.expression()?;
        if !self.sign(",") {
            self.need(")")?;
            return Ok(first);
        }
        let mut items = vec![first];
        items.extend(self.list(")")?);
        Ok(self.add(at, ExprNode::List(items)))
    }

    fn map(&mut self, at: usize) -> Result<NodeNo, ExprFault> {
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
        Ok(self.add(at, ExprNode::Map(entries)))
    }

    /// A name: a variable, a function's call, or a name from outside with the parts that are written out.
    fn named(&mut self, at: usize, name: &str) -> Result<NodeNo, ExprFault> {
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
            return Ok(self.add(at, ExprNode::Call { function, args }));
        }
        let mut parts = vec![name.to_owned()];
        while let Some((part, length)) = self.literal_part() {
            parts.push(part);
            self.next += length;
        }
        let computed = matches!(self.peek(), Some(Token::Sign("[" | ".")));
        self.shared.uses.paths.push(Path { at, parts: parts.clone(), computed });
        Ok(self.add(at, ExprNode::Outer(parts)))
    }

    fn local(&mut self, at: usize, name: &str) -> Result<NodeNo, ExprFault> {
        let follows = self.tokens.all.get(self.next..self.next + 3).unwrap_or_default();
        let signs: Vec<&Token<'_>> = follows.iter().map(|(_, token)| token).collect();
        if name == "loop"
            && let [Token::Sign("."), Token::Word(word @ ("cycle" | "changed")), Token::Sign("(")] =
                signs.as_slice()
        {
            self.next += 3;
            let function = if *word == "cycle" { Function::Cycle } else { Function::Changed };
            let args = self.args()?;
            return Ok(self.add(at, ExprNode::Call { function, args }));
        }
        Ok(self.add(at, ExprNode::Local(name.to_owned())))
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
