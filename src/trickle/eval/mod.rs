//! Evaluation of expressions.
//!
//! An expression reads and changes nothing, so values are borrowed as long as they can be: from the
//! event, the metadata, the state, the locals or the program itself.
//!
//! # Correctness
//! The evaluator recurses no deeper than the source nests (`parser::NESTING_MAX`), over values no
//! deeper than [`limits::DEPTH_MAX`] and what the program adds in one expression. Every step is
//! counted, so that no event keeps a worker busy for long.

pub(crate) mod limits;
pub(crate) mod ops;
pub(crate) mod path;
mod pattern;
pub(crate) mod script;
mod text;

use std::{borrow::Cow, cell::Cell};

use super::{
    ast::BinaryOp,
    code::{CaseOp, FieldOp, KeyOp, LogicOp, MatchOp, Op, Slot},
    diagnostic::Fault,
    message::Message,
    source::Span,
};
use crate::event::{Record, Value};

pub(crate) type Evaluated<'e> = Result<Cow<'e, Value>, Box<Fault>>;

/// All that an expression may read.
#[derive(Clone, Copy)]
pub(crate) struct Env<'e> {
    pub(crate) message: &'e Message,
    pub(crate) state: &'e Value,
    pub(crate) locals: &'e [Option<Value>],
    /// Locals that the matches around this expression have bound, innermost first.
    pub(crate) bound: Option<&'e Bound<'e>>,
    pub(crate) steps: &'e Steps,
}

/// A local bound by a case of a match.
pub(crate) struct Bound<'e> {
    slot: Slot,
    value: &'e Value,
    outer: Option<&'e Bound<'e>>,
}

/// How many steps an event may still take.
pub(crate) struct Steps(Cell<u32>);

/// Evaluates an expression.
pub(crate) fn eval<'e>(op: &'e Op, env: &Env<'e>) -> Evaluated<'e> {
    match op {
        Op::Const(value) => Ok(Cow::Borrowed(value)),
        Op::Path(path) => path::read(path, env),
        Op::Presence { present, path } => {
            path::is_present(path, env).map(|found| Cow::Owned(Value::Bool(found == *present)))
        }
        Op::Text(text) => text::render(text, env).map(|text| Cow::Owned(Value::String(text))),
        Op::Array(items) => array(items, env),
        Op::Record(fields) => record(fields, env),
        Op::Unary { op, span, operand } => {
            let operand = eval(operand, env)?;
            ops::unary(*op, *span, &operand).map(Cow::Owned)
        }
        Op::Chain(chain) => {
            let mut left = eval(&chain.first, env)?;
            for link in &chain.rest {
                env.steps.take(link.span)?;
                let right = eval(&link.operand, env)?;
                left = Cow::Owned(ops::binary(link.op, link.span, left, &right)?);
            }
            Ok(left)
        }
        Op::Logic(logic) => logic_op(logic, env).map(|truth| Cow::Owned(Value::Bool(truth))),
        Op::Match(match_op) => match_value(match_op, env),
    }
}

fn array<'e>(items: &'e [Op], env: &Env<'e>) -> Evaluated<'e> {
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        values.push(eval(item, env)?.into_owned());
    }
    Ok(Cow::Owned(Value::array(values)))
}

fn record<'e>(fields: &'e [FieldOp], env: &Env<'e>) -> Evaluated<'e> {
    let mut record = Record::with_capacity(fields.len());
    for field in fields {
        let key = match &field.key {
            KeyOp::Const(key) => key.clone(),
            KeyOp::Text(text) => text::render(text, env)?,
        };
        record.insert(key, eval(&field.value, env)?.into_owned());
    }
    Ok(Cow::Owned(Value::Record(std::sync::Arc::new(record))))
}

fn logic_op(logic: &LogicOp, env: &Env<'_>) -> Result<bool, Box<Fault>> {
    let mut truth = logic.op == BinaryOp::And;
    for (operand, span) in &logic.operands {
        let next = truth_of(&*eval(operand, env)?, *span, logic.op.symbol())?;
        match logic.op {
            BinaryOp::And if !next => return Ok(false),
            BinaryOp::Or if next => return Ok(true),
            BinaryOp::Xor => truth ^= next,
            _ => {}
        }
    }
    Ok(truth)
}

/// The boolean that some construct needs.
pub(crate) fn truth_of(value: &Value, span: Span, what: &str) -> Result<bool, Box<Fault>> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        other => Err(Fault::new(span, format!("`{what}` takes a boolean, not {}", article(other)))),
    }
}

/// `a string`, `an integer`
pub(crate) fn article(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Int(_) | Value::Uint(_) | Value::Array(_) => format!("an {}", value.type_name()),
        _ => format!("a {}", value.type_name()),
    }
}

// --- match ---

fn match_value<'e>(match_op: &'e MatchOp<Op>, env: &Env<'e>) -> Evaluated<'e> {
    let subject = eval(&match_op.subject, env)?;
    let case = choose(match_op, &subject, env)?;
    match case.bind {
        None => last_of(&case.body, env),
        Some(slot) => {
            let bound = Bound { slot, value: &subject, outer: env.bound };
            let inner = Env { bound: Some(&bound), ..*env };
            Ok(Cow::Owned(last_of(&case.body, &inner)?.into_owned()))
        }
    }
}

fn last_of<'e>(body: &'e [Op], env: &Env<'e>) -> Evaluated<'e> {
    let mut last = Cow::Owned(Value::Null);
    for op in body {
        last = eval(op, env)?;
    }
    Ok(last)
}

/// The first case whose pattern and guard hold.
pub(crate) fn choose<'p, B>(
    match_op: &'p MatchOp<B>,
    subject: &Value,
    env: &Env<'_>,
) -> Result<&'p CaseOp<B>, Box<Fault>> {
    for case in &match_op.cases {
        env.steps.take(match_op.span)?;
        if pattern::matches(&case.pattern, subject, env)? && guard_holds(case, subject, env)? {
            return Ok(case);
        }
    }
    let message = format!("no case of this match takes {}", article(subject));
    Err(Fault::new(match_op.span, message))
}

fn guard_holds<B>(case: &CaseOp<B>, subject: &Value, env: &Env<'_>) -> Result<bool, Box<Fault>> {
    let Some((guard, span)) = &case.guard else { return Ok(true) };
    let bound = case.bind.map(|slot| Bound { slot, value: subject, outer: env.bound });
    let inner = Env { bound: bound.as_ref().or(env.bound), ..*env };
    truth_of(&*eval(guard, &inner)?, *span, "when")
}

// === impl Env ===

impl<'e> Env<'e> {
    /// The value of a local, if it has one yet.
    pub(crate) fn local(&self, slot: Slot) -> Option<&'e Value> {
        let mut bound = self.bound;
        while let Some(inner) = bound {
            if inner.slot == slot {
                return Some(inner.value);
            }
            bound = inner.outer;
        }
        self.locals.get(slot)?.as_ref()
    }
}

// === impl Steps ===

impl Steps {
    /// All the steps of one event.
    pub(crate) fn new() -> Self {
        Self(Cell::new(limits::STEPS_MAX))
    }

    /// Takes one step.
    pub(crate) fn take(&self, span: Span) -> Result<(), Box<Fault>> {
        match self.0.get().checked_sub(1) {
            Some(left) => {
                self.0.set(left);
                Ok(())
            }
            None => Err(Fault::new(span, format!("the event took more than {} steps", limits::STEPS_MAX))),
        }
    }
}
