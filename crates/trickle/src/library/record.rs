//! The functions of `std::record`.
//!
//! Records keep the order of their keys, and so do the results of these functions.

use std::{collections::HashSet, sync::Arc};

use super::{Arity::Exactly, Call, Function, Outcome, array::pair_of};
use crate::value::describe::article;
use towline_event::{Record, Value};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("std::record::len", Exactly(1), len, "the number of keys of a record"),
    Function::pure("std::record::is_empty", Exactly(1), is_empty, "whether a record has no keys"),
    Function::pure("std::record::contains", Exactly(2), contains, "whether a record has a key"),
    Function::pure("std::record::keys", Exactly(1), keys, "the keys of a record as an array"),
    Function::pure("std::record::values", Exactly(1), values, "the values of a record as an array"),
    Function::pure(
        "std::record::to_array",
        Exactly(1),
        to_array,
        "the key-value pairs of a record as an array",
    ),
    Function::pure(
        "std::record::from_array",
        Exactly(1),
        from_array,
        "the record built from an array of key-value pairs",
    ),
    Function::pure("std::record::select", Exactly(2), select, "the record with only the given keys"),
    Function::pure("std::record::extract", Exactly(2), select, "the same as std::record::select"),
    Function::pure(
        "std::record::merge",
        Exactly(2),
        merge,
        "two records merged; the second takes precedence",
    ),
    Function::pure("std::record::combine", Exactly(2), merge, "the same as std::record::merge"),
    Function::pure(
        "std::record::rename",
        Exactly(2),
        rename,
        "the record with its keys renamed by a record of old to new names",
    ),
];

fn len(call: &Call<'_>) -> Outcome {
    Ok(Value::from(call.record(0)?.len() as u64))
}

fn is_empty(call: &Call<'_>) -> Outcome {
    Ok(Value::Bool(call.record(0)?.is_empty()))
}

fn contains(call: &Call<'_>) -> Outcome {
    Ok(Value::Bool(call.record(0)?.contains_key(call.string(1)?)))
}

fn keys(call: &Call<'_>) -> Outcome {
    let record = call.record(0)?;
    call.build(record.len())?;
    Ok(Value::array(record.keys().cloned().map(Value::String).collect()))
}

fn values(call: &Call<'_>) -> Outcome {
    let record = call.record(0)?;
    call.build(record.len())?;
    Ok(Value::array(record.values().cloned().collect()))
}

fn to_array(call: &Call<'_>) -> Outcome {
    let record = call.record(0)?;
    // Each pair is an array of two elements inside the array of pairs.
    call.build(record.len().saturating_mul(3))?;
    let pairs =
        record.iter().map(|(key, value)| Value::array(vec![Value::String(key.clone()), value.clone()]));
    Ok(Value::array(pairs.collect()))
}

/// Builds a record from an array of pairs. If several pairs have the same key, the last one counts.
fn from_array(call: &Call<'_>) -> Outcome {
    let pairs = call.array(0)?;
    build(call, pairs.len())?;
    let mut record = Record::with_capacity(pairs.len());
    for pair in pairs {
        let (key, value) = pair_of(call, pair)?;
        let Value::String(key) = key else {
            let found = format!("one whose key is {}", article(key));
            return Err(call.not(0, "an array of key-value pairs", &found));
        };
        record.insert(key.clone(), value.clone());
    }
    Ok(Value::Record(Arc::new(record)))
}

/// Builds a record with the given keys only, in the order of the record. Elements of the list of keys that
/// are not strings are ignored.
fn select(call: &Call<'_>) -> Outcome {
    let (record, keys) = (call.record(0)?, call.array(1)?);
    call.walk(keys.len())?;
    build(call, record.len())?;
    let keys: HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    let selected = record.iter().filter(|(key, _)| keys.contains(&***key));
    Ok(Value::record(selected.map(|(key, value)| (key.clone(), value.clone()))))
}

fn merge(call: &Call<'_>) -> Outcome {
    let (left, right) = (call.record(0)?, call.record(1)?);
    build(call, left.len().saturating_add(right.len()))?;
    Ok(Value::record(left.iter().chain(right).map(|(key, value)| (key.clone(), value.clone()))))
}

/// Renames keys. A key whose new name is not a string keeps its name.
fn rename(call: &Call<'_>) -> Outcome {
    let (record, changes) = (call.record(0)?, call.record(1)?);
    build(call, record.len())?;
    let renamed = record.iter().map(|(key, value)| match changes.get(key) {
        Some(Value::String(name)) => (name.clone(), value.clone()),
        _ => (key.clone(), value.clone()),
    });
    Ok(Value::record(renamed))
}

/// Spends the steps for a record of `pairs` pairs, and checks its size. A pair counts as two items.
fn build(call: &Call<'_>, pairs: usize) -> Result<(), String> {
    call.build(pairs.saturating_mul(2))
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("std::record::len", "[{}]", "0"),
    ("std::record::len", r#"[{"a":1,"b":{"c":2}}]"#, "2"),
    ("std::record::len", "[[]]", "error: std::record::len takes a record, not an array"),
    ("std::record::is_empty", "[{}]", "true"),
    ("std::record::is_empty", r#"[{"":null}]"#, "false"),
    ("std::record::is_empty", "[null]", "error: std::record::is_empty takes a record, not null"),
    ("std::record::contains", r#"[{"é":null},"é"]"#, "true"),
    ("std::record::contains", r#"[{"a":1},"b"]"#, "false"),
    (
        "std::record::contains",
        r#"[{"a":1},1]"#,
        "error: std::record::contains takes a string as its second argument, not an integer",
    ),
    ("std::record::keys", r#"[{"b":1,"a":2}]"#, r#"["b","a"]"#),
    ("std::record::keys", "[{}]", "[]"),
    ("std::record::keys", r#"["a"]"#, "error: std::record::keys takes a record, not a string"),
    ("std::record::values", r#"[{"b":1,"a":[2]}]"#, "[1,[2]]"),
    ("std::record::values", "[{}]", "[]"),
    ("std::record::values", "[1.5]", "error: std::record::values takes a record, not a float"),
    ("std::record::to_array", r#"[{"b":1,"a":{}}]"#, r#"[["b",1],["a",{}]]"#),
    ("std::record::to_array", "[{}]", "[]"),
    ("std::record::to_array", "[[]]", "error: std::record::to_array takes a record, not an array"),
    ("std::record::from_array", r#"[[["a",1],["b",2],["a",3]]]"#, r#"{"a":3,"b":2}"#),
    ("std::record::from_array", "[[]]", "{}"),
    (
        "std::record::from_array",
        r#"[[["a"]]]"#,
        "error: std::record::from_array takes an array of pairs, not one with an array of length 1",
    ),
    (
        "std::record::from_array",
        "[[[1,2]]]",
        "error: std::record::from_array takes an array of key-value pairs, not one whose key is an integer",
    ),
    ("std::record::select", r#"[{"a":1,"b":2,"c":3},["c","a","x",1]]"#, r#"{"a":1,"c":3}"#),
    ("std::record::select", r#"[{"a":1},[]]"#, "{}"),
    (
        "std::record::select",
        r#"[{"a":1},"a"]"#,
        "error: std::record::select takes an array as its second argument, not a string",
    ),
    ("std::record::extract", r#"[{"a":1,"b":2},["b"]]"#, r#"{"b":2}"#),
    ("std::record::extract", "[{},[]]", "{}"),
    (
        "std::record::extract",
        "[[],[]]",
        "error: std::record::extract takes a record as its first argument, not an array",
    ),
    ("std::record::merge", r#"[{"a":1,"b":2},{"b":null,"c":{}}]"#, r#"{"a":1,"b":null,"c":{}}"#),
    ("std::record::merge", "[{},{}]", "{}"),
    (
        "std::record::merge",
        "[{},1]",
        "error: std::record::merge takes a record as its second argument, not an integer",
    ),
    ("std::record::combine", r#"[{"a":1},{"b":2}]"#, r#"{"a":1,"b":2}"#),
    ("std::record::combine", r#"[{"a":{"x":1}},{"a":{"y":2}}]"#, r#"{"a":{"y":2}}"#),
    (
        "std::record::combine",
        "[null,{}]",
        "error: std::record::combine takes a record as its first argument, not null",
    ),
    ("std::record::rename", r#"[{"a":1,"b":2,"c":4},{"a":"A","b":"B","x":"y"}]"#, r#"{"A":1,"B":2,"c":4}"#),
    ("std::record::rename", r#"[{"a":1,"b":2},{"a":"b","b":3}]"#, r#"{"b":2}"#),
    (
        "std::record::rename",
        "[{},[]]",
        "error: std::record::rename takes a record as its second argument, not an array",
    ),
];
