//! Testing a value against a pattern.

use std::borrow::Cow;

use super::{Env, eval, ops};
use crate::{
    event::{Record, Value},
    trickle::{
        code::{FieldPatternOp, FieldTestOp, PatternOp},
        diagnostic::Fault,
    },
};

/// Whether a value is what a pattern describes.
pub(super) fn matches(pattern: &PatternOp, value: &Value, env: &Env<'_>) -> Result<bool, Box<Fault>> {
    match (pattern, value) {
        (PatternOp::Any, _) => Ok(true),
        (PatternOp::Equals(op), value) => Ok(*eval(op, env)? == *value),
        (PatternOp::Record(fields), Value::Record(record)) => {
            all(fields, |field| field_matches(field, record, env))
        }
        (PatternOp::Array(patterns), Value::Array(items)) => {
            all(patterns, |pattern| any_matches(pattern, items, env))
        }
        (PatternOp::Tuple { items: patterns, open }, Value::Array(items)) => {
            let long_enough =
                if *open { items.len() >= patterns.len() } else { items.len() == patterns.len() };
            let mut item = items.iter();
            Ok(long_enough
                && all(patterns, |pattern| {
                    item.next().map_or(Ok(false), |item| matches(pattern, item, env))
                })?)
        }
        _ => Ok(false),
    }
}

fn all<T>(tests: &[T], mut holds: impl FnMut(&T) -> Result<bool, Box<Fault>>) -> Result<bool, Box<Fault>> {
    for test in tests {
        if !holds(test)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn any_matches(pattern: &PatternOp, items: &[Value], env: &Env<'_>) -> Result<bool, Box<Fault>> {
    for item in items {
        if matches(pattern, item, env)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn field_matches(field: &FieldPatternOp, record: &Record, env: &Env<'_>) -> Result<bool, Box<Fault>> {
    match (&field.test, record.get(&field.key)) {
        (FieldTestOp::Absent, value) => Ok(value.is_none()),
        (_, None) => Ok(false),
        (FieldTestOp::Present, Some(_)) => Ok(true),
        (FieldTestOp::Matches(pattern), Some(value)) => matches(pattern, value, env),
        (FieldTestOp::Compare(op, span, operand), Some(value)) => {
            let operand = eval(operand, env)?;
            // A field of another type is no failure of the program: it does not match.
            if !ops::comparable(*op, value, &operand) {
                return Ok(false);
            }
            let outcome = ops::binary(*op, *span, Cow::Borrowed(value), &operand)?;
            Ok(outcome == Value::Bool(true))
        }
    }
}
