//! Evaluation of expressions.
//!
//! Expressions have no side effects, so values are borrowed where possible: from the event, the metadata, the
//! state, the locals or the program itself.
//!
//! # Correctness
//! The recursion of the evaluator is bounded by the nesting of the source (`parser::cursor::NESTING_MAX`) and
//! by the depth of values (`limits::DEPTH_MAX`, plus what one expression adds). Every step is counted, so
//! that no event occupies a thread for long.

mod bytes;
mod call;
mod each;
mod fields;
pub(crate) mod patch;
pub(crate) mod path;
mod pattern;
pub(crate) mod script;
mod text;

use std::borrow::Cow;

use crate::{
    ast::BinaryOp,
    code::{CaseOp, FieldOp, KeyOp, LogicOp, MatchOp, Op, Slot},
    diagnostic::Fault,
    library::Context,
    message::Message,
    reads::Reads,
    value::{
        cost::Steps,
        describe::article,
        ops::{self, truth_of},
    },
};
use towline_event::{Record, Value};

pub(crate) type Evaluated<'e> = Result<Cow<'e, Value>, Box<Fault>>;

/// The environment of an evaluation: everything that an expression may read.
#[derive(Clone, Copy)]
pub(crate) struct Env<'e> {
    pub(crate) message: &'e Message,
    /// The part of the event's data that the program reads; `None` for all of the data.
    pub(crate) reads: Option<&'e Reads>,
    pub(crate) state: &'e Value,
    pub(crate) locals: &'e [Option<Value>],
    /// Locals bound by the enclosing matches and loops, innermost first.
    pub(crate) bound: Option<&'e Bound<'e>>,
    pub(crate) steps: &'e Steps,
    pub(crate) context: &'e Context<'e>,
}

/// A local bound by a case of a match, or by a loop.
pub(crate) struct Bound<'e> {
    slot: Slot,
    value: &'e Value,
    outer: Option<&'e Bound<'e>>,
}

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
                let value = ops::binary(link.op, link.span, left, &right, env.steps)?;
                env.steps.weigh(&value, link.span)?;
                left = Cow::Owned(value);
            }
            Ok(left)
        }
        Op::Logic(logic) => logic_op(logic, env).map(|truth| Cow::Owned(Value::Bool(truth))),
        Op::Match(match_op) => match_value(match_op, env),
        Op::For(for_op) => each::for_value(for_op, env).map(Cow::Owned),
        Op::Patch(patch) => patch::patch(patch, env).map(Cow::Owned),
        Op::Merge(merge) => patch::merge(merge, env).map(Cow::Owned),
        Op::Call(call) => call::call(call, env),
        Op::Bytes(bytes) => bytes::bytes(bytes, env).map(Cow::Owned),
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
        record.insert(key(&field.key, env)?, eval(&field.value, env)?.into_owned());
    }
    Ok(Cow::Owned(Value::Record(std::sync::Arc::new(record))))
}

/// Evaluates a key to its text.
fn key(key: &KeyOp, env: &Env<'_>) -> Result<bytestring::ByteString, Box<Fault>> {
    match key {
        KeyOp::Const(key) => Ok(key.clone()),
        KeyOp::Text(text) => text::render(text, env),
        KeyOp::Value(op, span) => match &*eval(op, env)? {
            Value::String(key) => Ok(key.clone()),
            other => Err(Fault::new(*span, format!("a key must be a string, not {}", article(other)))),
        },
    }
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

// --- match ---

fn match_value<'e>(match_op: &'e MatchOp<Op>, env: &Env<'e>) -> Evaluated<'e> {
    let subject = eval(&match_op.subject, env)?;
    let (case, bound) = choose(match_op, &subject, env)?;
    match &bound {
        None => last_of(&case.body, env),
        Some((slot, value)) => {
            let bound = Bound { slot: *slot, value, outer: env.bound };
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

/// A chosen case, and the local that it binds.
pub(crate) type Choice<'p, B> = (&'p CaseOp<B>, Option<(Slot, Value)>);

/// The first case whose pattern matches and whose guard is true; `None` if there is none.
pub(crate) fn choose<'p, B>(
    match_op: &'p MatchOp<B>,
    subject: &Value,
    env: &Env<'_>,
) -> Result<Choice<'p, B>, Box<Fault>> {
    for case in &match_op.cases {
        env.steps.take(match_op.span)?;
        if let Some(bound) = applies(case, subject, env)? {
            return Ok((case, bound));
        }
    }
    let message = match match_op.function {
        true => "no case of this function fits these arguments".to_owned(),
        false => format!("no case of this match fits {}", shown_value(subject)),
    };
    Err(Fault::new(match_op.span, message))
}

/// A value as shown in an error: its JSON if that is short, otherwise its kind. JSON has no line breaks, so a
/// value cannot forge another log line.
fn shown_value(value: &Value) -> String {
    const SHORT: usize = 40;
    let short = match value {
        Value::String(text) => text.len() <= SHORT,
        Value::Bytes(_) | Value::Array(_) | Value::Record(_) => false,
        Value::Big(number) => number.as_str().len() <= SHORT,
        _ => true,
    };
    if short { value.to_json() } else { article(value) }
}

/// Whether a case applies to a value: `None` if not, otherwise the value that the case binds, if it binds
/// one.
fn applies<B>(
    case: &CaseOp<B>,
    subject: &Value,
    env: &Env<'_>,
) -> Result<Option<Option<(Slot, Value)>>, Box<Fault>> {
    let bound = match case.bind {
        None if pattern::matches(&case.pattern, subject, env)? => None,
        None => return Ok(None),
        Some(slot) => match pattern::extract(&case.pattern, subject, env)? {
            Some(value) => Some((slot, value)),
            None => return Ok(None),
        },
    };
    let Some((guard, span)) = &case.guard else { return Ok(Some(bound)) };
    let inner = bound.as_ref().map(|(slot, value)| Bound { slot: *slot, value, outer: env.bound });
    let inner = Env { bound: inner.as_ref().or(env.bound), ..*env };
    let holds = truth_of(&*eval(guard, &inner)?, *span, "when")?;
    Ok(holds.then_some(bound))
}

// === impl Env ===

impl<'e> Env<'e> {
    /// The event's data, or the part of the data that the program reads.
    pub(crate) fn event(&self) -> &'e Value {
        match self.reads {
            Some(reads) => self.message.part(reads),
            None => self.message.value(),
        }
    }

    /// The value of a local; `None` if it has none yet.
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
