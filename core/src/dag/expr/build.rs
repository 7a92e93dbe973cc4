//! Reads a template: its text, its values and its statements become the instructions of `statement`.

use std::collections::HashSet;
use std::ops::Range;

use super::parse::{Parser, ParserShared};
use super::statement::{Op, Template};
use super::token::{self, Close, Token, Tokens};
use super::tree::{ExprNode, NodeNo, PathStep};
use super::{BlockKind, ExprFault, TemplateBlock};

/// The statements of templates. Others could collect output outside of the script's quoting.
pub(in crate::dag) const STATEMENTS: [&str; 9] =
    ["if", "elif", "else", "endif", "for", "endfor", "set", "raw", "endraw"];

/// Most statements within statements.
const STATEMENTS_MAX: usize = 40;

/// A statement that is to be ended.
enum Open {
    If { unless: Option<usize>, exits: Vec<usize> },
    For { start: usize, exit: Option<usize> },
}

impl<'t> Template<'t> {
    /// Reads a template.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(in crate::dag) fn read(text: &'t str) -> Result<Self, ExprFault> {
        let template = Self { text, shared: ParserShared::default(), ops: Vec::new(), blocks: Vec::new() };
        let mut builder = Builder { template, open: Vec::new(), trims: false };
        builder.template.shared.scopes.push(HashSet::new());
        let mut from = 0;
        while let Some((start, kind)) = next_open(text, from) {
            from = builder.block(from, start, kind)?;
        }
        // As Jinja has it: one newline at the very end goes.
        let rest = text[from..].strip_suffix('\n').map_or(text.len(), |_| text.len() - 1);
        builder.text(from..rest.max(from), false);
        if let Some((_, at, name)) = builder.open.last() {
            return Err(ExprFault::new(*at, format!("`{name}` has no `end{name}`")));
        }
        Ok(builder.template)
    }
}

fn next_open(text: &str, from: usize) -> Option<(usize, BlockKind)> {
    let bytes = text.as_bytes();
    (from..bytes.len().saturating_sub(1)).find_map(|at| match (bytes[at], bytes[at + 1]) {
        (b'{', b'{') => Some((at, BlockKind::Value)),
        (b'{', b'%') => Some((at, BlockKind::Statement)),
        _ => None,
    })
}

/// A text without the one sign about white space that it may begin with, and whether that is `-`.
fn white_sign(text: &str) -> (&str, bool) {
    (text.strip_prefix(['-', '+']).unwrap_or(text), text.starts_with('-'))
}

/// The length of a statement that is nothing but that word, from behind its `{%`, and whether white space goes before and
/// behind it.
fn lone_word(statement: &str, word: &str) -> Option<(usize, bool, bool)> {
    let (name, before) = white_sign(statement);
    let rest = name.trim_ascii_start().strip_prefix(word)?.trim_ascii_start();
    let (rest, behind) = white_sign(rest);
    let rest = rest.strip_prefix("%}")?;
    Some((statement.len() - rest.len(), before, behind))
}

/// Reads a template block by block.
struct Builder<'t> {
    template: Template<'t>,
    /// Each with its place and its name.
    open: Vec<(Open, usize, &'static str)>,
    /// Whether the white space that follows goes.
    trims: bool,
}

impl<'t> Builder<'t> {
    /// Adds text, without white space at the ends that are to be trimmed.
    fn text(&mut self, range: Range<usize>, trims_end: bool) {
        let text = &self.template.text[range.clone()];
        let kept = if self.trims { text.trim_start() } else { text };
        let start = range.end - kept.len();
        let kept = if trims_end { kept.trim_end() } else { kept };
        self.trims = false;
        if !kept.is_empty() {
            self.template.ops.push(Op::Text(start..start + kept.len()));
        }
    }

    /// Reads the text since `from` and the block at `start`; returns where to go on.
    fn block(&mut self, from: usize, start: usize, kind: BlockKind) -> Result<usize, ExprFault> {
        let text = self.template.text;
        if kind == BlockKind::Statement
            && let Some((length, before, behind)) = lone_word(&text[start + 2..], "raw")
        {
            self.text(from..start, before);
            return self.raw(start, start + 2 + length, behind);
        }
        let (inner, before) = white_sign(&text[start + 2..]);
        self.text(from..start, before);
        let close = if kind == BlockKind::Statement { Close::Statement } else { Close::Value };
        let at = text.len() - inner.len();
        let tokens = token::read(text, at, close);
        let block = self.template.blocks.len();
        let body = at..tokens.body_end;
        self.template.blocks.push(TemplateBlock { whole: start..tokens.end, body, kind });
        match kind {
            BlockKind::Statement => self.statement(start, block, &tokens)?,
            BlockKind::Value | BlockKind::RawValue => self.value(block, &tokens)?,
        }
        self.trims = tokens.trims;
        Ok(tokens.end)
    }

    /// What stands between `raw` and `endraw`, as it is.
    fn raw(&mut self, start: usize, from: usize, trims: bool) -> Result<usize, ExprFault> {
        let text = self.template.text;
        let mut at = from;
        while let Some(found) = text[at..].find("{%") {
            let end = at + found;
            if let Some((length, before, behind)) = lone_word(&text[end + 2..], "endraw") {
                self.trims = trims;
                self.text(from..end, before);
                self.trims = behind;
                return Ok(end + 2 + length);
            }
            at = end + 2;
        }
        Err(ExprFault::new(start, "`raw` has no `endraw`".to_owned()))
    }

    fn value(&mut self, block: usize, tokens: &Tokens<'_>) -> Result<(), ExprFault> {
        let mut parser = Parser::new(&mut self.template.shared, tokens, "end of variable block")?;
        let value = parser.expression()?;
        parser.finish()?;
        if let ExprNode::Steps { steps, .. } = self.template.shared.tree.get(value)
            && let Some((_, PathStep::Filter { name, .. })) = steps.last()
            && name == "raw"
        {
            self.template.blocks[block].kind = BlockKind::RawValue;
        }
        self.template.ops.push(Op::Value { block, value });
        Ok(())
    }

    fn statement(&mut self, start: usize, block: usize, tokens: &Tokens<'_>) -> Result<(), ExprFault> {
        let word = match tokens.all.first() {
            Some((_, Token::Word(word))) => *word,
            Some((at, token)) => {
                return Err(ExprFault::new(
                    *at,
                    format!("unexpected {}, expected a statement", token.words()),
                ));
            }
            None => {
                return Err(tokens
                    .fault
                    .clone()
                    .unwrap_or_else(|| ExprFault::new(start, "an empty statement".to_owned())));
            }
        };
        if !STATEMENTS.contains(&word) {
            return Err(ExprFault::new(start, unknown(word)));
        }
        let mut parser = Parser::new(&mut self.template.shared, tokens, "end of statement block")?;
        parser.word(word);
        match word {
            "if" => {
                let test = parser.expression()?;
                parser.finish()?;
                let unless = Some(self.push(Op::Unless { block, test, to: 0 }));
                self.enter(Open::If { unless, exits: Vec::new() }, start, "if")
            }
            "for" => {
                let names = parser.targets("in")?;
                let list = parser.plain_expression()?;
                parser.scope(&names);
                let filter = if parser.word("if") { Some(parser.expression()?) } else { None };
                parser.finish()?;
                let at = self.push(Op::Loop { block, names, list, filter, empty: 0 });
                self.enter(Open::For { start: at, exit: None }, start, "for")
            }
            "set" => {
                let names = parser.targets("=")?;
                let value = parser.expression_list()?;
                parser.finish()?;
                for name in &names {
                    self.template.shared.bind(name);
                }
                self.push(Op::Set { block, names, value });
                Ok(())
            }
            "elif" => {
                let test = parser.expression()?;
                parser.finish()?;
                self.elif(start, block, test)
            }
            word => {
                parser.finish()?;
                self.end(start, word)
            }
        }
    }

    fn push(&mut self, op: Op) -> usize {
        self.template.ops.push(op);
        self.template.ops.len() - 1
    }

    fn enter(&mut self, open: Open, at: usize, name: &'static str) -> Result<(), ExprFault> {
        if self.open.len() >= STATEMENTS_MAX {
            let message = format!("statements within statements, at most {STATEMENTS_MAX} are read");
            return Err(ExprFault::new(at, message));
        }
        self.open.push((open, at, name));
        Ok(())
    }

    /// Lets the jump at `from` lead to what comes next.
    fn land(&mut self, from: usize) {
        let here = self.template.ops.len();
        if let Some(Op::Unless { to, .. } | Op::Jump(to) | Op::Loop { empty: to, .. }) =
            self.template.ops.get_mut(from)
        {
            *to = here;
        }
    }

    fn elif(&mut self, start: usize, block: usize, test: NodeNo) -> Result<(), ExprFault> {
        let Some((Open::If { unless: Some(before), mut exits }, at, name)) = self.open.pop() else {
            return Err(stray(start, "elif"));
        };
        exits.push(self.push(Op::Jump(0)));
        self.land(before);
        let unless = Some(self.push(Op::Unless { block, test, to: 0 }));
        self.enter(Open::If { unless, exits }, at, name)
    }

    /// `else`, `endif`, `endfor`, and what is astray.
    fn end(&mut self, start: usize, word: &str) -> Result<(), ExprFault> {
        match (word, self.open.pop()) {
            ("else", Some((Open::If { unless: Some(unless), mut exits }, at, name))) => {
                exits.push(self.push(Op::Jump(0)));
                self.land(unless);
                self.enter(Open::If { unless: None, exits }, at, name)
            }
            ("endif", Some((Open::If { unless, exits }, _, _))) => {
                exits.into_iter().chain(unless).for_each(|from| self.land(from));
                Ok(())
            }
            ("else", Some((Open::For { start: begin, exit: None }, at, name))) => {
                self.push(Op::Next(begin));
                let exit = Some(self.push(Op::Jump(0)));
                self.land(begin);
                self.template.shared.scopes.pop();
                self.enter(Open::For { start: begin, exit }, at, name)
            }
            ("endfor", Some((Open::For { start: begin, exit: None }, _, _))) => {
                self.push(Op::Next(begin));
                self.land(begin);
                self.template.shared.scopes.pop();
                Ok(())
            }
            ("endfor", Some((Open::For { exit: Some(exit), .. }, _, _))) => {
                self.land(exit);
                Ok(())
            }
            (word, _) => Err(stray(start, word)),
        }
    }
}

fn stray(at: usize, word: &str) -> ExprFault {
    ExprFault::new(at, format!("`{word}` ends nothing that is open here"))
}

fn unknown(word: &str) -> String {
    let (last, others) = STATEMENTS.split_last().unwrap_or((&"", &[]));
    let others: Vec<String> = others.iter().map(|known| format!("`{known}`")).collect();
    format!(
        "unknown statement `{}`, expected {} or `{last}`",
        super::super::error::cut(word),
        others.join(", ")
    )
}
