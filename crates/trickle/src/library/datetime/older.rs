//! Functions of `std::datetime` that exist in Tremor 0.11 only: dates without time zones, and durations.

use chrono::{Datelike, Timelike};

use super::{formatted, moment, part, timestamp};
use crate::library::{
    Arity::Exactly,
    Call, Function, Outcome,
    call::shown,
    time::{DAY, HOUR, MICROSECOND, MILLISECOND, MINUTE, SECOND, WEEK},
};

pub(in crate::library) static FUNCTIONS: &[Function] = &[
    Function::pure(
        "std::datetime::iso8601",
        Exactly(1),
        iso8601,
        "a date as ISO 8601 text, such as 1970-01-01T00:00:00.000000000+00:00",
    ),
    Function::pure(
        "std::datetime::day",
        Exactly(1),
        |call| part(call, |local| local.day().into()),
        "the day of the month of a date, from 1",
    ),
    Function::pure(
        "std::datetime::millisecond",
        Exactly(1),
        |call| part(call, |local| (local.nanosecond() / 1_000_000).into()),
        "the milliseconds of a date within its second",
    ),
    Function::pure(
        "std::datetime::microsecond",
        Exactly(1),
        |call| part(call, |local| (local.nanosecond() / 1_000 % 1_000).into()),
        "the microseconds of a date within its millisecond",
    ),
    Function::pure(
        "std::datetime::nanosecond",
        Exactly(1),
        |call| part(call, |local| (local.nanosecond() % 1_000).into()),
        "the nanoseconds of a date within its microsecond",
    ),
    Function::pure(
        "std::datetime::subsecond",
        Exactly(1),
        |call| part(call, |local| local.nanosecond().into()),
        "the nanoseconds of a date within its second",
    ),
    Function::impure("std::datetime::today", Exactly(0), today, "the last midnight in UTC"),
    Function::pure(
        "std::datetime::to_nearest_microsecond",
        Exactly(1),
        |call| nearest(call, MICROSECOND),
        "a date rounded to microseconds",
    ),
    Function::pure(
        "std::datetime::to_nearest_millisecond",
        Exactly(1),
        |call| nearest(call, MILLISECOND),
        "a date rounded to milliseconds",
    ),
    Function::pure(
        "std::datetime::to_nearest_second",
        Exactly(1),
        |call| nearest(call, SECOND),
        "a date rounded to seconds",
    ),
    Function::pure(
        "std::datetime::without_subseconds",
        Exactly(1),
        without_subseconds,
        "a date in whole seconds since the Unix epoch",
    ),
    Function::pure(
        "std::datetime::from_human_format",
        Exactly(1),
        from_human_format,
        "a duration such as `3 days 5 minutes` in nanoseconds",
    ),
    Function::pure(
        "std::datetime::with_nanoseconds",
        Exactly(1),
        |call| length(call, 1),
        "a number of nanoseconds, unchanged",
    ),
    Function::pure(
        "std::datetime::with_microseconds",
        Exactly(1),
        |call| length(call, MICROSECOND),
        "microseconds converted to nanoseconds",
    ),
    Function::pure(
        "std::datetime::with_milliseconds",
        Exactly(1),
        |call| length(call, MILLISECOND),
        "milliseconds converted to nanoseconds",
    ),
    Function::pure(
        "std::datetime::with_seconds",
        Exactly(1),
        |call| length(call, SECOND),
        "seconds converted to nanoseconds",
    ),
    Function::pure(
        "std::datetime::with_minutes",
        Exactly(1),
        |call| length(call, MINUTE),
        "minutes converted to nanoseconds",
    ),
    Function::pure(
        "std::datetime::with_hours",
        Exactly(1),
        |call| length(call, HOUR),
        "hours converted to nanoseconds",
    ),
    Function::pure(
        "std::datetime::with_days",
        Exactly(1),
        |call| length(call, DAY),
        "days converted to nanoseconds",
    ),
    Function::pure(
        "std::datetime::with_weeks",
        Exactly(1),
        |call| length(call, WEEK),
        "weeks converted to nanoseconds",
    ),
    Function::pure(
        "std::datetime::with_years",
        Exactly(1),
        with_years,
        "years converted to nanoseconds; every fourth year has 366 days",
    ),
];

fn iso8601(call: &Call<'_>) -> Outcome {
    formatted(call, &moment(call)?, "%Y-%m-%dT%H:%M:%S%.9f%:z")
}

fn today(call: &Call<'_>) -> Outcome {
    let now = i128::from(call.context.now_ns);
    call.whole(now - now % i128::from(DAY))
}

/// Rounds a time to a unit, in nanoseconds. Half a unit is rounded up.
fn nearest(call: &Call<'_>, unit: i64) -> Outcome {
    let unit = i128::from(unit);
    call.whole((timestamp(call)? + unit / 2).div_euclid(unit) * unit)
}

fn without_subseconds(call: &Call<'_>) -> Outcome {
    call.whole(timestamp(call)?.div_euclid(i128::from(SECOND)))
}

fn length(call: &Call<'_>, unit: i64) -> Outcome {
    call.whole(count(call)? * i128::from(unit))
}

fn with_years(call: &Call<'_>) -> Outcome {
    call.whole(years(count(call)?))
}

fn years(count: i128) -> i128 {
    (count * 365 + count / 4) * i128::from(DAY)
}

fn count(call: &Call<'_>) -> Result<i128, String> {
    match call.integer(0)? {
        negative if negative < 0 => Err(call.not(0, "a non-negative integer", &negative)),
        count => Ok(count),
    }
}

/// Adds up pairs of a number and a unit, separated by spaces.
fn from_human_format(call: &Call<'_>) -> Outcome {
    let text = call.string(0)?;
    call.read(text.len())?;
    let sum = lengths(text);
    let sum = sum.ok_or_else(|| {
        call.fail(format_args!("{} is not a duration such as `3 days 5 minutes`", shown(text)))
    })?;
    call.whole(sum)
}

fn lengths(text: &str) -> Option<i128> {
    let mut words = text.split_ascii_whitespace().peekable();
    words.peek()?;
    let mut sum: i128 = 0;
    while let Some(number) = words.next() {
        let number = i128::from(number.parse::<u32>().ok()?);
        // Each pair is below 2^80, and a text cannot have 2^40 pairs, so the sum does not overflow.
        sum += match words.next()? {
            "year" | "years" => years(number),
            unit => number * i128::from(unit_named(unit)?),
        };
    }
    Some(sum)
}

fn unit_named(name: &str) -> Option<i64> {
    Some(match name.strip_suffix('s').unwrap_or(name) {
        "week" => WEEK,
        "day" => DAY,
        "hour" => HOUR,
        "minute" => MINUTE,
        "second" => SECOND,
        "millisecond" => MILLISECOND,
        "microsecond" => MICROSECOND,
        "nanosecond" => 1,
        _ => return None,
    })
}

#[cfg(test)]
pub(super) const CASES: &[crate::library::tests::Case] = &[
    ("std::datetime::iso8601", "[1559655782123456789]", r#""2019-06-04T13:43:02.123456789+00:00""#),
    ("std::datetime::iso8601", "[0]", r#""1970-01-01T00:00:00.000000000+00:00""#),
    (
        "std::datetime::iso8601",
        "[null]",
        "error: std::datetime::iso8601 takes an integer or a record with timestamp and tz, not null",
    ),
    ("std::datetime::day", "[1555767782123456789]", "20"),
    ("std::datetime::day", "[-1]", "31"),
    (
        "std::datetime::day",
        r#"["1"]"#,
        "error: std::datetime::day takes an integer or a record with timestamp and tz, not a string",
    ),
    ("std::datetime::millisecond", "[1559655782123456789]", "123"),
    ("std::datetime::millisecond", "[0]", "0"),
    (
        "std::datetime::millisecond",
        "[1.5]",
        "error: std::datetime::millisecond takes an integer or a record with timestamp and tz, not a float",
    ),
    ("std::datetime::microsecond", "[1559655782123456789]", "456"),
    ("std::datetime::microsecond", "[-1]", "999"),
    ("std::datetime::microsecond", "[]", "error: std::datetime::microsecond takes 1 argument, not 0"),
    ("std::datetime::nanosecond", "[1559655782123456789]", "789"),
    ("std::datetime::nanosecond", "[1000]", "0"),
    (
        "std::datetime::nanosecond",
        "[{}]",
        "error: std::datetime::nanosecond: the record has no integer `timestamp`",
    ),
    ("std::datetime::subsecond", "[1559655782123456789]", "123456789"),
    ("std::datetime::subsecond", "[1000000000]", "0"),
    (
        "std::datetime::subsecond",
        "[[]]",
        "error: std::datetime::subsecond takes an integer or a record with timestamp and tz, not an array",
    ),
    ("std::datetime::today", "[]", "1559606400000000000"),
    ("std::datetime::today", "[0]", "error: std::datetime::today takes no arguments, not 1"),
    ("std::datetime::to_nearest_microsecond", "[1559655782123456789]", "1559655782123457000"),
    ("std::datetime::to_nearest_microsecond", "[123456123]", "123456000"),
    (
        "std::datetime::to_nearest_microsecond",
        "[null]",
        "error: std::datetime::to_nearest_microsecond takes an integer or a record with timestamp and tz, not null",
    ),
    ("std::datetime::to_nearest_millisecond", "[123789654]", "124000000"),
    ("std::datetime::to_nearest_millisecond", "[999999999]", "1000000000"),
    (
        "std::datetime::to_nearest_millisecond",
        "[18446744073709551615]",
        "error: std::datetime::to_nearest_millisecond: integer overflow: the result does not fit 64 bits",
    ),
    ("std::datetime::to_nearest_second", "[1559655782123456789]", "1559655782000000000"),
    ("std::datetime::to_nearest_second", "[500000000]", "1000000000"),
    (
        "std::datetime::to_nearest_second",
        "[-9223372036854775808]",
        "error: std::datetime::to_nearest_second: integer overflow: the result does not fit 64 bits",
    ),
    ("std::datetime::without_subseconds", "[1559655782123456789]", "1559655782"),
    ("std::datetime::without_subseconds", "[-1]", "-1"),
    (
        "std::datetime::without_subseconds",
        r#"[""]"#,
        "error: std::datetime::without_subseconds takes an integer or a record with timestamp and tz, not a string",
    ),
    ("std::datetime::from_human_format", r#"["21 days 3 minutes 5 seconds"]"#, "1814585000000000"),
    ("std::datetime::from_human_format", r#"["1 year 1 week 2 hours"]"#, "32148000000000000"),
    (
        "std::datetime::from_human_format",
        r#"["4 years 1 millisecond 1 microsecond 1 nanosecond"]"#,
        "126230400001001001",
    ),
    (
        "std::datetime::from_human_format",
        r#"["3"]"#,
        "error: std::datetime::from_human_format: `3` is not a duration such as `3 days 5 minutes`",
    ),
    (
        "std::datetime::from_human_format",
        r#"[""]"#,
        "error: std::datetime::from_human_format: `` is not a duration such as `3 days 5 minutes`",
    ),
    (
        "std::datetime::from_human_format",
        r#"["-3 days"]"#,
        "error: std::datetime::from_human_format: `-3 days` is not a duration such as `3 days 5 minutes`",
    ),
    (
        "std::datetime::from_human_format",
        r#"["4294967295 years"]"#,
        "error: std::datetime::from_human_format: integer overflow: the result does not fit 64 bits",
    ),
    ("std::datetime::with_nanoseconds", "[7]", "7"),
    ("std::datetime::with_nanoseconds", "[18446744073709551615]", "18446744073709551615"),
    (
        "std::datetime::with_nanoseconds",
        "[-1]",
        "error: std::datetime::with_nanoseconds takes a non-negative integer, not -1",
    ),
    ("std::datetime::with_microseconds", "[5000000]", "5000000000"),
    ("std::datetime::with_microseconds", "[0]", "0"),
    (
        "std::datetime::with_microseconds",
        "[1.0]",
        "error: std::datetime::with_microseconds takes an integer, not a float",
    ),
    ("std::datetime::with_milliseconds", "[5000]", "5000000000"),
    ("std::datetime::with_milliseconds", "[0]", "0"),
    (
        "std::datetime::with_milliseconds",
        r#"["1"]"#,
        "error: std::datetime::with_milliseconds takes an integer, not a string",
    ),
    ("std::datetime::with_seconds", "[2]", "2000000000"),
    ("std::datetime::with_seconds", "[0]", "0"),
    (
        "std::datetime::with_seconds",
        "[null]",
        "error: std::datetime::with_seconds takes an integer, not null",
    ),
    ("std::datetime::with_minutes", "[1]", "60000000000"),
    ("std::datetime::with_minutes", "[90]", "5400000000000"),
    (
        "std::datetime::with_minutes",
        "[9223372036854775807]",
        "error: std::datetime::with_minutes: integer overflow: the result does not fit 64 bits",
    ),
    ("std::datetime::with_hours", "[1]", "3600000000000"),
    ("std::datetime::with_hours", "[25]", "90000000000000"),
    ("std::datetime::with_hours", "[[]]", "error: std::datetime::with_hours takes an integer, not an array"),
    ("std::datetime::with_days", "[1]", "86400000000000"),
    ("std::datetime::with_days", "[213503]", "18446659200000000000"),
    (
        "std::datetime::with_days",
        "[213504]",
        "error: std::datetime::with_days: integer overflow: the result does not fit 64 bits",
    ),
    ("std::datetime::with_weeks", "[1]", "604800000000000"),
    ("std::datetime::with_weeks", "[0]", "0"),
    (
        "std::datetime::with_weeks",
        "[-1]",
        "error: std::datetime::with_weeks takes a non-negative integer, not -1",
    ),
    ("std::datetime::with_years", "[1]", "31536000000000000"),
    ("std::datetime::with_years", "[4]", "126230400000000000"),
    (
        "std::datetime::with_years",
        "[18446744073709551615]",
        "error: std::datetime::with_years: integer overflow: the result does not fit 64 bits",
    ),
];
