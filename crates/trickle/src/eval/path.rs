//! Reads and writes values by path.

use std::{borrow::Cow, sync::Arc};

use bytestring::ByteString;

use super::{Env, Evaluated, eval};
use crate::{
    code::{PathOp, Root, Step, StepKind},
    diagnostic::Fault,
    source::Span,
    value::describe::article,
};
use towline_event::{Record, Value};

/// Why a path has no value. The error text is built on demand, because `present` does not need it.
enum NoValue {
    /// The key, index or local does not exist.
    Missing(Missing),
    /// An expression inside the path failed.
    Fault(Box<Fault>),
}

struct Missing {
    span: Span,
    what: Obstacle,
}

enum Obstacle {
    Key(ByteString),
    Meta(ByteString),
    Local,
    /// A key is applied to a value that is not a record.
    NotRecord(String),
    /// An index is applied to a value that is not an array.
    NotArray(String),
    /// A subscript is neither key nor index.
    NotIndex(String),
    /// A bound of a range is not an integer.
    NotBound(String),
    /// A range ends before it begins.
    Reversed(String),
    Outside {
        index: String,
        len: usize,
    },
}

/// The value at a path.
pub(crate) fn read<'e>(path: &'e PathOp, env: &Env<'e>) -> Evaluated<'e> {
    walk(path, env).map_err(|lack| failure(path, env, lack))
}

#[cold]
fn failure(path: &PathOp, env: &Env<'_>, lack: NoValue) -> Box<Fault> {
    match (&path.root, lack) {
        (Root::State, NoValue::Missing(missing)) if *env.state == Value::Null => unset(missing.span),
        (_, lack) => lack.into_fault(),
    }
}

/// The failure of a path into a state without a value.
#[cold]
pub(super) fn unset(span: Span) -> Box<Fault> {
    Fault::new(span, "`state` is null until it is set, so it has no parts yet")
        .help("give it an initial value: match state of case null => let state = {} default => null end")
}

/// Whether a path has a value.
pub(crate) fn is_present(path: &PathOp, env: &Env<'_>) -> Result<bool, Box<Fault>> {
    match walk(path, env) {
        Ok(_) => Ok(true),
        Err(NoValue::Missing(_)) => Ok(false),
        Err(NoValue::Fault(fault)) => Err(fault),
    }
}

fn walk<'e>(path: &'e PathOp, env: &Env<'e>) -> Result<Cow<'e, Value>, NoValue> {
    let mut value = root(path, env)?;
    for step in &path.steps {
        value = match value {
            Cow::Borrowed(value) => child(value, step, env)?,
            Cow::Owned(value) => Cow::Owned(child(&value, step, env)?.into_owned()),
        };
    }
    Ok(value)
}

fn root<'e>(path: &'e PathOp, env: &Env<'e>) -> Result<Cow<'e, Value>, NoValue> {
    let missing = |what| NoValue::Missing(Missing { span: path.span, what });
    Ok(match &path.root {
        Root::Event => Cow::Borrowed(env.event()),
        Root::Meta => Cow::Owned(env.message.meta.to_value()),
        Root::MetaKey(key) => {
            Cow::Borrowed(env.message.meta.get_ref(key).ok_or_else(|| missing(Obstacle::Meta(key.clone())))?)
        }
        Root::State => Cow::Borrowed(env.state),
        Root::Local(slot) => Cow::Borrowed(env.local(*slot).ok_or_else(|| missing(Obstacle::Local))?),
        Root::Value(op) => eval(op, env).map_err(NoValue::Fault)?,
    })
}

/// Applies one step of a path: returns a borrowed part of the value, or a range of it.
fn child<'v>(value: &'v Value, step: &Step, env: &Env<'_>) -> Result<Cow<'v, Value>, NoValue> {
    match &step.kind {
        StepKind::Key(key) => match value {
            Value::Record(record) => member(record, key, step.span).map(Cow::Borrowed),
            other => Err(step.lacks(Obstacle::NotRecord(article(other)))),
        },
        StepKind::Index(op) => {
            let index = eval(op, env).map_err(NoValue::Fault)?;
            element(value, &index, step).map(Cow::Borrowed)
        }
        StepKind::Range(from, to) => {
            let Value::Array(items) = value else {
                return Err(step.lacks(Obstacle::NotArray(article(value))));
            };
            let from = eval(from, env).map_err(NoValue::Fault)?;
            let to = eval(to, env).map_err(NoValue::Fault)?;
            range(items, &from, &to, step).map(Cow::Owned)
        }
    }
}

fn member<'v>(record: &'v Record, key: &str, span: Span) -> Result<&'v Value, NoValue> {
    record.get(key).ok_or_else(|| NoValue::Missing(Missing { span, what: Obstacle::Key(key.into()) }))
}

/// The element at an index, or the member at a string key.
fn element<'v>(value: &'v Value, index: &Value, step: &Step) -> Result<&'v Value, NoValue> {
    match (value, index) {
        (Value::Record(record), Value::String(key)) => member(record, key, step.span),
        (Value::Array(items), index) if index.type_name() == "integer" => position(index)
            .and_then(|at| items.get(at))
            .ok_or_else(|| step.lacks(Obstacle::Outside { index: index.to_json(), len: items.len() })),
        (Value::Record(_) | Value::Array(_), other) => Err(step.lacks(Obstacle::NotIndex(article(other)))),
        (other, Value::String(_)) => Err(step.lacks(Obstacle::NotRecord(article(other)))),
        (other, _) => Err(step.lacks(Obstacle::NotArray(article(other)))),
    }
}

fn range(items: &Arc<Vec<Value>>, from: &Value, to: &Value, step: &Step) -> Result<Value, NoValue> {
    for bound in [from, to] {
        if bound.type_name() != "integer" {
            return Err(step.lacks(Obstacle::NotBound(article(bound))));
        }
    }
    match (position(from), position(to)) {
        (Some(0), Some(end)) if end == items.len() => Ok(Value::Array(Arc::clone(items))),
        (Some(start), Some(end)) if start <= end && end <= items.len() => {
            Ok(Value::array(items[start..end].to_vec()))
        }
        (start, end) => {
            let index = format!("{}:{}", from.to_json(), to.to_json());
            Err(step.lacks(match (start, end) {
                (Some(start), Some(end)) if start > end => Obstacle::Reversed(index),
                _ => Obstacle::Outside { index, len: items.len() },
            }))
        }
    }
}

fn position(index: &Value) -> Option<usize> {
    match index {
        Value::Int(index) => usize::try_from(*index).ok(),
        _ => None,
    }
}

/// Writes a value at the path `steps` below `target`. Missing records along the path are created; missing
/// array elements are an error. `subscripts` are the values of the computed steps, in order.
pub(crate) fn write(
    target: &mut Value,
    steps: &[Step],
    subscripts: Vec<Value>,
    value: Value,
) -> Result<(), Box<Fault>> {
    let mut subscripts = subscripts.into_iter();
    let mut place = target;
    for (index, step) in steps.iter().enumerate() {
        let last = index + 1 == steps.len();
        place = match &step.kind {
            StepKind::Key(key) => member_mut(place, key, last, step)?,
            StepKind::Index(_) | StepKind::Range(..) => {
                let subscript = subscripts.next().unwrap_or_default();
                element_mut(place, &subscript, last, step)?
            }
        };
    }
    *place = value;
    Ok(())
}

fn member_mut<'v>(
    place: &'v mut Value,
    key: &ByteString,
    last: bool,
    step: &Step,
) -> Result<&'v mut Value, Box<Fault>> {
    let Value::Record(record) = place else {
        return Err(step.lacks(Obstacle::NotRecord(article(place))).into_fault());
    };
    // The last step replaces the null; the steps before it need a record.
    let fresh = || if last { Value::Null } else { Value::Record(Arc::default()) };
    Ok(Arc::make_mut(record).entry(key.clone()).or_insert_with(fresh))
}

fn element_mut<'v>(
    place: &'v mut Value,
    subscript: &Value,
    last: bool,
    step: &Step,
) -> Result<&'v mut Value, Box<Fault>> {
    if let (Value::Record(_), Value::String(key)) = (&*place, subscript) {
        return member_mut(place, key, last, step);
    }
    // The error is the same as for reading this path.
    element(place, subscript, step).map_err(NoValue::into_fault)?;
    match (place, position(subscript)) {
        (Value::Array(items), Some(at)) if at < items.len() => Ok(&mut Arc::make_mut(items)[at]),
        _ => Err(Fault::new(step.span, "cannot assign here")),
    }
}

/// A key as shown in messages: shortened and escaped. Keys may come from events: a long key would fill the
/// error reply, and a line break would forge a log line.
pub(crate) fn shown(key: &str) -> String {
    const SHOWN_CHARS: usize = 64;
    let cut: String = key.chars().take(SHOWN_CHARS).collect();
    let dots = if cut.len() < key.len() { "…" } else { "" };
    format!("{}{dots}", cut.escape_debug())
}

// === impl Step ===

impl Step {
    fn lacks(&self, what: Obstacle) -> NoValue {
        NoValue::Missing(Missing { span: self.span, what })
    }
}

// === impl NoValue ===

impl NoValue {
    fn into_fault(self) -> Box<Fault> {
        let missing = match self {
            Self::Missing(missing) => missing,
            Self::Fault(fault) => return fault,
        };
        let message = match missing.what {
            Obstacle::Key(key) => format!("there is no key `{}`", shown(&key)),
            Obstacle::Meta(key) => format!("`${}` is not set", shown(&key)),
            Obstacle::Local => "this local has no value yet".to_owned(),
            Obstacle::NotRecord(found) => format!("only records have keys, but this is {found}"),
            Obstacle::NotArray(found) => format!("only arrays have elements, but this is {found}"),
            Obstacle::NotIndex(found) => {
                format!("brackets take a string for a record and an integer for an array; this is {found}")
            }
            Obstacle::NotBound(found) => format!("a range takes integers, but this is {found}"),
            Obstacle::Reversed(range) => format!("[{range}] ends before it begins"),
            Obstacle::Outside { index, len } => {
                let elements = if len == 1 { "element" } else { "elements" };
                format!("[{index}] is out of bounds for an array with {len} {elements}")
            }
        };
        Fault::new(missing.span, message)
    }
}
