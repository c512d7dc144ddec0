//! The functions of `std::time::nanos`: conversions between nanoseconds and other units.
//!
//! As everywhere in the language, division yields a float: `to_seconds(1500000000)` is 1.5. The documentation
//! of Tremor promises an integer, but its library divides too.

use super::{Arity::Exactly, Call, Constant, Function, Outcome, size::times};
use towline_event::Value;

pub(super) const MICROSECOND: i64 = 1_000;
pub(super) const MILLISECOND: i64 = 1_000 * MICROSECOND;
pub(super) const SECOND: i64 = 1_000 * MILLISECOND;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;
pub(super) const WEEK: i64 = 7 * DAY;

pub(super) static CONSTANTS: &[Constant] = &[
    Constant { name: "std::time::nanos::NANOS_PER_MICROSECOND", value: || Value::Int(MICROSECOND) },
    Constant { name: "std::time::nanos::NANOS_PER_MILLISECOND", value: || Value::Int(MILLISECOND) },
    Constant { name: "std::time::nanos::NANOS_PER_SECOND", value: || Value::Int(SECOND) },
    Constant { name: "std::time::nanos::NANOS_PER_MINUTE", value: || Value::Int(MINUTE) },
    Constant { name: "std::time::nanos::NANOS_PER_HOUR", value: || Value::Int(HOUR) },
    Constant { name: "std::time::nanos::NANOS_PER_DAY", value: || Value::Int(DAY) },
    Constant { name: "std::time::nanos::NANOS_PER_WEEK", value: || Value::Int(WEEK) },
];

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure(
        "std::time::nanos::from_micros",
        Exactly(1),
        |call| times(call, MICROSECOND),
        "microseconds converted to nanoseconds",
    ),
    Function::pure(
        "std::time::nanos::from_millis",
        Exactly(1),
        |call| times(call, MILLISECOND),
        "milliseconds converted to nanoseconds",
    ),
    Function::pure(
        "std::time::nanos::from_seconds",
        Exactly(1),
        |call| times(call, SECOND),
        "seconds converted to nanoseconds",
    ),
    Function::pure(
        "std::time::nanos::from_minutes",
        Exactly(1),
        |call| times(call, MINUTE),
        "minutes converted to nanoseconds",
    ),
    Function::pure(
        "std::time::nanos::from_hours",
        Exactly(1),
        |call| times(call, HOUR),
        "hours converted to nanoseconds",
    ),
    Function::pure(
        "std::time::nanos::from_days",
        Exactly(1),
        |call| times(call, DAY),
        "days converted to nanoseconds",
    ),
    Function::pure(
        "std::time::nanos::from_weeks",
        Exactly(1),
        |call| times(call, WEEK),
        "weeks converted to nanoseconds",
    ),
    Function::pure(
        "std::time::nanos::to_micros",
        Exactly(1),
        |call| over(call, MICROSECOND),
        "nanoseconds converted to microseconds, as a float",
    ),
    Function::pure(
        "std::time::nanos::to_millis",
        Exactly(1),
        |call| over(call, MILLISECOND),
        "nanoseconds converted to milliseconds, as a float",
    ),
    Function::pure(
        "std::time::nanos::to_seconds",
        Exactly(1),
        |call| over(call, SECOND),
        "nanoseconds converted to seconds, as a float",
    ),
    Function::pure(
        "std::time::nanos::to_minutes",
        Exactly(1),
        |call| over(call, MINUTE),
        "nanoseconds converted to minutes, as a float",
    ),
    Function::pure(
        "std::time::nanos::to_hours",
        Exactly(1),
        |call| over(call, HOUR),
        "nanoseconds converted to hours, as a float",
    ),
    Function::pure(
        "std::time::nanos::to_days",
        Exactly(1),
        |call| over(call, DAY),
        "nanoseconds converted to days, as a float",
    ),
    Function::pure(
        "std::time::nanos::to_weeks",
        Exactly(1),
        |call| over(call, WEEK),
        "nanoseconds converted to weeks, as a float",
    ),
    Function::pure(
        "std::time::nanos::truncate_micros",
        Exactly(1),
        |call| truncated(call, MICROSECOND),
        "nanoseconds truncated to whole microseconds",
    ),
    Function::pure(
        "std::time::nanos::truncate_millis",
        Exactly(1),
        |call| truncated(call, MILLISECOND),
        "nanoseconds truncated to whole milliseconds",
    ),
    Function::pure(
        "std::time::nanos::truncate_seconds",
        Exactly(1),
        |call| truncated(call, SECOND),
        "nanoseconds truncated to whole seconds",
    ),
    Function::pure(
        "std::time::nanos::truncate_minutes",
        Exactly(1),
        |call| truncated(call, MINUTE),
        "nanoseconds truncated to whole minutes",
    ),
    Function::pure(
        "std::time::nanos::truncate_hours",
        Exactly(1),
        |call| truncated(call, HOUR),
        "nanoseconds truncated to whole hours",
    ),
    Function::pure(
        "std::time::nanos::truncate_days",
        Exactly(1),
        |call| truncated(call, DAY),
        "nanoseconds truncated to whole days",
    ),
];

fn over(call: &Call<'_>, unit: i64) -> Outcome {
    call.finite(call.number(0)?.float() / unit as f64)
}

/// Truncates nanoseconds to whole units. A negative time is truncated by one more unit, as in Tremor.
fn truncated(call: &Call<'_>, unit: i64) -> Outcome {
    let (nanos, unit) = (call.integer(0)?, i128::from(unit));
    let one_more = if nanos < 0 { unit } else { 0 };
    call.whole(nanos - nanos % unit - one_more)
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("std::time::nanos::from_micros", "[1]", "1000"),
    ("std::time::nanos::from_micros", "[1.5]", "1500.0"),
    (
        "std::time::nanos::from_micros",
        r#"["1"]"#,
        "error: std::time::nanos::from_micros takes a number, not a string",
    ),
    ("std::time::nanos::from_millis", "[1]", "1000000"),
    ("std::time::nanos::from_millis", "[-1]", "-1000000"),
    (
        "std::time::nanos::from_millis",
        "[null]",
        "error: std::time::nanos::from_millis takes a number, not null",
    ),
    ("std::time::nanos::from_seconds", "[1]", "1000000000"),
    ("std::time::nanos::from_seconds", "[0]", "0"),
    (
        "std::time::nanos::from_seconds",
        "[18446744074]",
        "error: std::time::nanos::from_seconds: integer overflow: the result does not fit 64 bits",
    ),
    ("std::time::nanos::from_minutes", "[1]", "60000000000"),
    ("std::time::nanos::from_minutes", "[0.5]", "30000000000.0"),
    ("std::time::nanos::from_minutes", "[1e300]", "error: std::time::nanos::from_minutes: float overflow"),
    ("std::time::nanos::from_hours", "[1]", "3600000000000"),
    ("std::time::nanos::from_hours", "[24]", "86400000000000"),
    ("std::time::nanos::from_hours", "[]", "error: std::time::nanos::from_hours takes 1 argument, not 0"),
    ("std::time::nanos::from_days", "[1]", "86400000000000"),
    ("std::time::nanos::from_days", "[-106751]", "-9223286400000000000"),
    (
        "std::time::nanos::from_days",
        "[-106752]",
        "error: std::time::nanos::from_days: integer overflow: the result does not fit 64 bits",
    ),
    ("std::time::nanos::from_weeks", "[1]", "604800000000000"),
    ("std::time::nanos::from_weeks", "[30500]", "18446400000000000000"),
    (
        "std::time::nanos::from_weeks",
        "[30501]",
        "error: std::time::nanos::from_weeks: integer overflow: the result does not fit 64 bits",
    ),
    ("std::time::nanos::to_micros", "[1500]", "1.5"),
    ("std::time::nanos::to_micros", "[0]", "0.0"),
    (
        "std::time::nanos::to_micros",
        "[[]]",
        "error: std::time::nanos::to_micros takes a number, not an array",
    ),
    ("std::time::nanos::to_millis", "[2000000]", "2.0"),
    ("std::time::nanos::to_millis", "[-1000000]", "-1.0"),
    (
        "std::time::nanos::to_millis",
        "[{}]",
        "error: std::time::nanos::to_millis takes a number, not a record",
    ),
    ("std::time::nanos::to_seconds", "[1500000000]", "1.5"),
    ("std::time::nanos::to_seconds", "[1.5]", "1.5e-9"),
    (
        "std::time::nanos::to_seconds",
        "[true]",
        "error: std::time::nanos::to_seconds takes a number, not a boolean",
    ),
    ("std::time::nanos::to_minutes", "[90000000000]", "1.5"),
    ("std::time::nanos::to_minutes", "[60000000000]", "1.0"),
    ("std::time::nanos::to_minutes", "[1,2]", "error: std::time::nanos::to_minutes takes 1 argument, not 2"),
    ("std::time::nanos::to_hours", "[1800000000000]", "0.5"),
    ("std::time::nanos::to_hours", "[-3600000000000]", "-1.0"),
    (
        "std::time::nanos::to_hours",
        r#"[""]"#,
        "error: std::time::nanos::to_hours takes a number, not a string",
    ),
    ("std::time::nanos::to_days", "[86400000000000]", "1.0"),
    ("std::time::nanos::to_days", "[43200000000000]", "0.5"),
    (
        "std::time::nanos::to_days",
        r#"[{"bytes":""}]"#,
        "error: std::time::nanos::to_days takes a number, not a binary",
    ),
    ("std::time::nanos::to_weeks", "[604800000000000]", "1.0"),
    ("std::time::nanos::to_weeks", "[0]", "0.0"),
    ("std::time::nanos::to_weeks", "[null]", "error: std::time::nanos::to_weeks takes a number, not null"),
    ("std::time::nanos::truncate_micros", "[9999]", "9000"),
    ("std::time::nanos::truncate_micros", "[0]", "0"),
    (
        "std::time::nanos::truncate_micros",
        "[1.5]",
        "error: std::time::nanos::truncate_micros takes an integer, not a float",
    ),
    ("std::time::nanos::truncate_millis", "[9999999]", "9000000"),
    ("std::time::nanos::truncate_millis", "[-1]", "-1000000"),
    (
        "std::time::nanos::truncate_millis",
        r#"["a"]"#,
        "error: std::time::nanos::truncate_millis takes an integer, not a string",
    ),
    ("std::time::nanos::truncate_seconds", "[9999999999]", "9000000000"),
    ("std::time::nanos::truncate_seconds", "[-1000000001]", "-2000000000"),
    (
        "std::time::nanos::truncate_seconds",
        "[null]",
        "error: std::time::nanos::truncate_seconds takes an integer, not null",
    ),
    ("std::time::nanos::truncate_minutes", "[69999999999]", "60000000000"),
    ("std::time::nanos::truncate_minutes", "[60000000000]", "60000000000"),
    (
        "std::time::nanos::truncate_minutes",
        "[{}]",
        "error: std::time::nanos::truncate_minutes takes an integer, not a record",
    ),
    ("std::time::nanos::truncate_hours", "[-3]", "-3600000000000"),
    ("std::time::nanos::truncate_hours", "[-3600000000000]", "-7200000000000"),
    (
        "std::time::nanos::truncate_hours",
        "[]",
        "error: std::time::nanos::truncate_hours takes 1 argument, not 0",
    ),
    ("std::time::nanos::truncate_days", "[86499999999999]", "86400000000000"),
    ("std::time::nanos::truncate_days", "[18446744073709551615]", "18446659200000000000"),
    (
        "std::time::nanos::truncate_days",
        "[-9223372036854775808]",
        "error: std::time::nanos::truncate_days: integer overflow: the result does not fit 64 bits",
    ),
];
