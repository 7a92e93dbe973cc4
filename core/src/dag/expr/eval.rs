//! Walks expressions. How deep it goes is bounded by how deep they may be nested.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::datum::{Datum, NO_VALUE};
use super::given::GivenArgs;
use super::meter::Meter;
use super::ops::{self, Bounds};
use super::tree::{CallArgs, Comparison, ExprNode, Function, NodeNo, Operator, PathStep, Tree};
use super::{FoundName, Names, checks, filters};

/// What an evaluation knows.
pub(super) struct Machine<'m> {
    pub(super) tree: &'m Tree,
    pub(super) names: &'m dyn Names,
    pub(super) meter: &'m mut Meter,
    pub(super) frames: Vec<EvalFrame>,
    /// The names from outside that were looked up already.
    outer: HashMap<NodeNo, Datum>,
}

/// The variables of one scope.
#[derive(Default)]
pub(super) struct EvalFrame {
    pub(super) variables: HashMap<String, Datum>,
    /// Of a loop.
    pub(super) turns: Option<LoopTurns>,
}

/// Where a loop is.
pub(super) struct LoopTurns {
    pub(super) items: Vec<Datum>,
    pub(super) at: usize,
    /// What `loop.changed` was asked last.
    changed: Option<Vec<Datum>>,
}

impl LoopTurns {
    pub(super) fn new(items: Vec<Datum>) -> Self {
        Self { items, at: 0, changed: None }
    }

    /// What `loop` is.
    fn datum(&self, depth: usize, meter: &mut Meter) -> Result<Datum, String> {
        meter.charge(12)?;
        let (at, count) = (self.at as i128, self.items.len() as i128);
        let item = |at: Option<usize>| at.and_then(|at| self.items.get(at)).cloned().unwrap_or(Datum::Null);
        let parts = [
            ("index", Datum::Int(at + 1)),
            ("index0", Datum::Int(at)),
            ("revindex", Datum::Int(count - at)),
            ("revindex0", Datum::Int(count - at - 1)),
            ("first", Datum::Bool(at == 0)),
            ("last", Datum::Bool(at + 1 == count)),
            ("length", Datum::Int(count)),
            ("depth", Datum::Int(depth as i128)),
            ("depth0", Datum::Int(depth as i128 - 1)),
            ("previtem", item(self.at.checked_sub(1))),
            ("nextitem", item(Some(self.at + 1))),
        ];
        Datum::map(parts.into_iter().map(|(name, datum)| (Arc::from(name), datum)).collect(), meter)
    }
}

impl<'m> Machine<'m> {
    pub(super) fn new(tree: &'m Tree, names: &'m dyn Names, meter: &'m mut Meter) -> Self {
        Self { tree, names, meter, frames: vec![EvalFrame::default()], outer: HashMap::new() }
    }

    /// The value of a node.
    ///
    /// # Errors
    /// What is wrong with the values, or too many steps.
    pub(super) fn value(&mut self, no: NodeNo) -> Result<Datum, String> {
        self.meter.charge(1)?;
        match self.tree.get(no) {
            ExprNode::Const(datum) => Ok(datum.clone()),
            ExprNode::Local(name) => self.local(name),
            ExprNode::Outer(parts) => self.outer(no, parts),
            ExprNode::List(items) => self.list(items),
            ExprNode::Map(entries) => self.map(entries),
            ExprNode::Not(inner) => Ok(Datum::Bool(!self.truth(*inner)?)),
            ExprNode::Negative(inner) => ops::negative(&self.value(*inner)?),
            ExprNode::Logic { stops_at, terms } => self.logic(*stops_at, terms),
            ExprNode::Chain { first, rest } => self.chain(*first, rest),
            ExprNode::Compare { first, rest } => self.compare(*first, rest),
            ExprNode::Choice { test, yes, no } => self.choice(*test, *yes, *no),
            ExprNode::Steps { base, steps } => self.steps(*base, steps),
            ExprNode::Call { function, args } => self.call(*function, args),
        }
    }

    /// Whether a condition takes the node's value for true.
    pub(super) fn truth(&mut self, no: NodeNo) -> Result<bool, String> {
        self.value(no)?.is_true()
    }

    fn known(&mut self, no: NodeNo) -> Result<Datum, String> {
        match self.value(no)? {
            Datum::Undefined => Err(NO_VALUE.to_owned()),
            datum => Ok(datum),
        }
    }

    fn local(&mut self, name: &str) -> Result<Datum, String> {
        self.meter.bytes(name.len().saturating_mul(self.frames.len()))?;
        self.meter.charge(self.frames.len())?;
        if let Some(datum) = self.frames.iter().rev().find_map(|frame| frame.variables.get(name)) {
            return Ok(datum.clone());
        }
        let depth = self.frames.iter().filter(|frame| frame.turns.is_some()).count();
        if name == "loop"
            && let Some(turns) = self.frames.iter().rev().find_map(|frame| frame.turns.as_ref())
        {
            return turns.datum(depth, self.meter);
        }
        // A `set` that was not come by leaves the name to what it means outside.
        self.find(&[name.to_owned()])
    }

    fn find(&mut self, parts: &[String]) -> Result<Datum, String> {
        match self.names.find(parts) {
            None => Ok(Datum::Undefined),
            Some(FoundName::Value(value)) => Datum::of_json(value, self.meter),
            Some(FoundName::Object(map)) => Datum::of_map(map, self.meter),
        }
    }

    fn outer(&mut self, no: NodeNo, parts: &[String]) -> Result<Datum, String> {
        if let Some(datum) = self.outer.get(&no) {
            return Ok(datum.clone());
        }
        self.meter.charge(parts.len())?;
        let datum = self.find(parts)?;
        self.outer.insert(no, datum.clone());
        Ok(datum)
    }

    fn list(&mut self, items: &[NodeNo]) -> Result<Datum, String> {
        let items = items.iter().map(|item| self.known(*item)).collect::<Result<_, _>>()?;
        Datum::list(items, self.meter)
    }

    fn map(&mut self, entries: &[(NodeNo, NodeNo)]) -> Result<Datum, String> {
        let mut map = IndexMap::new();
        for (key, value) in entries {
            let key = self.known(*key)?;
            let key =
                key.as_text().cloned().ok_or_else(|| format!("a map's key is a text, got {}", key.kind()))?;
            self.meter.bytes(key.len())?;
            map.insert(key, self.known(*value)?);
        }
        Datum::map(map, self.meter)
    }

    fn logic(&mut self, stops_at: bool, terms: &[NodeNo]) -> Result<Datum, String> {
        let mut last = Datum::Null;
        for term in terms {
            last = self.value(*term)?;
            if last.is_true()? == stops_at {
                break;
            }
        }
        Ok(last)
    }

    fn chain(&mut self, first: NodeNo, rest: &[(Operator, NodeNo)]) -> Result<Datum, String> {
        let mut left = self.value(first)?;
        for (operator, right) in rest {
            let right = self.value(*right)?;
            left = ops::arithmetic(&left, *operator, &right, self.meter)?;
        }
        Ok(left)
    }

    fn compare(&mut self, first: NodeNo, rest: &[(Comparison, NodeNo)]) -> Result<Datum, String> {
        let mut left = self.value(first)?;
        for (comparison, right) in rest {
            let right = self.value(*right)?;
            if !ops::compare(&left, *comparison, &right, self.meter)? {
                return Ok(Datum::Bool(false));
            }
            left = right;
        }
        Ok(Datum::Bool(true))
    }

    fn choice(&mut self, test: NodeNo, yes: NodeNo, no: Option<NodeNo>) -> Result<Datum, String> {
        if self.truth(test)? {
            return self.value(yes);
        }
        no.map_or(Ok(Datum::Null), |no| self.value(no))
    }

    fn steps(&mut self, base: NodeNo, steps: &[(usize, PathStep)]) -> Result<Datum, String> {
        let mut datum = self.value(base)?;
        for (_, step) in steps {
            self.meter.charge(1)?;
            datum = self.step(&datum, step)?;
        }
        Ok(datum)
    }

    fn step(&mut self, datum: &Datum, step: &PathStep) -> Result<Datum, String> {
        match step {
            PathStep::Attribute(name) => datum.entry(name, self.meter),
            PathStep::Index(key) => {
                let key = self.known(*key)?;
                ops::index(datum, &key, self.meter)
            }
            PathStep::Slice { from, to, by } => {
                let mut bound = |no: &Option<NodeNo>| no.map(|no| self.known(no)).transpose();
                let bounds = Bounds { from: bound(from)?, to: bound(to)?, by: bound(by)? };
                ops::slice(datum, &bounds, self.meter)
            }
            PathStep::Filter { name, args } => {
                let given = self.given(args)?;
                filters::apply(name, datum, given, self.meter).map_err(|message| of("filter", name, message))
            }
            PathStep::Test { name, is_negated, args } => {
                let given = self.given(args)?;
                let passed = checks::passes(name, datum, given, self.meter);
                let passed = passed.map_err(|message| of("test", name, message))?;
                Ok(Datum::Bool(passed != *is_negated))
            }
        }
    }

    fn given(&mut self, args: &CallArgs) -> Result<GivenArgs, String> {
        let plain = args.plain.iter().map(|no| self.value(*no)).collect::<Result<_, _>>()?;
        let named = args.named.iter().map(|(name, no)| Ok((name.clone(), self.value(*no)?)));
        Ok(GivenArgs { plain, named: named.collect::<Result<_, String>>()? })
    }

    fn call(&mut self, function: Function, args: &CallArgs) -> Result<Datum, String> {
        let given = self.given(args)?;
        match function {
            Function::Range => filters::range(given, self.meter),
            Function::Dict => filters::dict(given, self.meter),
            Function::Cycle => {
                let place = self.turns()?.at.checked_rem(given.plain.len());
                Ok(place.and_then(|place| given.plain.get(place).cloned()).unwrap_or(Datum::Undefined))
            }
            Function::Changed => self.changed(given.plain.into()),
        }
    }

    fn turns(&mut self) -> Result<&mut LoopTurns, String> {
        let turns = self.frames.iter_mut().rev().find_map(|frame| frame.turns.as_mut());
        turns.ok_or_else(|| "`loop` has no meaning outside of a `for`".to_owned())
    }

    /// Whether the values differ from those of the last time.
    fn changed(&mut self, now: Vec<Datum>) -> Result<Datum, String> {
        let before = self.turns()?.changed.replace(now.clone());
        let Some(before) = before.filter(|before| before.len() == now.len()) else {
            return Ok(Datum::Bool(true));
        };
        for (before, now) in before.iter().zip(&now) {
            if !before.equals(now, self.meter)? {
                return Ok(Datum::Bool(true));
            }
        }
        Ok(Datum::Bool(false))
    }
}

fn of(what: &str, name: &str, message: String) -> String {
    if message == NO_VALUE { message } else { format!("{what} `{name}`: {message}") }
}
