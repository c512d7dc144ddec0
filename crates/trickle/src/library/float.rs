//! The functions of `std::float`.
//!
//! Floats of this language are always finite, so `is_finite`, `is_nan` and `is_infinite` have
//! constant results. They exist for compatibility.

use super::{Arity::Exactly, Call, Function, Outcome, call::shown};
use towline_event::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("std::float::parse", Exactly(1), parse, "a text parsed as a float"),
    Function::pure(
        "std::float::is_finite",
        Exactly(1),
        is_finite,
        "whether a number is finite: always true here",
    ),
    Function::pure("std::float::is_nan", Exactly(1), is_never, "whether a number is NaN: always false here"),
    Function::pure(
        "std::float::is_infinite",
        Exactly(1),
        is_never,
        "whether a number is infinite: always false here",
    ),
];

/// Parses the syntax of Rust's floats, except for infinities and NaN.
fn parse(call: &Call<'_>) -> Outcome {
    let text = call.string(0)?;
    call.read(text.len())?;
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(Value::Float(number)),
        Ok(_) => Err(call.fail(format_args!("{} is not finite", shown(text)))),
        Err(_) => Err(call.fail(format_args!("{} is not a number", shown(text)))),
    }
}

fn is_finite(call: &Call<'_>) -> Outcome {
    call.number(0).map(|_| Value::Bool(true))
}

fn is_never(call: &Call<'_>) -> Outcome {
    call.number(0).map(|_| Value::Bool(false))
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("std::float::parse", r#"["42.314"]"#, "42.314"),
    ("std::float::parse", r#"["-1e3"]"#, "-1000.0"),
    ("std::float::parse", r#"["7"]"#, "7.0"),
    ("std::float::parse", r#"["snot"]"#, "error: std::float::parse: `snot` is not a number"),
    ("std::float::parse", r#"[""]"#, "error: std::float::parse: `` is not a number"),
    ("std::float::parse", r#"["inf"]"#, "error: std::float::parse: `inf` is not finite"),
    ("std::float::parse", r#"["1e999"]"#, "error: std::float::parse: `1e999` is not finite"),
    ("std::float::parse", "[1.5]", "error: std::float::parse takes a string, not a float"),
    ("std::float::is_finite", "[1.5]", "true"),
    ("std::float::is_finite", "[18446744073709551615]", "true"),
    ("std::float::is_finite", r#"["1"]"#, "error: std::float::is_finite takes a number, not a string"),
    ("std::float::is_nan", "[1.5]", "false"),
    ("std::float::is_nan", "[-1]", "false"),
    ("std::float::is_nan", "[null]", "error: std::float::is_nan takes a number, not null"),
    ("std::float::is_infinite", "[1e300]", "false"),
    ("std::float::is_infinite", "[7]", "false"),
    ("std::float::is_infinite", "[true]", "error: std::float::is_infinite takes a number, not a boolean"),
];
