//! Matches values against patterns, and extracts the parts that the pattern names.
//!
//! A case binds the result of its pattern, as in the reference system: for a record pattern the fields that
//! are present or extracted, for an array pattern the pairs of index and matching element, for a tuple the
//! elements, for an extractor the extracted value, and for all others the value itself.

use std::{borrow::Cow, sync::Arc};

use super::{Env, eval};
use crate::{
    ast::BinaryOp,
    code::{FieldPatternOp, FieldTestOp, Op, PatternOp},
    diagnostic::Fault,
    extract::Extractor,
    source::Span,
    value::ops,
};
use towline_event::{Record, Value};

/// Whether a value matches a pattern.
pub(super) fn matches(pattern: &PatternOp, value: &Value, env: &Env<'_>) -> Result<bool, Box<Fault>> {
    match (pattern, value) {
        (PatternOp::Any, _) => Ok(true),
        (PatternOp::Equals(op), value) => Ok(ops::equal(&*eval(op, env)?, value)),
        (PatternOp::Extract(extractor, span), value) => {
            Ok(of_text(extractor, *span, value, env)?.matches(value))
        }
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

/// Counts the steps for the text that an extractor will read, and returns the extractor.
fn of_text<'p>(
    extractor: &'p Extractor,
    span: Span,
    value: &Value,
    env: &Env<'_>,
) -> Result<&'p Extractor, Box<Fault>> {
    env.steps.take(span)?;
    env.steps.weigh(value, span)?;
    if let Some(text) = value.as_str().filter(|_| extractor.searches()) {
        env.steps.search(text).map_err(|exceeded| Fault::new(span, exceeded.to_string()))?;
    }
    Ok(extractor)
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
        (FieldTestOp::Compare(op, span, operand), Some(value)) => compares(*op, *span, operand, value, env),
    }
}

fn compares(
    op: BinaryOp,
    span: Span,
    operand: &Op,
    value: &Value,
    env: &Env<'_>,
) -> Result<bool, Box<Fault>> {
    let operand = eval(operand, env)?;
    // A field of another type does not match; this is not an error.
    if !ops::comparable(op, value, &operand) {
        return Ok(false);
    }
    let outcome = ops::binary(op, span, Cow::Borrowed(value), &operand, env.steps)?;
    Ok(outcome == Value::Bool(true))
}

// --- extracting ---

/// The result of a pattern; `None` if the value does not match.
pub(super) fn extract(
    pattern: &PatternOp,
    value: &Value,
    env: &Env<'_>,
) -> Result<Option<Value>, Box<Fault>> {
    match (pattern, value) {
        (PatternOp::Any, value) => Ok(Some(value.clone())),
        (PatternOp::Equals(_), value) => Ok(matches(pattern, value, env)?.then(|| value.clone())),
        (PatternOp::Extract(extractor, span), value) => {
            Ok(of_text(extractor, *span, value, env)?.extract(value, env.context.ingest_ns))
        }
        (PatternOp::Record(fields), Value::Record(record)) => extract_record(fields, record, env),
        (PatternOp::Array(patterns), Value::Array(items)) => extract_array(patterns, items, env),
        (PatternOp::Tuple { items: patterns, open }, Value::Array(items)) => {
            extract_tuple(patterns, *open, items, env)
        }
        _ => Ok(None),
    }
}

fn extract_record(
    fields: &[FieldPatternOp],
    record: &Record,
    env: &Env<'_>,
) -> Result<Option<Value>, Box<Fault>> {
    let mut result = Record::with_capacity(fields.len());
    for field in fields {
        let found = match (&field.test, record.get(&field.key)) {
            (FieldTestOp::Present, Some(value)) => Some(value.clone()),
            (FieldTestOp::Matches(pattern), Some(value)) => match extract(pattern, value, env)? {
                Some(extracted) => Some(extracted),
                None => return Ok(None),
            },
            // Fields that are only compared, or absent, are not part of the result.
            _ if field_matches(field, record, env)? => None,
            _ => return Ok(None),
        };
        if let Some(value) = found {
            result.insert(field.alias.clone(), value);
        }
    }
    Ok(Some(Value::Record(Arc::new(result))))
}

/// The function's arguments as extracted by the pattern of a case; `None` if the pattern extracts none.
pub(super) fn arguments(
    pattern: &PatternOp,
    args: &Value,
    env: &Env<'_>,
) -> Result<Option<Vec<Value>>, Box<Fault>> {
    let (PatternOp::Tuple { items: patterns, .. }, Value::Array(args)) = (pattern, args) else {
        return Ok(None);
    };
    if patterns.iter().all(|pattern| matches!(pattern, PatternOp::Any | PatternOp::Equals(_))) {
        return Ok(None);
    }
    let mut taken = Vec::with_capacity(args.len());
    for (pattern, arg) in patterns.iter().zip(args.iter()) {
        taken.push(extract(pattern, arg, env)?.unwrap_or_else(|| arg.clone()));
    }
    Ok(Some(taken))
}

/// Every element that matches one of the patterns, with its index, in the order of the patterns; `None` if a
/// pattern matches no element.
fn extract_array(
    patterns: &[PatternOp],
    items: &[Value],
    env: &Env<'_>,
) -> Result<Option<Value>, Box<Fault>> {
    let mut result = Vec::new();
    for pattern in patterns {
        // `_` requires an element but extracts none.
        if matches!(pattern, PatternOp::Any) {
            if items.is_empty() {
                return Ok(None);
            }
            continue;
        }
        let before = result.len();
        for (index, item) in items.iter().enumerate() {
            if let Some(extracted) = extract(pattern, item, env)? {
                result.push(Value::array(vec![Value::from(index as u64), extracted]));
            }
        }
        if result.len() == before {
            return Ok(None);
        }
    }
    Ok(Some(Value::array(result)))
}

fn extract_tuple(
    patterns: &[PatternOp],
    open: bool,
    items: &[Value],
    env: &Env<'_>,
) -> Result<Option<Value>, Box<Fault>> {
    if items.len() < patterns.len() || (!open && items.len() > patterns.len()) {
        return Ok(None);
    }
    let mut result = Vec::with_capacity(patterns.len());
    for (pattern, item) in patterns.iter().zip(items) {
        match extract(pattern, item, env)? {
            Some(extracted) => result.push(extracted),
            None => return Ok(None),
        }
    }
    Ok(Some(Value::array(result)))
}
