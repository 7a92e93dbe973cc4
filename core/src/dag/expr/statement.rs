//! Templates as flat lists of instructions that jump over each other, so that nothing in them is nested, and how they are
//! carried out.

use std::ops::Range;

use super::datum::{Datum, NO_VALUE};
use super::eval::{EvalFrame, LoopTurns, Machine};
use super::meter::Meter;
use super::parse::{Parser, ParserShared};
use super::token::{self, Close};
use super::tree::NodeNo;
use super::{ExprFault, Names, TemplateBlock, Uses, Writer};

/// One expression, as in `when`.
#[derive(Debug)]
pub(in crate::dag) struct Expression {
    shared: ParserShared,
    root: NodeNo,
}

impl Expression {
    /// Reads the part of `text` that is one expression.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(in crate::dag) fn read(text: &str, part: Range<usize>) -> Result<Self, ExprFault> {
        let tokens = token::read(&text[..part.end], part.start, Close::End);
        let mut shared = ParserShared::default();
        let mut parser = Parser::new(&mut shared, &tokens, "end of the expression")?;
        let root = parser.expression()?;
        parser.finish()?;
        Ok(Self { shared, root })
    }

    /// The names, filters and tests in it.
    pub(in crate::dag) fn uses(&self) -> &Uses {
        &self.shared.uses
    }

    /// Its value.
    ///
    /// # Errors
    /// What is wrong with the values, or too many steps.
    pub(in crate::dag) fn value(&self, names: &dyn Names, meter: &mut Meter) -> Result<Datum, String> {
        Machine::new(&self.shared.tree, names, meter).value(self.root)
    }
}

/// A text with `{{ }}` and `{% %}` in it.
#[derive(Debug)]
pub(in crate::dag) struct Template<'t> {
    pub(super) text: &'t str,
    pub(super) shared: ParserShared,
    pub(super) ops: Vec<Op>,
    pub(super) blocks: Vec<TemplateBlock>,
}

/// An instruction; the places in it are those of other instructions.
#[derive(Debug)]
pub(super) enum Op {
    Text(Range<usize>),
    Value {
        block: usize,
        value: NodeNo,
    },
    /// Goes there if the condition does not hold.
    Unless {
        block: usize,
        test: NodeNo,
        to: usize,
    },
    Jump(usize),
    Set {
        block: usize,
        names: Vec<String>,
        value: NodeNo,
    },
    /// Begins a loop, or goes there if there is nothing to loop over.
    Loop {
        block: usize,
        names: Vec<String>,
        list: NodeNo,
        filter: Option<NodeNo>,
        empty: usize,
    },
    /// Goes back behind that `Loop` for the next item; on, if there is none.
    Next(usize),
}

/// What a template has become so far.
struct Output<'w> {
    writer: &'w dyn Writer,
    text: String,
}

/// Whether the text holds any template syntax at all.
pub(in crate::dag) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

impl<'t> Template<'t> {
    /// Its blocks, in order.
    pub(in crate::dag) fn blocks(&self) -> &[TemplateBlock] {
        &self.blocks
    }

    /// The names, filters and tests in it.
    pub(in crate::dag) fn uses(&self) -> &Uses {
        &self.shared.uses
    }

    /// The text that it becomes.
    ///
    /// # Errors
    /// What is wrong with the values, with the expression; too many steps, or more than `bytes_max`.
    pub(in crate::dag) fn render(
        &self,
        names: &dyn Names,
        writer: &dyn Writer,
        bytes_max: usize,
        meter: &mut Meter,
    ) -> Result<String, String> {
        let mut out = Output { writer, text: String::new() };
        let mut machine = Machine::new(&self.shared.tree, names, meter);
        let mut at = 0;
        while let Some(op) = self.ops.get(at) {
            machine.meter.charge(1)?;
            let next = self.step(op, at, &mut machine, &mut out);
            at = next.map_err(|message| self.within(op, &message))?;
            if out.text.len() > bytes_max {
                return Err(format!("the rendered text is larger than {bytes_max} bytes"));
            }
        }
        Ok(out.text)
    }

    /// Carries out the instruction at `at`; returns where to go on.
    fn step(
        &self,
        op: &Op,
        at: usize,
        machine: &mut Machine<'_>,
        out: &mut Output<'_>,
    ) -> Result<usize, String> {
        match op {
            Op::Text(range) => {
                machine.meter.bytes(range.len())?;
                out.text.push_str(&self.text[range.clone()]);
            }
            Op::Value { value, .. } => {
                let datum = machine.value(*value)?;
                out.writer.write(&datum, &mut out.text, machine.meter)?;
            }
            Op::Unless { test, to, .. } => return Ok(if machine.truth(*test)? { at + 1 } else { *to }),
            Op::Jump(to) => return Ok(*to),
            Op::Set { names, value, .. } => {
                let datum = machine.value(*value)?;
                machine.bind(names, datum)?;
            }
            Op::Loop { names, list, filter, empty, .. } => {
                return Ok(if machine.begin(names, *list, *filter)? { at + 1 } else { *empty });
            }
            Op::Next(start) => {
                let Some(Op::Loop { names, .. }) = self.ops.get(*start) else { return Ok(at + 1) };
                return Ok(if machine.next(names)? { start + 1 } else { at + 1 });
            }
        }
        Ok(at + 1)
    }

    /// A message with the expression that it is about.
    fn within(&self, op: &Op, message: &str) -> String {
        let block = match op {
            Op::Value { block, .. }
            | Op::Unless { block, .. }
            | Op::Set { block, .. }
            | Op::Loop { block, .. } => &self.blocks[*block],
            Op::Text(_) | Op::Jump(_) | Op::Next(_) => return message.to_owned(),
        };
        let body = super::super::error::cut(self.text[block.body.clone()].trim());
        format!("`{body}`: {message}")
    }
}

impl Machine<'_> {
    fn bind(&mut self, names: &[String], datum: Datum) -> Result<(), String> {
        if matches!(datum, Datum::Undefined) {
            return Err(NO_VALUE.to_owned());
        }
        let values = match names {
            [_] => vec![datum],
            names => {
                let values = datum.items(self.meter)?;
                if values.len() != names.len() {
                    return Err(format!("{} names for {} values", names.len(), values.len()));
                }
                values
            }
        };
        let Some(frame) = self.frames.last_mut() else { return Ok(()) };
        for (name, value) in names.iter().zip(values) {
            self.meter.bytes(name.len())?;
            frame.variables.insert(name.clone(), value);
        }
        Ok(())
    }

    /// Begins a loop; false if there is nothing to loop over.
    fn begin(&mut self, names: &[String], list: NodeNo, filter: Option<NodeNo>) -> Result<bool, String> {
        let mut items = self.value(list)?.items(self.meter)?;
        if let Some(filter) = filter {
            let mut kept = Vec::new();
            for item in items {
                self.frames.push(EvalFrame::default());
                self.bind(names, item.clone())?;
                if self.truth(filter)? {
                    kept.push(item);
                }
                self.frames.pop();
            }
            items = kept;
        }
        let Some(first) = items.first().cloned() else { return Ok(false) };
        self.frames.push(EvalFrame { turns: Some(LoopTurns::new(items)), ..EvalFrame::default() });
        self.bind(names, first)?;
        Ok(true)
    }

    /// Goes to the next item of the innermost loop; ends it and says false if there is none.
    fn next(&mut self, names: &[String]) -> Result<bool, String> {
        let next = self.frames.last_mut().and_then(|frame| {
            frame.variables.clear();
            let turns = frame.turns.as_mut()?;
            turns.at += 1;
            turns.items.get(turns.at).cloned()
        });
        let Some(item) = next else {
            self.frames.pop();
            return Ok(false);
        };
        self.bind(names, item)?;
        Ok(true)
    }
}
