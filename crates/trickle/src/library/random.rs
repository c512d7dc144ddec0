//! The functions of `std::random`: random values, from the thread's generator.
//!
//! Tremor seeds a new generator with the ingest time of the event, so that two calls for one event return the
//! same number. Here, every call returns a new number.

use rand::{
    RngExt,
    distr::{Alphanumeric, SampleString},
};

use super::{
    Arity::{Between, Exactly},
    Call, Function, Outcome,
};
use towline_event::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::impure("std::random::bool", Exactly(0), bool, "a random boolean"),
    Function::impure(
        "std::random::string",
        Exactly(1),
        string,
        "a random string of ASCII letters and digits, of a given length",
    ),
    Function::impure(
        "std::random::integer",
        Between(0, 2),
        integer,
        "a random integer, at least 0 or the first argument, and below the last",
    ),
    Function::impure(
        "std::random::float",
        Between(0, 2),
        float,
        "a random float, at least 0 or the first argument, and below 1 or the last",
    ),
];

fn bool(_: &Call<'_>) -> Outcome {
    Ok(Value::Bool(rand::random()))
}

fn string(call: &Call<'_>) -> Outcome {
    let length = call.size(0)?;
    call.room(length)?;
    // Generating a character costs as much as reading many.
    call.walk(length / 16)?;
    Ok(Value::string(Alphanumeric.sample_string(&mut rand::rng(), length)))
}

fn integer(call: &Call<'_>) -> Outcome {
    let (low, high) = match call.args.len() {
        0 => return Ok(Value::Int(rand::random())),
        1 => (0, call.integer(0)?),
        _ => (call.integer(0)?, call.integer(1)?),
    };
    if low >= high {
        return Err(call.fail(format_args!("the range from {low} to {high} is empty")));
    }
    call.whole(rand::rng().random_range(low..high))
}

fn float(call: &Call<'_>) -> Outcome {
    let (low, high) = match call.args.len() {
        0 => (0.0, 1.0),
        1 => (0.0, call.number(0)?.float()),
        _ => (call.number(0)?.float(), call.number(1)?.float()),
    };
    if low >= high {
        let (low, high) = (Value::Float(low).to_json(), Value::Float(high).to_json());
        return Err(call.fail(format_args!("the range from {low} to {high} is empty")));
    }
    let chance: f64 = rand::random();
    // Scale both bounds separately, because their difference may overflow. Rounding may yield `high`, which
    // is outside the range.
    let number = low * (1.0 - chance) + high * chance;
    call.finite(number.clamp(low, high.next_down()))
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("std::random::bool", "[1]", "error: std::random::bool takes no arguments, not 1"),
    ("std::random::string", "[0]", r#""""#),
    ("std::random::string", "[-1]", "error: std::random::string takes a non-negative integer, not -1"),
    ("std::random::string", "[1.0]", "error: std::random::string takes an integer, not a float"),
    (
        "std::random::string",
        "[16777217]",
        "error: std::random::string: the result would be larger than 16 MiB",
    ),
    ("std::random::integer", "[42,43]", "42"),
    ("std::random::integer", "[-42,-41]", "-42"),
    ("std::random::integer", "[18446744073709551614,18446744073709551615]", "18446744073709551614"),
    ("std::random::integer", "[1]", "0"),
    ("std::random::integer", "[0]", "error: std::random::integer: the range from 0 to 0 is empty"),
    ("std::random::integer", "[2,1]", "error: std::random::integer: the range from 2 to 1 is empty"),
    ("std::random::integer", "[1.5]", "error: std::random::integer takes an integer, not a float"),
    ("std::random::integer", "[1,2,3]", "error: std::random::integer takes 0 to 2 arguments, not 3"),
    ("std::random::float", "[5e-324]", "0.0"),
    ("std::random::float", "[0]", "error: std::random::float: the range from 0.0 to 0.0 is empty"),
    ("std::random::float", "[1,0.5]", "error: std::random::float: the range from 1.0 to 0.5 is empty"),
    (
        "std::random::float",
        r#"[0,"1"]"#,
        "error: std::random::float takes a number as its second argument, not a string",
    ),
];
