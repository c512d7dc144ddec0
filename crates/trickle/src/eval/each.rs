//! Evaluates `for` over the pairs of a record or the elements of an array.

use std::{borrow::Cow, sync::Arc};

use super::{Bound, Env, eval, last_of};
use crate::{
    ast::BinaryOp,
    code::{ForCaseOp, ForOp, Op},
    diagnostic::Fault,
    source::Span,
    value::{
        cost::Steps,
        describe::article,
        limits::LimitExceeded,
        ops::{self, truth_of},
    },
};
use towline_event::Value;

/// Evaluates a loop. Each element that matches a case contributes a result.
pub(super) fn for_value(for_op: &ForOp<Op>, env: &Env<'_>) -> Result<Value, Box<Fault>> {
    let subject = eval(&for_op.subject, env)?;
    let mut results = Results::of(for_op, env)?;
    for at in 0..length(&subject) {
        env.steps.take(for_op.span)?;
        let Some((key, value)) = pair(&subject, at) else { break };
        let key = Bound { slot: for_op.key, value: &key, outer: env.bound };
        let value = Bound { slot: for_op.value, value: &value, outer: Some(&key) };
        let inner = Env { bound: Some(&value), ..*env };
        if let Some(case) = choose(for_op, &inner)? {
            let result = last_of(&case.body, &inner)?.into_owned();
            results.add(result, env.steps)?;
            if results.settled() {
                break;
            }
        }
    }
    Ok(results.into_value())
}

/// The first case whose guard is true; `None` if there is none.
pub(super) fn choose<'p, B>(
    for_op: &'p ForOp<B>,
    env: &Env<'_>,
) -> Result<Option<&'p ForCaseOp<B>>, Box<Fault>> {
    for case in &for_op.cases {
        let holds = match &case.guard {
            Some((guard, span)) => {
                env.steps.take(*span)?;
                truth_of(&*eval(guard, env)?, *span, "when")?
            }
            None => true,
        };
        if holds {
            return Ok(Some(case));
        }
    }
    Ok(None)
}

/// The number of iterations over a value; 0 for a value without elements.
pub(super) fn length(subject: &Value) -> usize {
    match subject {
        Value::Array(items) => items.len(),
        Value::Record(record) => record.len(),
        _ => 0,
    }
}

/// The key or index, and the value, of the iteration `at`; `None` after the last one.
pub(super) fn pair(subject: &Value, at: usize) -> Option<(Value, Value)> {
    match subject {
        Value::Array(items) => Some((Value::from(at as u64), items.get(at)?.clone())),
        Value::Record(record) => {
            record.get_index(at).map(|(key, value)| (Value::String(key.clone()), value.clone()))
        }
        _ => None,
    }
}

/// The accumulated results of a loop.
pub(super) struct Results {
    value: Value,
    op: BinaryOp,
    span: Span,
    /// The size in bytes of the results when they were last measured, plus the size of what was added since.
    size: usize,
}

impl Results {
    /// The initial results, before the first iteration.
    pub(super) fn of<B>(for_op: &ForOp<B>, env: &Env<'_>) -> Result<Self, Box<Fault>> {
        let Some(fold) = &for_op.fold else {
            return Ok(Self {
                value: Value::array(Vec::new()),
                op: BinaryOp::Add,
                span: for_op.span,
                size: 0,
            });
        };
        let value = eval(&fold.start, env)?.into_owned();
        let mut results = Self { value, op: fold.op, span: fold.span, size: 0 };
        results.grow(&Value::Null, env.steps)?;
        Ok(results)
    }

    /// Adds the result of an iteration: to an array as an element, to a record by its fields, and to any
    /// other value by the operator.
    pub(super) fn add(&mut self, result: Value, steps: &Steps) -> Result<(), Box<Fault>> {
        if let Value::Array(_) | Value::Record(_) = self.value {
            self.grow(&result, steps)?;
        }
        match (&mut self.value, result, self.op) {
            (Value::Array(items), result, BinaryOp::Add) => Arc::make_mut(items).push(result),
            (Value::Record(record), Value::Record(fields), BinaryOp::Add) => {
                let fields = fields.iter().map(|(key, value)| (key.clone(), value.clone()));
                Arc::make_mut(record).extend(fields);
            }
            (Value::Record(_), result, BinaryOp::Add) => {
                let message =
                    format!("a record can be combined with records only, not with {}", article(&result));
                return Err(Fault::new(self.span, message));
            }
            (Value::Array(_) | Value::Record(_), _, op) => {
                let what = article(&self.value);
                let message = format!("{what} can be combined by `+` only, not by `{}`", op.symbol());
                return Err(Fault::new(self.span, message));
            }
            (left, result, BinaryOp::And | BinaryOp::Or | BinaryOp::Xor) => {
                let word = self.op.symbol();
                let (a, b) = (truth_of(left, self.span, word)?, truth_of(&result, self.span, word)?);
                self.value = Value::Bool(match self.op {
                    BinaryOp::And => a && b,
                    BinaryOp::Or => a || b,
                    _ => a != b,
                });
            }
            (left, result, op) => {
                let left = Cow::Owned(std::mem::take(left));
                self.value = ops::binary(op, self.span, left, &result, steps)?;
                steps.weigh(&self.value, self.span)?;
            }
        }
        Ok(())
    }

    /// Whether further iterations cannot change the result.
    pub(super) fn settled(&self) -> bool {
        match self.op {
            BinaryOp::And => self.value == Value::Bool(false),
            BinaryOp::Or => self.value == Value::Bool(true),
            _ => false,
        }
    }

    /// Counts a result before it is added. If the sum exceeds the limit, the results are measured again,
    /// because fields may have replaced others.
    fn grow(&mut self, result: &Value, steps: &Steps) -> Result<(), Box<Fault>> {
        let fault = |much: LimitExceeded| Fault::new(self.span, much.to_string());
        let added = steps.measure(result, 1).map_err(fault)?;
        if self.size == 0 || self.size + added > steps.limits().max_value {
            steps.check(&self.value, self.span)?;
            self.size = steps.measure(&self.value, 0).map_err(fault)?;
        }
        self.size += added;
        steps.room(self.size, self.span)
    }

    pub(super) fn into_value(self) -> Value {
        self.value
    }
}
