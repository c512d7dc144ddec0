//! The functions of `std::path`.

use super::{Arity::Exactly, Call, Function, Outcome};
use towline_event::Value;

pub(super) static FUNCTIONS: &[Function] = &[Function::pure(
    "std::path::try_default",
    Exactly(3),
    try_default,
    "the value at a path of keys and indices, or a default",
)];

fn try_default(call: &Call<'_>) -> Outcome {
    if !matches!(call.any(0), Value::Null | Value::Array(_) | Value::Record(_)) {
        return Err(call.wrong(0, "a record, an array or null"));
    }
    let segments = call.array(1)?;
    if matches!(call.any(0), Value::Null) {
        return Ok(call.any(2).clone());
    }
    call.walk(segments.len())?;
    // A step into a record must be a string; any other value leads nowhere.
    if matches!(call.any(0), Value::Record(_)) && segments.iter().all(|segment| segment.as_str().is_none()) {
        return Ok(call.any(0).clone());
    }
    let found = segments.iter().try_fold(call.any(0), step);
    Ok(found.unwrap_or(call.any(2)).clone())
}

fn step<'v>(base: &'v Value, segment: &Value) -> Option<&'v Value> {
    match (base, segment) {
        (Value::Record(record), Value::String(key)) => record.get(key),
        (Value::Array(items), Value::Int(index)) => items.get(usize::try_from(*index).ok()?),
        _ => None,
    }
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("std::path::try_default", r#"[{"a":[1,{"b":null}]},["a",1,"b"],"no"]"#, "null"),
    ("std::path::try_default", r#"[[["x","y"]],[0,1],"no"]"#, r#""y""#),
    ("std::path::try_default", r#"[{"a":1},[],"no"]"#, r#"{"a":1}"#),
    ("std::path::try_default", r#"[{"a":1},["a","b"],"no"]"#, r#""no""#),
    ("std::path::try_default", r#"[{"a":1},[0],"no"]"#, r#"{"a":1}"#),
    ("std::path::try_default", r#"[{"a":1},[null,[]],"no"]"#, r#"{"a":1}"#),
    ("std::path::try_default", r#"[{"a":1},[null,"a"],"no"]"#, r#""no""#),
    ("std::path::try_default", r#"[{"a":{"b":1}},["a",null],"no"]"#, r#""no""#),
    ("std::path::try_default", r#"[[1],[null],"no"]"#, r#""no""#),
    ("std::path::try_default", r#"[[1],[-1],"no"]"#, r#""no""#),
    ("std::path::try_default", r#"[null,[],"no"]"#, r#""no""#),
    (
        "std::path::try_default",
        r#"["a",[],"no"]"#,
        "error: std::path::try_default takes a record, an array or null as its first argument, not a string",
    ),
    (
        "std::path::try_default",
        r#"[{},"a","no"]"#,
        "error: std::path::try_default takes an array as its second argument, not a string",
    ),
];
