//! The test cases of all modules, and properties of all functions.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::value::limits::{self, Limits};
use towline_event::Origin;

/// Name of the function, arguments as a JSON array, result as JSON or `error: ` with the message.
///
/// A record with the only key `bytes`, a text or an array, stands for a binary. A binary result prints as
/// `binary ` and its bytes.
pub(super) type Case = (&'static str, &'static str, &'static str);

const CASES: [&[Case]; 23] = [
    array::CASES,
    base64::CASES,
    binary::CASES,
    chash::CASES,
    datetime::CASES,
    datetime::OLDER_CASES,
    float::CASES,
    integer::CASES,
    json::CASES,
    math::CASES,
    origin::CASES,
    path::CASES,
    random::CASES,
    range::CASES,
    re::CASES,
    record::CASES,
    size::CASES,
    string::CASES,
    string::FORMAT_CASES,
    system::CASES,
    time::CASES,
    types::CASES,
    url::CASES,
];

static ORIGIN: LazyLock<Origin> =
    LazyLock::new(|| Origin::of_client("[::1]:51334".parse().expect("an address"), 9139));

static CONTEXT: LazyLock<Context<'static>> = LazyLock::new(|| Context {
    now_ns: 1_559_655_783_000_000_000,
    ingest_ns: 1_559_655_782_123_456_789,
    origin: Some(&*ORIGIN),
    size_max: limits::SIZE_MAX,
});

fn call_in(context: &Context<'_>, steps: u32, name: &str, args: &[Value]) -> Outcome {
    let counted = Steps::new(Limits { max_steps: steps, ..Limits::default() });
    let function = function(name).unwrap_or_else(|| panic!("no function {name}"));
    let outcome = function.call(&args.iter().collect::<Vec<_>>(), context, &counted);
    outcome.map_err(|error| {
        let used_up = error == format!("the event took more than {steps} steps");
        if used_up { "out of steps".to_owned() } else { error }
    })
}

pub(super) fn call(name: &str, args: &[Value]) -> Outcome {
    call_in(&CONTEXT, limits::STEPS_MAX, name, args)
}

fn with_binaries(value: Value) -> Value {
    match value {
        Value::Array(items) => Value::array(items.iter().cloned().map(with_binaries).collect()),
        Value::Record(record) if record.len() == 1 && record.contains_key("bytes") => {
            match &record["bytes"] {
                Value::String(text) => Value::Bytes(text.as_bytes().clone()),
                other => call("std::binary::from_bytes", std::slice::from_ref(other)).unwrap(),
            }
        }
        Value::Record(record) => {
            Value::record(record.iter().map(|(k, v)| (k.clone(), with_binaries(v.clone()))))
        }
        other => other,
    }
}

fn run(name: &str, args: &str) -> String {
    let args = Value::from_json(args).unwrap_or_else(|error| panic!("{args}: {error}"));
    let Value::Array(args) = with_binaries(args) else { panic!("{name}: the arguments are an array") };
    match call(name, &args) {
        Ok(Value::Bytes(bytes)) => format!("binary {}", serde_json::to_string(&bytes.to_vec()).unwrap()),
        Ok(value) => value.to_json(),
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn every_case_of_the_tables_holds() {
    let wrong: Vec<String> = CASES
        .iter()
        .copied()
        .flatten()
        .filter_map(|(name, args, expected)| {
            let found = run(name, args);
            (found != *expected).then(|| format!("{name} {args}\n  expected {expected}\n  found    {found}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_function_has_cases_and_an_error_among_them() {
    let mut counts: HashMap<&str, (usize, usize)> = HashMap::new();
    for (name, _, expected) in CASES.iter().copied().flatten() {
        let count = counts.entry(name).or_default();
        count.0 += 1;
        count.1 += usize::from(expected.starts_with("error: "));
    }
    for function in functions() {
        let (cases, errors) = counts.get(function.name).copied().unwrap_or_default();
        // Functions without arguments have no error cases.
        let least = if function.arity == Arity::Exactly(0) { 1 } else { 3 };
        assert!(cases >= least && errors >= 1, "{}: {cases} cases, {errors} errors", function.name);
    }
}

#[test]
fn functions_and_constants_are_found_by_name() {
    let names: Vec<&str> = names::names().collect();
    let distinct: HashSet<&&str> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
    for name in names {
        assert!(function(name).is_some() != constant(name).is_some(), "{name}");
        assert!(name.starts_with("std::") || name.starts_with("tremor::"), "{name}");
    }
    for function in functions() {
        let about = function.about;
        assert!(!about.is_empty() && about.len() < 80 && !about.ends_with('.'), "{}: {about}", function.name);
    }
    assert!(function("std::string::lenn").is_none() && function("len").is_none());
    for (name, listed) in [
        ("core::datetime::today", "std::datetime::today"),
        ("core::array::len", "std::array::len"),
        ("core::origin::host", "tremor::origin::host"),
        ("core::system::hostname", "tremor::system::hostname"),
    ] {
        assert_eq!(function(name).map(|known| known.name), Some(listed));
    }
    assert!(function("core::len").is_none() && function("core::std::array::len").is_none());
    assert_eq!(constant("core::integer::MAX"), Some(Value::Int(i64::MAX)));
}

#[test]
fn constants_have_both_spellings() {
    let table = [
        ("std::integer::MAX", "9223372036854775807"),
        ("std::integer::min", "-9223372036854775808"),
        ("std::integer::signed::max", "9223372036854775807"),
        ("std::integer::signed::MIN", "-9223372036854775808"),
        ("std::integer::unsigned::MAX", "18446744073709551615"),
        ("std::integer::unsigned::min", "0"),
        ("std::time::nanos::NANOS_PER_WEEK", "604800000000000"),
        ("std::time::nanos::nanos_per_second", "1000000000"),
        ("std::datetime::formats::RFC3339", r#""%+""#),
        ("std::datetime::timezones::EUROPE_BERLIN", r#""Europe/Berlin""#),
        ("std::datetime::timezones::ETC_GMT_PLUS_1", r#""Etc/GMT+1""#),
    ];
    for (name, expected) in table {
        assert_eq!(constant(name).map(|value| value.to_json()).as_deref(), Some(expected), "{name}");
    }
    for name in ["std::integer::Max", "std::integer::none", "MAX", "", "std::datetime::EUROPE_BERLIN"] {
        assert!(constant(name).is_none(), "{name}");
    }
}

#[test]
fn date_formats_round_trip() {
    for name in ["RFC3339", "RFC2822", "RFC5322"] {
        let format = constant(&format!("std::datetime::formats::{name}")).unwrap();
        let date = Value::Int(1_559_655_782_000_000_000);
        let text = call("std::datetime::format", &[date.clone(), format.clone()]).unwrap();
        assert_eq!(call("std::datetime::parse", &[text, format]), Ok(date), "{name}");
    }
}

#[test]
fn an_unknown_origin_is_null() {
    let nowhere = Context { origin: None, ..*CONTEXT };
    for function in origin::FUNCTIONS {
        assert_eq!(call_in(&nowhere, 0, function.name, &[]), Ok(Value::Null), "{}", function.name);
    }
}

#[test]
fn random_values_are_in_their_range() {
    let number = |value: Outcome| match value {
        Ok(Value::Float(number)) => number,
        other => panic!("{other:?}"),
    };
    let mut bools = HashSet::new();
    for _ in 0..200 {
        bools.insert(call("std::random::bool", &[]) == Ok(Value::Bool(true)));
        let text = call("std::random::string", &[Value::Int(16)]).unwrap();
        assert!(
            text.as_str()
                .is_some_and(|text| text.len() == 16 && text.bytes().all(|b| b.is_ascii_alphanumeric()))
        );
        let digit = call("std::random::integer", &[Value::Int(-3), Value::Int(3)]);
        assert!(matches!(digit, Ok(Value::Int(-3..=2))), "{digit:?}");
        assert!((0.0..1.0).contains(&number(call("std::random::float", &[]))));
        let wide = [Value::Float(f64::MIN), Value::Float(f64::MAX)];
        assert!((f64::MIN..f64::MAX).contains(&number(call("std::random::float", &wide))));
    }
    assert_eq!(bools.len(), 2);
    assert!(call("tremor::system::hostname", &[]).unwrap().as_str().is_some_and(|name| !name.is_empty()));
}

/// Every call in the table would build a value above the size limit from small arguments.
#[test]
fn no_result_exceeds_the_size_limit() {
    let small = Context { size_max: 1_000, ..*CONTEXT };
    let text = Value::string("ΐ".repeat(200));
    let many = Value::array(vec![text.clone(); 20]);
    let items = Value::array(vec![Value::Null; 20]);
    let record = Value::record((0..20).map(|key| (key.to_string(), Value::Null)));
    let bytes = Value::Bytes(Bytes::from(vec![255; 900]));
    let string = |text: &str| Value::string(text);
    let calls: [(&str, &[&Value]); 20] = [
        ("std::array::push", &[&Value::array(vec![Value::Null; 200]), &text]),
        ("std::array::zip", &[&items, &items]),
        ("std::array::concatenate", &[&items, &items]),
        ("std::array::flatten", &[&Value::array(vec![items.clone(); 5])]),
        ("std::array::join", &[&many, &string(", ")]),
        ("std::base64::encode", &[&bytes]),
        ("std::binary::into_bytes", &[&bytes]),
        ("std::json::decode", &[&string(&"[1,2]".repeat(20))]),
        ("std::json::encode", &[&many]),
        ("std::json::encode_pretty", &[&many]),
        ("std::range::range", &[&Value::Int(0), &Value::Int(100)]),
        ("std::re::replace", &[&string(".+"), &text, &string("$0$0$0")]),
        ("std::re::replace_all", &[&string("."), &text, &string("12345678")]),
        ("std::re::split", &[&string(""), &text]),
        ("std::record::to_array", &[&record]),
        ("std::string::format", &[&string("{}{}{}"), &text, &text, &text]),
        ("std::string::from_utf8_lossy", &[&bytes]),
        ("std::string::replace", &[&text, &string(""), &string("1234")]),
        ("std::string::uppercase", &[&text]),
        ("std::url::encode", &[&text]),
    ];
    for (name, args) in calls {
        let args: Vec<Value> = args.iter().map(|arg| (*arg).clone()).collect();
        let error = format!("{name}: the result would be larger than 1000 bytes");
        assert_eq!(call_in(&small, limits::STEPS_MAX, name, &args), Err(error));
    }
}

/// A function that visits all items of a value spends steps for them.
#[test]
fn long_arguments_take_steps() {
    let text = Value::string("a".repeat(100 * call::BYTES_PER_STEP));
    let items = Value::array(vec![text.clone(); 100]);
    for (name, args) in [
        ("std::string::len", vec![text.clone()]),
        ("std::string::reverse", vec![text.clone()]),
        ("std::url::encode", vec![text.clone()]),
        ("std::json::encode", vec![text.clone()]),
        ("std::array::reverse", vec![items.clone()]),
        ("std::array::contains", vec![items.clone(), Value::Null]),
        ("std::array::sort", vec![items.clone()]),
        ("std::array::flatten", vec![items]),
        ("std::range::range", vec![Value::Int(0), Value::Int(100)]),
        ("std::re::is_match", vec![Value::string("b"), text]),
    ] {
        assert_eq!(call_in(&CONTEXT, 99, name, &args), Err("out of steps".to_owned()), "{name}");
        assert!(call_in(&CONTEXT, 30_000, name, &args).is_ok(), "{name}");
    }
}

// === properties ===

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,12}",
        // Formats, regular expressions, numbers, dates, zones, JSON, percent signs.
        "[%{}$\\\\()\\[\\]*+?|:YmdHMSfzZsQ0-9aé -]{0,16}",
        prop::sample::select(vec![
            "%+",
            "%c",
            "%.9f",
            "%:z",
            "2019-06-04",
            "Europe/Berlin",
            "+02:00",
            "1e999",
            "-0",
            "[[[[",
            "{\"a\":1}",
            "(a+)+$",
            "\\pL{9}",
            "x{99999}",
            "3 days",
            "%ff",
            "\u{390}\u{390}",
            "inf",
            "NaN",
            "timestamp",
        ])
        .prop_map(str::to_owned),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        r"-?[1-9][0-9]{20,30}|1e[1-9][0-9]{3}".prop_map(|text| Value::from_json(&text).expect("a number")),
        (-3..300_i64).prop_map(Value::Int),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::Float),
        prop::sample::select(vec![0.0, -0.0, 0.5, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 1e19])
            .prop_map(Value::Float),
        any_text().prop_map(Value::string),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(|bytes| Value::Bytes(bytes.into())),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::array),
            prop::collection::vec(inner.clone(), 2..=2)
                .prop_map(|pair| Value::array(vec![Value::array(pair)])),
            prop::collection::vec((any_text(), inner.clone()), 0..4).prop_map(Value::record),
            (any::<i64>(), any_text()).prop_map(|(timestamp, zone)| Value::record([
                ("timestamp", Value::Int(timestamp)),
                ("tz", Value::string(zone)),
            ])),
        ]
    })
}

fn is_finite(value: &Value) -> bool {
    match value {
        Value::Float(number) => number.is_finite(),
        Value::Uint(number) => i64::try_from(*number).is_err(),
        Value::Array(items) => items.iter().all(is_finite),
        Value::Record(record) => record.values().all(is_finite),
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// With any number of any arguments: no function panics, no result is a number that JSON cannot
    /// represent, a pure function returns the same result again, and no error message is empty.
    #[test]
    fn no_function_panics_on_any_arguments(args in prop::collection::vec(any_value(), 0..5)) {
        for function in functions() {
            let outcome = call(function.name, &args);
            match &outcome {
                Ok(value) => prop_assert!(is_finite(value), "{}: {value:?}", function.name),
                Err(error) => prop_assert!(error.starts_with(function.name) || error == "out of steps", "{error}"),
            }
            if function.pure {
                prop_assert_eq!(&outcome, &call(function.name, &args), "{}", function.name);
            }
        }
    }

    /// No function panics on the right number of arguments, of which the first is a text.
    #[test]
    fn no_function_panics_on_any_text(text in any_text(), more in prop::collection::vec(any_text(), 2)) {
        let args: Vec<Value> = [text].into_iter().chain(more).map(Value::string).collect();
        for function in functions() {
            for count in 1..=3 {
                if function.arity.takes(count)
                    && let Err(error) = call(function.name, &args[..count])
                {
                    prop_assert!(error.starts_with(function.name) || error == "out of steps", "{error}");
                }
            }
        }
    }

    /// No function panics on the calls of the case tables, with one argument changed.
    #[test]
    fn no_function_panics_on_one_bad_argument(place in 0..3_usize, bad in any_value()) {
        for (name, args, _) in CASES.iter().copied().flatten() {
            let Ok(Value::Array(args)) = Value::from_json(args).map(with_binaries) else { panic!("no array") };
            let mut args = args.to_vec();
            let Some(arg) = args.get_mut(place) else { continue };
            *arg = bad.clone();
            match call(name, &args) {
                Ok(value) => prop_assert!(is_finite(&value), "{name}: {value:?}"),
                Err(error) => prop_assert!(error.starts_with(name) || error == "out of steps", "{error}"),
            }
        }
    }

    /// With few steps and a small size limit, a function fails or is cheap, and does not panic.
    #[test]
    fn no_function_panics_at_any_limit(args in prop::collection::vec(any_value(), 1..4), steps in 0..50_u32, size_max in 0..200_usize) {
        let narrow = Context { size_max, ..*CONTEXT };
        for function in functions() {
            if let Err(error) = call_in(&narrow, steps, function.name, &args) {
                prop_assert!(!error.is_empty());
            }
        }
    }

    #[test]
    fn arrays_sort_without_panic(items in prop::collection::vec(any_value(), 0..60)) {
        let sorted = call("std::array::sort", &[Value::array(items)]).unwrap();
        let Value::Array(sorted) = sorted else { panic!("no array") };
        prop_assert!(sorted.windows(2).all(|pair| order::compare(&pair[0], &pair[1]).is_le()));
    }
}
