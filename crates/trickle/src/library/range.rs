//! The functions of `std::range`.

use super::{Arity::Exactly, Call, Function, Outcome, order};
use crate::{
    ast::BinaryOp,
    value::{number::whole, ops},
};
use towline_event::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure(
        "std::range::range",
        Exactly(2),
        range,
        "the integers from the first up to, but not including, the second",
    ),
    Function::pure(
        "std::range::contains",
        Exactly(2),
        contains,
        "whether a value is between the first and last element of a sorted array",
    ),
];

fn range(call: &Call<'_>) -> Outcome {
    let (first, end) = (call.integer(0)?, call.integer(1)?);
    call.build(usize::try_from((end - first).max(0)).unwrap_or(usize::MAX))?;
    Ok(Value::array((first..end).filter_map(whole).collect()))
}

/// Whether a value is between the first and the last element of a range, as in Tremor.
fn contains(call: &Call<'_>) -> Outcome {
    let (items, value) = (call.array(0)?, call.any(1));
    let (Some(first), Some(last)) = (items.first(), items.last()) else { return Ok(Value::Bool(false)) };
    for end in [first, last] {
        if !ops::comparable(BinaryOp::Lte, end, value) {
            return Err(call.fail(format_args!(
                "cannot compare {} with {}",
                value.type_name(),
                end.type_name()
            )));
        }
    }
    Ok(Value::Bool(order::compare(first, value).is_le() && order::compare(last, value).is_ge()))
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("std::range::range", "[0,3]", "[0,1,2]"),
    ("std::range::range", "[-2,1]", "[-2,-1,0]"),
    ("std::range::range", "[3,0]", "[]"),
    ("std::range::range", "[18446744073709551614,18446744073709551615]", "[18446744073709551614]"),
    (
        "std::range::range",
        "[9223372036854775806,9223372036854775809]",
        "[9223372036854775806,9223372036854775807,9223372036854775808]",
    ),
    ("std::range::range", "[0,900000]", "error: std::range::range: the result would be larger than 16 MiB"),
    ("std::range::range", "[-9223372036854775808,18446744073709551615]", "error: out of steps"),
    (
        "std::range::range",
        "[0,1.5]",
        "error: std::range::range takes an integer as its second argument, not a float",
    ),
    ("std::range::contains", "[[0,1,2],2]", "true"),
    ("std::range::contains", "[[0,1,2],2.5]", "false"),
    ("std::range::contains", r#"[["a","c"],"b"]"#, "true"),
    ("std::range::contains", "[[],1]", "false"),
    (
        "std::range::contains",
        r#"[[1,2],"a"]"#,
        "error: std::range::contains: cannot compare string with integer",
    ),
    (
        "std::range::contains",
        "[1,1]",
        "error: std::range::contains takes an array as its first argument, not an integer",
    ),
];
