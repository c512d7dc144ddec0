//! Evaluates `patch` and `merge`.
//!
//! A select that patches the whole event, or merges into it, changes the event's JSON text (see [`edit`]). The
//! operations are the same for a text as for a value, because both are [`Fields`].

use std::sync::Arc;

use bytestring::ByteString;

use super::{
    Env, eval,
    fields::{Fields, Item},
    key,
    path::shown,
    script::checked,
};
use crate::{
    code::{KeyOp, MergeOp, Op, OperationKindOp, OperationOp, PatchOp},
    diagnostic::Fault,
    source::Span,
    value::{cost::Steps, describe::article},
};
use towline_event::{Data, Outline, Record, Value};

/// A value whose JSON text has `n` bytes has at most the size `SIZE_PER_BYTE * (n + 2)`, as [`Steps::measure`] estimates it.
const SIZE_PER_BYTE: usize = 5;

/// An operation with its keys and values evaluated.
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
    let subject = subject(&patch.subject, env)?;
    let ready = prepare_all(patch, env)?;
    let Value::Record(mut record) = subject else {
        return Err(not_record("patch", &subject, patch.span));
    };
    env.steps.weigh_items(record.len(), patch.span)?;
    apply_all(Arc::make_mut(&mut record), ready, env)?;
    Ok(Value::Record(record))
}

/// The value to change. The whole event may be more than the part that the program reads.
fn subject(op: &Op, env: &Env<'_>) -> Result<Value, Box<Fault>> {
    if op.is_event() { Ok(env.message.value().clone()) } else { Ok(eval(op, env)?.into_owned()) }
}

/// Evaluates a patch of the whole event, or a merge into it, on the event's JSON text: what is not changed is neither
/// parsed nor written again. The result is the same document as that of [`patch`] and [`merge`]. `None` if the
/// expression is something else, or if the event has no text of a record.
pub(crate) fn edit(op: &Op, span: Span, env: &Env<'_>) -> Option<Result<Data, Box<Fault>>> {
    let mut outline = match op {
        Op::Patch(patch) if patch.subject.is_event() && !has_copy(patch) => env.message.json()?.outline()?,
        Op::Merge(merge) if merge.subject.0.is_event() => env.message.json()?.outline()?,
        _ => return None,
    };
    let changed = match op {
        Op::Patch(patch) => patch_fields(&mut outline, patch, env),
        Op::Merge(merge) => merge_fields(&mut outline, merge, env),
        _ => return None,
    };
    Some(changed.and_then(|()| written(&outline, span, env.steps)))
}

/// Whether a patch has a `copy`. Copies in a value share memory; in a text, each takes its own.
fn has_copy(patch: &PatchOp) -> bool {
    patch.operations.iter().any(|operation| matches!(operation.kind, OperationKindOp::Copy(..)))
}

fn patch_fields(outline: &mut Outline<'_>, patch: &PatchOp, env: &Env<'_>) -> Result<(), Box<Fault>> {
    let ready = prepare_all(patch, env)?;
    env.steps.weigh_items(outline.len(), patch.span)?;
    apply_all(outline, ready, env)
}

fn merge_fields(outline: &mut Outline<'_>, merge: &MergeOp, env: &Env<'_>) -> Result<(), Box<Fault>> {
    let spec = spec(merge, env)?;
    env.steps.weigh_items(outline.len(), merge.spec.1)?;
    merge_records(outline, &spec, merge.spec.1, env)
}

/// A changed event, within the limits on values: as text, or as a value if the text could be another document.
fn written(outline: &Outline<'_>, span: Span, steps: &Steps) -> Result<Data, Box<Fault>> {
    let (mut size, mut is_same) = (SIZE_PER_BYTE * (outline.text_len() + 2), true);
    for (value, depth) in outline.values() {
        size += steps.measure(value, depth).map_err(|much| Fault::new(span, much.to_string()))?;
        is_same &= is_same_in_json(value);
    }
    // The size of text is estimated from above, so a value may be within the limit where the text is not.
    if size > steps.limits().max_value || !is_same {
        return checked(outline.to_value(), span, steps).map(Data::Value);
    }
    outline.to_json().map(Data::Json).map_err(|error| Fault::new(span, error.to_string()))
}

/// Whether a value is the same after it has been written as JSON and parsed: bytes become a text.
fn is_same_in_json(value: &Value) -> bool {
    match value {
        Value::Bytes(_) => false,
        Value::Float(number) => number.is_finite(),
        Value::Array(items) => items.iter().all(is_same_in_json),
        Value::Record(record) => record.values().all(is_same_in_json),
        _ => true,
    }
}

fn prepare_all<'p>(patch: &'p PatchOp, env: &Env<'_>) -> Result<Vec<(Ready<'p>, Span)>, Box<Fault>> {
    let mut ready = Vec::with_capacity(patch.operations.len());
    for operation in &patch.operations {
        env.steps.take(operation.span)?;
        ready.push((prepare(operation, env)?, operation.span));
    }
    Ok(ready)
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

fn apply_all<F: Fields>(
    fields: &mut F,
    ready: Vec<(Ready<'_>, Span)>,
    env: &Env<'_>,
) -> Result<(), Box<Fault>> {
    ready.into_iter().try_for_each(|(operation, span)| apply(fields, operation, span, env))
}

fn apply<F: Fields>(
    fields: &mut F,
    operation: Ready<'_>,
    span: Span,
    env: &Env<'_>,
) -> Result<(), Box<Fault>> {
    match operation {
        Ready::Insert(key, _) if fields.has(&key) => return Err(taken(&key, span)),
        Ready::Update(key, _) if !fields.has(&key) => {
            return Err(Fault::new(span, format!("there is no key `{}` to update", shown(&key))));
        }
        Ready::Move(_, to) | Ready::Copy(_, to) if fields.has(&to) => return Err(taken(&to, span)),
        Ready::Insert(key, value) | Ready::Upsert(key, value) | Ready::Update(key, value) => {
            fields.put(key, value.into());
        }
        Ready::Erase(key) => {
            fields.take(&key);
        }
        Ready::Move(from, to) => {
            if let Some(value) = fields.take(&from) {
                fields.put(to, value);
            }
        }
        Ready::Copy(from, to) => {
            if let Some(value) = fields.field_mut(&from).cloned() {
                fields.put(to, value);
            }
        }
        Ready::Merge(key, spec) => {
            let field = fields.field_or(&key, empty);
            if field.fields_mut().is_none() {
                return Err(not_record("merge", &field.to_value(), span));
            }
            merge_into(field, &spec, span, env)?;
        }
        Ready::MergeAll(Value::Record(spec)) => merge_records(fields, &spec, span, env)?,
        Ready::MergeAll(other) => return Err(not_record("merge", &other, span)),
        Ready::Default(key, op) => {
            if !fields.has(&key) {
                fields.put(key, eval(op, env)?.into_owned().into());
            }
        }
        Ready::DefaultAll(Value::Record(defaults)) => apply_defaults(fields, &defaults, span, env)?,
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

/// Adds missing keys, recursively in nested records.
fn apply_defaults<F: Fields>(
    fields: &mut F,
    defaults: &Record,
    span: Span,
    env: &Env<'_>,
) -> Result<(), Box<Fault>> {
    for (key, default) in defaults {
        env.steps.take(span)?;
        match (fields.field_mut(key), default) {
            (None, _) => fields.put(key.clone(), default.clone().into()),
            (Some(field), Value::Record(defaults)) => {
                if let Some(inner) = field.fields_mut() {
                    apply_defaults(inner, defaults, span, env)?;
                }
            }
            (Some(_), _) => {}
        }
    }
    Ok(())
}

// --- merge ---

/// Evaluates a `merge` by RFC 7386: null removes a key, records are merged recursively, other values replace.
pub(super) fn merge(merge: &MergeOp, env: &Env<'_>) -> Result<Value, Box<Fault>> {
    let mut record = match subject(&merge.subject.0, env)? {
        Value::Record(record) => record,
        other => return Err(not_record("merge", &other, merge.subject.1)),
    };
    let (spec, span) = (spec(merge, env)?, merge.spec.1);
    env.steps.weigh_items(record.len(), span)?;
    merge_records(Arc::make_mut(&mut record), &spec, span, env)?;
    Ok(Value::Record(record))
}

/// The record that is merged.
fn spec(merge: &MergeOp, env: &Env<'_>) -> Result<Arc<Record>, Box<Fault>> {
    let (spec, span) = &merge.spec;
    match eval(spec, env)?.into_owned() {
        Value::Record(spec) => Ok(spec),
        other => Err(not_record("merge", &other, *span)),
    }
}

fn merge_into<I: Item>(place: &mut I, spec: &Value, span: Span, env: &Env<'_>) -> Result<(), Box<Fault>> {
    let Value::Record(spec) = spec else {
        *place = spec.clone().into();
        return Ok(());
    };
    if place.fields_mut().is_none() {
        *place = empty().into();
    }
    match place.fields_mut() {
        Some(fields) => merge_records(fields, spec, span, env),
        None => Ok(()),
    }
}

fn merge_records<F: Fields>(
    fields: &mut F,
    spec: &Record,
    span: Span,
    env: &Env<'_>,
) -> Result<(), Box<Fault>> {
    for (key, change) in spec {
        env.steps.take(span)?;
        match change {
            Value::Null => {
                fields.take(key);
            }
            // RFC 7386 merges into an empty record if there is none, so that nulls in the new record are removed.
            change => merge_into(fields.field_or(key, Value::default), change, span, env)?,
        }
    }
    Ok(())
}
