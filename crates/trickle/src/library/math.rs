//! The functions of `std::math`.

use std::cmp::Ordering;

use super::{Arity::Exactly, Call, Function, Outcome, order};
use crate::value::number::{Number, whole};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure(
        "std::math::floor",
        Exactly(1),
        |call| rounded(call, f64::floor),
        "the largest integer less than or equal to a number",
    ),
    Function::pure(
        "std::math::ceil",
        Exactly(1),
        |call| rounded(call, f64::ceil),
        "the smallest integer greater than or equal to a number",
    ),
    Function::pure(
        "std::math::round",
        Exactly(1),
        |call| rounded(call, f64::round),
        "the nearest integer; halfway cases round away from 0",
    ),
    Function::pure(
        "std::math::trunc",
        Exactly(1),
        |call| rounded(call, f64::trunc),
        "the integer part of a number",
    ),
    Function::pure("std::math::max", Exactly(2), max, "the greater of two numbers"),
    Function::pure("std::math::min", Exactly(2), min, "the smaller of two numbers"),
];

fn rounded(call: &Call<'_>, round: fn(f64) -> f64) -> Outcome {
    match call.number(0)? {
        Number::Int(_) => Ok(call.any(0).clone()),
        Number::Float(number) => {
            // Beyond 128 bits the cast saturates, and the result does not fit 64 bits either.
            let result = whole(round(number) as i128).filter(|_| number.is_finite());
            result.ok_or_else(|| call.fail("the result does not fit 64 bits"))
        }
    }
}

fn max(call: &Call<'_>) -> Outcome {
    picked(call, Ordering::is_ge)
}

fn min(call: &Call<'_>) -> Outcome {
    picked(call, Ordering::is_le)
}

/// The first of two numbers if `is_first` accepts their order, otherwise the second. The result is a float if
/// one of the numbers is a float.
fn picked(call: &Call<'_>, is_first: fn(Ordering) -> bool) -> Outcome {
    let (first, second) = (call.number(0)?, call.number(1)?);
    let picked = if is_first(order::numbers(first, second)) { first } else { second };
    match (first, second, picked) {
        (Number::Int(_), Number::Int(_), Number::Int(number)) => call.whole(number),
        _ => call.finite(picked.float()),
    }
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("std::math::floor", "[42.9]", "42"),
    ("std::math::floor", "[-0.5]", "-1"),
    ("std::math::floor", "[18446744073709551615]", "18446744073709551615"),
    ("std::math::floor", "[1e20]", "error: std::math::floor: the result does not fit 64 bits"),
    ("std::math::floor", r#"["1"]"#, "error: std::math::floor takes a number, not a string"),
    ("std::math::ceil", "[41.1]", "42"),
    ("std::math::ceil", "[-0.5]", "0"),
    ("std::math::ceil", "[-1e19]", "error: std::math::ceil: the result does not fit 64 bits"),
    ("std::math::round", "[41.4]", "41"),
    ("std::math::round", "[-41.5]", "-42"),
    ("std::math::round", "[-9223372036854775808.0]", "-9223372036854775808"),
    ("std::math::round", "[1e300]", "error: std::math::round: the result does not fit 64 bits"),
    ("std::math::trunc", "[41.9]", "41"),
    ("std::math::trunc", "[-41.9]", "-41"),
    ("std::math::trunc", "[1e19]", "10000000000000000000"),
    ("std::math::trunc", "[null]", "error: std::math::trunc takes a number, not null"),
    ("std::math::max", "[41,42]", "42"),
    ("std::math::max", "[9007199254740993,9007199254740992.0]", "9007199254740992.0"),
    ("std::math::max", "[1,1.0]", "1.0"),
    ("std::math::max", "[1.0,1]", "1.0"),
    ("std::math::max", "[41.5,42]", "42.0"),
    ("std::math::max", "[42,41.5]", "42.0"),
    ("std::math::max", "[18446744073709551615,1]", "18446744073709551615"),
    ("std::math::max", "[-0.0,0.0]", "-0.0"),
    (
        "std::math::max",
        r#"[1,"2"]"#,
        "error: std::math::max takes a number as its second argument, not a string",
    ),
    ("std::math::min", "[-1.5,-1]", "-1.5"),
    ("std::math::min", "[1,1.0]", "1.0"),
    ("std::math::min", "[42,42.5]", "42.0"),
    ("std::math::min", "[0.0,-0.0]", "0.0"),
    ("std::math::min", "[18446744073709551615,-9223372036854775808]", "-9223372036854775808"),
    ("std::math::min", "[[],1]", "error: std::math::min takes a number as its first argument, not an array"),
];
