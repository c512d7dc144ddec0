//! The functions of `std::size`.

use super::{Arity::Exactly, Call, Function, Outcome};
use crate::value::number::Number;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("std::size::kiB", Exactly(1), |call| times(call, 1 << 10), "kibibytes converted to bytes"),
    Function::pure("std::size::MiB", Exactly(1), |call| times(call, 1 << 20), "mebibytes converted to bytes"),
    Function::pure("std::size::GiB", Exactly(1), |call| times(call, 1 << 30), "gibibytes converted to bytes"),
    Function::pure("std::size::TiB", Exactly(1), |call| times(call, 1 << 40), "tebibytes converted to bytes"),
    Function::pure("std::size::PiB", Exactly(1), |call| times(call, 1 << 50), "pebibytes converted to bytes"),
    Function::pure("std::size::EiB", Exactly(1), |call| times(call, 1 << 60), "exbibytes converted to bytes"),
];

/// Multiplies the argument by a unit. The result for an integer is an integer.
pub(super) fn times(call: &Call<'_>, unit: i64) -> Outcome {
    match call.number(0)? {
        // The product of two 64-bit numbers fits 128 bits.
        Number::Int(number) => call.whole(number * i128::from(unit)),
        Number::Float(number) => call.finite(number * unit as f64),
    }
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("std::size::kiB", "[10]", "10240"),
    ("std::size::kiB", "[-0.5]", "-512.0"),
    ("std::size::kiB", r#"["1"]"#, "error: std::size::kiB takes a number, not a string"),
    ("std::size::MiB", "[16]", "16777216"),
    ("std::size::MiB", "[0]", "0"),
    ("std::size::MiB", "[1e307]", "error: std::size::MiB: float overflow"),
    ("std::size::GiB", "[1]", "1073741824"),
    ("std::size::GiB", "[17179869183]", "18446744072635809792"),
    (
        "std::size::GiB",
        "[17179869184]",
        "error: std::size::GiB: integer overflow: the result does not fit 64 bits",
    ),
    ("std::size::TiB", "[1]", "1099511627776"),
    ("std::size::TiB", "[1.5]", "1649267441664.0"),
    ("std::size::TiB", "[null]", "error: std::size::TiB takes a number, not null"),
    ("std::size::PiB", "[1]", "1125899906842624"),
    ("std::size::PiB", "[-8192]", "-9223372036854775808"),
    ("std::size::PiB", "[-8193]", "error: std::size::PiB: integer overflow: the result does not fit 64 bits"),
    ("std::size::EiB", "[1]", "1152921504606846976"),
    ("std::size::EiB", "[15]", "17293822569102704640"),
    ("std::size::EiB", "[16]", "error: std::size::EiB: integer overflow: the result does not fit 64 bits"),
];
