//! The functions and constants of `std::integer`, `std::integer::signed` and `std::integer::unsigned`.

use super::{Arity::Exactly, Call, Constant, Function, Outcome, call::shown};
use crate::value::number::whole;
use towline_event::Value;

pub(super) static FUNCTIONS: &[Function] =
    &[Function::pure("std::integer::parse", Exactly(1), parse, "a decimal text parsed as an integer")];

pub(super) static CONSTANTS: &[Constant] = &[
    Constant { name: "std::integer::MAX", value: || Value::Int(i64::MAX) },
    Constant { name: "std::integer::MIN", value: || Value::Int(i64::MIN) },
    Constant { name: "std::integer::signed::MAX", value: || Value::Int(i64::MAX) },
    Constant { name: "std::integer::signed::MIN", value: || Value::Int(i64::MIN) },
    Constant { name: "std::integer::unsigned::MAX", value: || Value::Uint(u64::MAX) },
    Constant { name: "std::integer::unsigned::MIN", value: || Value::Int(0) },
];

fn parse(call: &Call<'_>) -> Outcome {
    let text = call.string(0)?;
    call.read(text.len())?;
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(call.fail(format_args!("{} is not an integer", shown(text))));
    }
    let number = text.parse().ok().and_then(whole);
    number.ok_or_else(|| call.fail(format_args!("{} does not fit 64 bits", shown(text))))
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("std::integer::parse", r#"["42"]"#, "42"),
    ("std::integer::parse", r#"["-9223372036854775808"]"#, "-9223372036854775808"),
    ("std::integer::parse", r#"["18446744073709551615"]"#, "18446744073709551615"),
    ("std::integer::parse", r#"["+007"]"#, "7"),
    (
        "std::integer::parse",
        r#"["18446744073709551616"]"#,
        "error: std::integer::parse: `18446744073709551616` does not fit 64 bits",
    ),
    ("std::integer::parse", r#"["1.5"]"#, "error: std::integer::parse: `1.5` is not an integer"),
    ("std::integer::parse", r#"["-"]"#, "error: std::integer::parse: `-` is not an integer"),
    ("std::integer::parse", r#"[" 1"]"#, "error: std::integer::parse: ` 1` is not an integer"),
    ("std::integer::parse", r#"["١"]"#, "error: std::integer::parse: `١` is not an integer"),
    ("std::integer::parse", "[42]", "error: std::integer::parse takes a string, not an integer"),
];
