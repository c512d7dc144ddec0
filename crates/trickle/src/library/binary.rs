//! The functions of `std::binary`.

use super::{Arity::Exactly, Call, Function, Outcome};
use crate::value::describe::article;
use towline_event::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("std::binary::len", Exactly(1), len, "the number of bytes of a binary"),
    Function::pure(
        "std::binary::from_bytes",
        Exactly(1),
        from_bytes,
        "a binary built from an array of integers from 0 to 255",
    ),
    Function::pure(
        "std::binary::into_bytes",
        Exactly(1),
        into_bytes,
        "the bytes of a binary as an array of integers",
    ),
];

fn len(call: &Call<'_>) -> Outcome {
    Ok(Value::from(call.bytes(0)?.len() as u64))
}

fn from_bytes(call: &Call<'_>) -> Outcome {
    let items = call.array(0)?;
    call.walk(items.len())?;
    let bytes: Result<Vec<u8>, String> = items.iter().map(|item| byte(call, item)).collect();
    Ok(Value::Bytes(bytes?.into()))
}

fn byte(call: &Call<'_>, item: &Value) -> Result<u8, String> {
    let wanted = "an array of integers from 0 to 255";
    match item {
        Value::Int(number) => {
            u8::try_from(*number).map_err(|_| call.not(0, wanted, &format_args!("one with {number}")))
        }
        other => Err(call.not(0, wanted, &format_args!("one with {}", article(other)))),
    }
}

fn into_bytes(call: &Call<'_>) -> Outcome {
    let bytes = call.bytes(0)?;
    call.build(bytes.len())?;
    Ok(Value::array(bytes.iter().map(|byte| Value::Int(i64::from(*byte))).collect()))
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("std::binary::len", r#"[{"bytes":"é"}]"#, "2"),
    ("std::binary::len", r#"[{"bytes":""}]"#, "0"),
    ("std::binary::len", r#"["abc"]"#, "error: std::binary::len takes a binary, not a string"),
    ("std::binary::from_bytes", "[[0,255]]", "binary [0,255]"),
    ("std::binary::from_bytes", "[[]]", "binary []"),
    (
        "std::binary::from_bytes",
        "[[256]]",
        "error: std::binary::from_bytes takes an array of integers from 0 to 255, not one with 256",
    ),
    (
        "std::binary::from_bytes",
        "[[-1]]",
        "error: std::binary::from_bytes takes an array of integers from 0 to 255, not one with -1",
    ),
    (
        "std::binary::from_bytes",
        "[[1.0]]",
        "error: std::binary::from_bytes takes an array of integers from 0 to 255, not one with a float",
    ),
    ("std::binary::into_bytes", r#"[{"bytes":"snot"}]"#, "[115,110,111,116]"),
    ("std::binary::into_bytes", r#"[{"bytes":""}]"#, "[]"),
    ("std::binary::into_bytes", "[[1]]", "error: std::binary::into_bytes takes a binary, not an array"),
];
