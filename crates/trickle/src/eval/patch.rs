//! Evaluates `patch` and `merge`.

use std::sync::Arc;

use bytestring::ByteString;

use super::{Env, eval, key, path::shown};
use crate::{
    code::{KeyOp, MergeOp, Op, OperationKindOp, OperationOp, PatchOp},
    diagnostic::Fault,
    source::Span,
    value::describe::article,
};
use towline_event::{Record, Value};

/// An operation whose keys and values are known.
enum Ready<'p> {
    Insert(ByteString, Value),
    Upsert(ByteString, Value),
    Update(ByteString, Value),
    Erase(ByteString),
    Move(ByteString, ByteString),
    Copy(ByteString, ByteString),
    Merge(ByteString, Value),
    MergeAll(Value),
    /// A default. Its value is evaluated only if the key is missing.
    Default(ByteString, &'p Op),
    DefaultAll(Value),
}

/// Applies the operations of a patch in order. All values are evaluated before the first operation.
pub(super) fn patch(patch: &PatchOp, env: &Env<'_>) -> Result<Value, Box<Fault>> {
    let subject = eval(&patch.subject, env)?.into_owned();
    let mut ready = Vec::with_capacity(patch.operations.len());
    for operation in &patch.operations {
        env.steps.take(operation.span)?;
        ready.push((prepare(operation, env)?, operation.span));
    }
    let Value::Record(mut record) = subject else {
        return Err(not_record("patch", &subject, patch.span));
    };
    env.steps.weigh(&Value::Record(Arc::clone(&record)), patch.span)?;
    let fields = Arc::make_mut(&mut record);
    for (operation, span) in ready {
        apply(fields, operation, span, env)?;
    }
    Ok(Value::Record(record))
}

fn prepare<'p>(operation: &'p OperationOp, env: &Env<'_>) -> Result<Ready<'p>, Box<Fault>> {
    let value = |op: &Op| Ok::<_, Box<Fault>>(eval(op, env)?.into_owned());
    let two = |from: &KeyOp, to: &KeyOp| Ok::<_, Box<Fault>>((key(from, env)?, key(to, env)?));
    Ok(match &operation.kind {
        OperationKindOp::Insert(at, op) => Ready::Insert(key(at, env)?, value(op)?),
        OperationKindOp::Upsert(at, op) => Ready::Upsert(key(at, env)?, value(op)?),
        OperationKindOp::Update(at, op) => Ready::Update(key(at, env)?, value(op)?),
        OperationKindOp::Erase(at) => Ready::Erase(key(at, env)?),
        OperationKindOp::Move(from, to) => two(from, to).map(|(from, to)| Ready::Move(from, to))?,
        OperationKindOp::Copy(from, to) => two(from, to).map(|(from, to)| Ready::Copy(from, to))?,
        OperationKindOp::Merge(at, op) => Ready::Merge(key(at, env)?, value(op)?),
        OperationKindOp::MergeAll(op) => Ready::MergeAll(value(op)?),
        OperationKindOp::Default(at, op) => Ready::Default(key(at, env)?, op),
        OperationKindOp::DefaultAll(op) => Ready::DefaultAll(value(op)?),
    })
}

fn apply(record: &mut Record, operation: Ready<'_>, span: Span, env: &Env<'_>) -> Result<(), Box<Fault>> {
    match operation {
        Ready::Insert(key, _) if record.contains_key(&key) => return Err(taken(&key, span)),
        Ready::Update(key, _) if !record.contains_key(&key) => {
            return Err(Fault::new(span, format!("there is no key `{}` to update", shown(&key))));
        }
        Ready::Move(_, to) | Ready::Copy(_, to) if record.contains_key(&to) => return Err(taken(&to, span)),
        Ready::Insert(key, value) | Ready::Upsert(key, value) | Ready::Update(key, value) => {
            record.insert(key, value);
        }
        Ready::Erase(key) => {
            record.shift_remove(&key);
        }
        Ready::Move(from, to) => {
            if let Some(value) = record.shift_remove(&from) {
                record.insert(to, value);
            }
        }
        Ready::Copy(from, to) => {
            if let Some(value) = record.get(&from).cloned() {
                record.insert(to, value);
            }
        }
        Ready::Merge(key, spec) => {
            let field = record.entry(key).or_insert_with(empty);
            if !matches!(field, Value::Record(_)) {
                return Err(not_record("merge", field, span));
            }
            merge_into(field, &spec, span, env)?;
        }
        Ready::MergeAll(spec) => merge_all(record, &spec, span, env)?,
        Ready::Default(key, op) => {
            if !record.contains_key(&key) {
                record.insert(key, eval(op, env)?.into_owned());
            }
        }
        Ready::DefaultAll(Value::Record(defaults)) => apply_defaults(record, &defaults, span, env)?,
        Ready::DefaultAll(other) => return Err(not_record("default", &other, span)),
    }
    Ok(())
}

fn taken(key: &str, span: Span) -> Box<Fault> {
    Fault::new(span, format!("there is already a key `{}`", shown(key)))
}

fn not_record(what: &str, found: &Value, span: Span) -> Box<Fault> {
    Fault::new(span, format!("`{what}` takes a record, not {}", article(found)))
}

fn empty() -> Value {
    Value::Record(Arc::default())
}

/// Applies a `merge` without a key: merges into the whole record, which must remain a record.
fn merge_all(record: &mut Record, spec: &Value, span: Span, env: &Env<'_>) -> Result<(), Box<Fault>> {
    match spec {
        Value::Record(spec) => merge_records(record, spec, span, env),
        other => Err(not_record("merge", other, span)),
    }
}

/// Adds missing keys, recursively in nested records.
fn apply_defaults(
    record: &mut Record,
    defaults: &Record,
    span: Span,
    env: &Env<'_>,
) -> Result<(), Box<Fault>> {
    for (key, default) in defaults {
        env.steps.take(span)?;
        match (record.get_mut(key), default) {
            (None, _) => {
                record.insert(key.clone(), default.clone());
            }
            (Some(Value::Record(inner)), Value::Record(defaults)) => {
                apply_defaults(Arc::make_mut(inner), defaults, span, env)?;
            }
            (Some(_), _) => {}
        }
    }
    Ok(())
}

// --- merge ---

/// Evaluates a `merge` by RFC 7386: null removes a key, records are merged recursively, other values replace.
pub(super) fn merge(merge: &MergeOp, env: &Env<'_>) -> Result<Value, Box<Fault>> {
    let (subject, span) = &merge.subject;
    let subject = match eval(subject, env)?.into_owned() {
        record @ Value::Record(_) => record,
        other => return Err(not_record("merge", &other, *span)),
    };
    let (spec, span) = &merge.spec;
    let spec = eval(spec, env)?;
    if !matches!(*spec, Value::Record(_)) {
        return Err(not_record("merge", &spec, *span));
    }
    let mut merged = subject;
    env.steps.weigh(&merged, *span)?;
    merge_into(&mut merged, &spec, *span, env)?;
    Ok(merged)
}

fn merge_into(place: &mut Value, spec: &Value, span: Span, env: &Env<'_>) -> Result<(), Box<Fault>> {
    let Value::Record(spec) = spec else {
        *place = spec.clone();
        return Ok(());
    };
    if !matches!(place, Value::Record(_)) {
        *place = empty();
    }
    match place {
        Value::Record(record) => merge_records(Arc::make_mut(record), spec, span, env),
        _ => Ok(()),
    }
}

fn merge_records(record: &mut Record, spec: &Record, span: Span, env: &Env<'_>) -> Result<(), Box<Fault>> {
    for (key, change) in spec {
        env.steps.take(span)?;
        match change {
            Value::Null => {
                record.shift_remove(key);
            }
            // RFC 7386 merges into an empty record if there is none, so that nulls in the new record are removed.
            change => merge_into(record.entry(key.clone()).or_insert(Value::Null), change, span, env)?,
        }
    }
    Ok(())
}
