//! The functions of `std::datetime`, with their formats and time zones.
//!
//! A date is an integer, nanoseconds since the Unix epoch, or a record `{"timestamp": …, "tz": …}` with a
//! time zone, given by name or as an offset such as `+02:00`. Formats are `strftime` formats, as implemented
//! by chrono.

mod older;
mod zone;

use chrono::{
    DateTime, Datelike, FixedOffset, NaiveDateTime, Timelike, Utc,
    format::{Parsed, StrftimeItems},
};
use chrono_tz::Tz;

use self::zone::Zone;
pub(super) use self::{
    older::FUNCTIONS as OLDER_FUNCTIONS,
    zone::{zone_named, zone_names},
};
use super::{Arity::Exactly, Call, Constant, Function, Outcome, call::shown};
use towline_event::Value;

pub(super) static CONSTANTS: &[Constant] = &[
    Constant { name: "std::datetime::formats::RFC3339", value: || Value::string("%+") },
    Constant { name: "std::datetime::formats::RFC2822", value: || Value::string("%a, %d %b %Y %H:%M:%S %z") },
    Constant { name: "std::datetime::formats::RFC5322", value: || Value::string("%a, %d %b %Y %H:%M:%S %z") },
];

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure(
        "std::datetime::parse",
        Exactly(2),
        parse,
        "a text parsed by a format, as nanoseconds since the Unix epoch",
    ),
    Function::pure("std::datetime::format", Exactly(2), format, "a date formatted as text"),
    Function::pure(
        "std::datetime::rfc3339",
        Exactly(1),
        rfc3339,
        "a date as RFC 3339 text, such as 1970-01-01T00:00:00+00:00",
    ),
    Function::pure(
        "std::datetime::rfc2822",
        Exactly(1),
        rfc2822,
        "a date as RFC 2822 text, such as Thu, 1 Jan 1970 00:00:00 +0000",
    ),
    Function::pure("std::datetime::with_timezone", Exactly(2), with_timezone, "the date in a time zone"),
    Function::pure(
        "std::datetime::year",
        Exactly(1),
        |call| part(call, |local| local.year().into()),
        "the year of a date",
    ),
    Function::pure(
        "std::datetime::month",
        Exactly(1),
        |call| part(call, |local| local.month().into()),
        "the month of a date, from 1",
    ),
    Function::pure(
        "std::datetime::iso_week",
        Exactly(1),
        |call| part(call, |local| local.iso_week().week().into()),
        "the ISO week of a date, from 1",
    ),
    Function::pure(
        "std::datetime::day_of_month",
        Exactly(1),
        |call| part(call, |local| local.day().into()),
        "the day of the month of a date, from 1",
    ),
    Function::pure(
        "std::datetime::day_of_year",
        Exactly(1),
        |call| part(call, |local| local.ordinal().into()),
        "the day of the year of a date, from 1",
    ),
    Function::pure(
        "std::datetime::hour",
        Exactly(1),
        |call| part(call, |local| local.hour().into()),
        "the hour of a date, from 0",
    ),
    Function::pure(
        "std::datetime::minute",
        Exactly(1),
        |call| part(call, |local| local.minute().into()),
        "the minute of a date, from 0",
    ),
    Function::pure(
        "std::datetime::second",
        Exactly(1),
        |call| part(call, |local| local.second().into()),
        "the second of a date, from 0",
    ),
    Function::pure(
        "std::datetime::subsecond_millis",
        Exactly(1),
        |call| part(call, |local| (local.nanosecond() / 1_000_000).into()),
        "the milliseconds of a date within its second",
    ),
    Function::pure(
        "std::datetime::subsecond_micros",
        Exactly(1),
        |call| part(call, |local| (local.nanosecond() / 1_000).into()),
        "the microseconds of a date within its second",
    ),
    Function::pure(
        "std::datetime::subsecond_nanos",
        Exactly(1),
        |call| part(call, |local| local.nanosecond().into()),
        "the nanoseconds of a date within its second",
    ),
];

const NANOS: i128 = 1_000_000_000;

/// A date and its time zone.
enum Moment {
    Named(DateTime<Tz>),
    Fixed(DateTime<FixedOffset>),
}

/// Parses a date. A text without an offset is a date in UTC.
fn parse(call: &Call<'_>) -> Outcome {
    let (text, format) = (call.string(0)?, call.string(1)?);
    call.read(text.len().saturating_add(format.len()))?;
    let read = || {
        let mut parsed = Parsed::new();
        chrono::format::parse(&mut parsed, text, StrftimeItems::new(format))?;
        match parsed.offset() {
            Some(_) => parsed.to_datetime().map(|date| date.to_utc()),
            None => parsed.to_naive_datetime_with_offset(0).map(|date| date.and_utc()),
        }
    };
    let date = read().map_err(|error| {
        call.fail(format_args!("{} is not a date in the format {}: {error}", shown(text), shown(format)))
    })?;
    call.whole(i128::from(date.timestamp()) * NANOS + i128::from(date.timestamp_subsec_nanos()))
}

fn format(call: &Call<'_>) -> Outcome {
    let format = call.string(1)?;
    formatted(call, &moment(call)?, format)
}

fn formatted(call: &Call<'_>, moment: &Moment, format: &str) -> Outcome {
    call.read(format.len())?;
    let items = StrftimeItems::new(format)
        .parse()
        .map_err(|_| call.fail(format_args!("{} is not a date format", shown(format))))?;
    call.walk(items.len())?;
    let mut text = call.text();
    let written = match moment {
        Moment::Named(date) => date.format_with_items(items.iter()).write_to(&mut text),
        Moment::Fixed(date) => date.format_with_items(items.iter()).write_to(&mut text),
    };
    // The format is valid, so only the size limit can fail.
    written.map_err(|_| call.room(usize::MAX).err().unwrap_or_default())?;
    text.finish()
}

fn rfc3339(call: &Call<'_>) -> Outcome {
    Ok(Value::string(match moment(call)? {
        Moment::Named(date) => date.to_rfc3339(),
        Moment::Fixed(date) => date.to_rfc3339(),
    }))
}

fn rfc2822(call: &Call<'_>) -> Outcome {
    Ok(Value::string(match moment(call)? {
        Moment::Named(date) => date.to_rfc2822(),
        Moment::Fixed(date) => date.to_rfc2822(),
    }))
}

fn with_timezone(call: &Call<'_>) -> Outcome {
    let timestamp = timestamp(call)?;
    zone_of(call, 1, call.any(1))?;
    Ok(Value::record([("timestamp", call.whole(timestamp)?), ("tz", call.any(1).clone())]))
}

fn part(call: &Call<'_>, part: fn(NaiveDateTime) -> i64) -> Outcome {
    Ok(Value::Int(part(match moment(call)? {
        Moment::Named(date) => date.naive_local(),
        Moment::Fixed(date) => date.naive_local(),
    })))
}

/// The date in the first argument, with its time zone.
fn moment(call: &Call<'_>) -> Result<Moment, String> {
    let date = utc(timestamp(call)?).ok_or_else(|| call.fail("the date is out of range"))?;
    let zone = match call.any(0).get("tz") {
        None => Zone::UTC,
        Some(zone) => zone_of(call, 0, zone)?,
    };
    Ok(match zone {
        Zone::Named(zone) => Moment::Named(date.with_timezone(&zone)),
        Zone::Fixed(zone) => Moment::Fixed(date.with_timezone(&zone)),
    })
}

/// The date in the first argument, in nanoseconds since the Unix epoch.
fn timestamp(call: &Call<'_>) -> Result<i128, String> {
    let timestamp = match call.any(0) {
        Value::Record(record) => record.get("timestamp"),
        other => Some(other),
    };
    match timestamp {
        Some(Value::Int(nanos)) => Ok(i128::from(*nanos)),
        Some(Value::Uint(nanos)) => Ok(i128::from(*nanos)),
        _ if matches!(call.any(0), Value::Record(_)) => {
            Err(call.fail("the record has no integer `timestamp`"))
        }
        _ => Err(call.wrong(0, "an integer or a record with timestamp and tz")),
    }
}

fn zone_of(call: &Call<'_>, index: usize, value: &Value) -> Result<Zone, String> {
    let wanted = "a time zone by name or as an offset such as +02:00";
    match value.as_str() {
        Some(text) => text.parse().map_err(|()| call.not(index, wanted, &shown(text))),
        None => Err(call.not(index, wanted, &crate::value::describe::article(value))),
    }
}

fn utc(nanos: i128) -> Option<DateTime<Utc>> {
    let seconds = i64::try_from(nanos.div_euclid(NANOS)).ok()?;
    DateTime::from_timestamp(seconds, u32::try_from(nanos.rem_euclid(NANOS)).ok()?)
}

#[cfg(test)]
pub(super) const OLDER_CASES: &[super::tests::Case] = older::CASES;

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    (
        "std::datetime::parse",
        r#"["2019-06-17T13:15:40.752Z","%Y-%m-%dT%H:%M:%S%.3fZ"]"#,
        "1560777340752000000",
    ),
    (
        "std::datetime::parse",
        r#"["1983 Apr 13 12:09:14.274 +0000","%Y %b %d %H:%M:%S%.3f %z"]"#,
        "419083754274000000",
    ),
    (
        "std::datetime::parse",
        r#"["2019-08-07T16:41:12.159975-04:00","%Y-%m-%dT%T%.6f%:z"]"#,
        "1565210472159975000",
    ),
    ("std::datetime::parse", r#"["2022-11-09T14:46:11Z","%+"]"#, "1668005171000000000"),
    ("std::datetime::parse", r#"["2022-11-09 14:46:11.5+01:00","%+"]"#, "1668001571500000000"),
    ("std::datetime::parse", r#"["1560777212","%s"]"#, "1560777212000000000"),
    ("std::datetime::parse", r#"["1969-12-31 23:59:59","%F %T"]"#, "-1000000000"),
    (
        "std::datetime::parse",
        r#"["2019-06-31 00:00:00","%F %T"]"#,
        "error: std::datetime::parse: `2019-06-31 00:00:00` is not a date in the format `%F %T`: input is out of range",
    ),
    (
        "std::datetime::parse",
        r#"["2019-06-30","%F"]"#,
        "error: std::datetime::parse: `2019-06-30` is not a date in the format `%F`: input is not enough for unique date and time",
    ),
    (
        "std::datetime::parse",
        r#"["a","%Q"]"#,
        "error: std::datetime::parse: `a` is not a date in the format `%Q`: bad or unsupported format string",
    ),
    (
        "std::datetime::parse",
        r#"["9999-01-01 00:00:00","%F %T"]"#,
        "error: std::datetime::parse: integer overflow: the result does not fit 64 bits",
    ),
    (
        "std::datetime::parse",
        r#"[1,"%F"]"#,
        "error: std::datetime::parse takes a string as its first argument, not an integer",
    ),
    ("std::datetime::format", r#"[1559655782123567892,"%Y-%m-%d é"]"#, r#""2019-06-04 é""#),
    (
        "std::datetime::format",
        r#"[{"timestamp":123,"tz":"Europe/Berlin"},"%Y-%m-%dT%H:%M:%S%.f%:z %Z"]"#,
        r#""1970-01-01T01:00:00.000000123+01:00 CET""#,
    ),
    (
        "std::datetime::format",
        r#"[{"timestamp":-1,"tz":"-0930"},"%F %T%.9f %z"]"#,
        r#""1969-12-31 14:29:59.999999999 -0930""#,
    ),
    ("std::datetime::format", r#"[18446744073709551615,"%F"]"#, r#""2554-07-21""#),
    ("std::datetime::format", r#"[0,""]"#, r#""""#),
    ("std::datetime::format", r#"[0,"%Q"]"#, "error: std::datetime::format: `%Q` is not a date format"),
    (
        "std::datetime::format",
        r#"[1.5,"%F"]"#,
        "error: std::datetime::format takes an integer or a record with timestamp and tz as its first argument, not a float",
    ),
    (
        "std::datetime::format",
        r#"[{"timestamp":0,"tz":433},"%F"]"#,
        "error: std::datetime::format takes a time zone by name or as an offset such as +02:00 as its first argument, not an integer",
    ),
    ("std::datetime::rfc3339", "[1667997961000000000]", r#""2022-11-09T12:46:01+00:00""#),
    (
        "std::datetime::rfc3339",
        r#"[{"timestamp":1000000,"tz":"America/New_York"}]"#,
        r#""1969-12-31T19:00:00.001-05:00""#,
    ),
    (
        "std::datetime::rfc3339",
        r#"[{"tz":"UTC"}]"#,
        "error: std::datetime::rfc3339: the record has no integer `timestamp`",
    ),
    ("std::datetime::rfc2822", "[0]", r#""Thu, 1 Jan 1970 00:00:00 +0000""#),
    ("std::datetime::rfc2822", r#"[{"timestamp":0,"tz":"+02:00"}]"#, r#""Thu, 1 Jan 1970 02:00:00 +0200""#),
    (
        "std::datetime::rfc2822",
        r#"["now"]"#,
        "error: std::datetime::rfc2822 takes an integer or a record with timestamp and tz, not a string",
    ),
    ("std::datetime::with_timezone", r#"[0,"Europe/Berlin"]"#, r#"{"timestamp":0,"tz":"Europe/Berlin"}"#),
    (
        "std::datetime::with_timezone",
        r#"[{"timestamp":5,"tz":"UTC"},"+02"]"#,
        r#"{"timestamp":5,"tz":"+02"}"#,
    ),
    (
        "std::datetime::with_timezone",
        r#"[0,"Europe/Atlantis"]"#,
        "error: std::datetime::with_timezone takes a time zone by name or as an offset such as +02:00 as its second argument, not `Europe/Atlantis`",
    ),
    (
        "std::datetime::with_timezone",
        r#"["0","UTC"]"#,
        "error: std::datetime::with_timezone takes an integer or a record with timestamp and tz as its first argument, not a string",
    ),
    ("std::datetime::year", "[1555767782123456789]", "2019"),
    ("std::datetime::year", "[-9223372036854775808]", "1677"),
    (
        "std::datetime::year",
        "[null]",
        "error: std::datetime::year takes an integer or a record with timestamp and tz, not null",
    ),
    ("std::datetime::month", "[1555767782123456789]", "4"),
    ("std::datetime::month", "[-1]", "12"),
    (
        "std::datetime::month",
        "[[]]",
        "error: std::datetime::month takes an integer or a record with timestamp and tz, not an array",
    ),
    ("std::datetime::iso_week", "[0]", "1"),
    ("std::datetime::iso_week", "[1555767782123456789]", "16"),
    (
        "std::datetime::iso_week",
        "[true]",
        "error: std::datetime::iso_week takes an integer or a record with timestamp and tz, not a boolean",
    ),
    ("std::datetime::day_of_month", "[1555767782123456789]", "20"),
    ("std::datetime::day_of_month", r#"[{"timestamp":0,"tz":"-01:00"}]"#, "31"),
    (
        "std::datetime::day_of_month",
        "[{}]",
        "error: std::datetime::day_of_month: the record has no integer `timestamp`",
    ),
    ("std::datetime::day_of_year", "[0]", "1"),
    ("std::datetime::day_of_year", "[-1]", "365"),
    ("std::datetime::day_of_year", "[]", "error: std::datetime::day_of_year takes 1 argument, not 0"),
    ("std::datetime::hour", "[1559655782123456789]", "13"),
    ("std::datetime::hour", r#"[{"timestamp":1559655782123456789,"tz":"Europe/Berlin"}]"#, "15"),
    (
        "std::datetime::hour",
        r#"[{"timestamp":0,"tz":""}]"#,
        "error: std::datetime::hour takes a time zone by name or as an offset such as +02:00, not ``",
    ),
    ("std::datetime::minute", "[1559655782123456789]", "43"),
    ("std::datetime::minute", r#"[{"timestamp":0,"tz":"05:45"}]"#, "45"),
    (
        "std::datetime::minute",
        r#"["0"]"#,
        "error: std::datetime::minute takes an integer or a record with timestamp and tz, not a string",
    ),
    ("std::datetime::second", "[1559655782123456789]", "2"),
    ("std::datetime::second", "[-1]", "59"),
    (
        "std::datetime::second",
        "[0.5]",
        "error: std::datetime::second takes an integer or a record with timestamp and tz, not a float",
    ),
    ("std::datetime::subsecond_millis", "[1559655782123456789]", "123"),
    ("std::datetime::subsecond_millis", "[1000000]", "1"),
    (
        "std::datetime::subsecond_millis",
        "[null]",
        "error: std::datetime::subsecond_millis takes an integer or a record with timestamp and tz, not null",
    ),
    ("std::datetime::subsecond_micros", "[1559655782123456789]", "123456"),
    ("std::datetime::subsecond_micros", "[-1]", "999999"),
    (
        "std::datetime::subsecond_micros",
        "[null]",
        "error: std::datetime::subsecond_micros takes an integer or a record with timestamp and tz, not null",
    ),
    ("std::datetime::subsecond_nanos", "[1559655782123456789]", "123456789"),
    ("std::datetime::subsecond_nanos", "[1000000]", "1000000"),
    (
        "std::datetime::subsecond_nanos",
        "[1,2]",
        "error: std::datetime::subsecond_nanos takes 1 argument, not 2",
    ),
];
