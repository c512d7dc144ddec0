//! `for`: over the pairs of a record or the elements of an array.

use super::{Bound, Env, eval, last_of, truth_of};
use crate::{
    event::Value,
    trickle::{
        code::{ForCaseOp, ForOp, Op},
        diagnostic::Fault,
    },
};

/// One result for each element that a case takes.
pub(super) fn for_value(for_op: &ForOp<Op>, env: &Env<'_>) -> Result<Value, Box<Fault>> {
    let subject = eval(&for_op.subject, env)?;
    let mut results = Results::default();
    for at in 0..length(&subject) {
        env.steps.take(for_op.span)?;
        let Some((key, value)) = pair(&subject, at) else { break };
        let key = Bound { slot: for_op.key, value: &key, outer: env.bound };
        let value = Bound { slot: for_op.value, value: &value, outer: Some(&key) };
        let inner = Env { bound: Some(&value), ..*env };
        if let Some(case) = choose(for_op, &inner)? {
            let result = last_of(&case.body, &inner)?.into_owned();
            results.push(result, for_op, env)?;
        }
    }
    Ok(results.into_value())
}

/// The first case whose guard holds.
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

/// How many turns a loop over a value takes; what has no elements has none.
pub(super) fn length(subject: &Value) -> usize {
    match subject {
        Value::Array(items) => items.len(),
        Value::Record(record) => record.len(),
        _ => 0,
    }
}

/// Key or index, and the value, of one turn.
pub(super) fn pair(subject: &Value, at: usize) -> Option<(Value, Value)> {
    match subject {
        Value::Array(items) => Some((Value::from(at as u64), items.get(at)?.clone())),
        Value::Record(record) => {
            record.get_index(at).map(|(key, value)| (Value::String(key.clone()), value.clone()))
        }
        _ => None,
    }
}

/// What the turns of a loop have given, and its size so far.
#[derive(Default)]
pub(super) struct Results {
    list: Vec<Value>,
    size: usize,
}

impl Results {
    pub(super) fn push<B>(
        &mut self,
        value: Value,
        for_op: &ForOp<B>,
        env: &Env<'_>,
    ) -> Result<(), Box<Fault>> {
        let size = env.steps.measure(&value, 1).map_err(|much| Fault::new(for_op.span, much.to_string()))?;
        self.size += size;
        env.steps.room(self.size, for_op.span)?;
        self.list.push(value);
        Ok(())
    }

    pub(super) fn into_value(self) -> Value {
        Value::array(self.list)
    }
}
