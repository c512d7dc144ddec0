//! The functions of `std::json`.

use super::{Arity::Exactly, Call, Function, Outcome};
use towline_event::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("std::json::decode", Exactly(1), decode, "JSON text parsed as a value"),
    Function::pure("std::json::encode", Exactly(1), encode, "a value as JSON text"),
    Function::pure("std::json::encode_pretty", Exactly(1), encode_pretty, "a value as indented JSON text"),
];

/// Parses one JSON document, with the same nesting limit as messages.
fn decode(call: &Call<'_>) -> Outcome {
    let text = call.string(0)?;
    call.read(text.len())?;
    // Estimate the number of values from the punctuation, and take the steps before building them.
    call.build(text.bytes().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count())?;
    Value::from_json(text).map_err(|error| call.fail(format_args!("not JSON: {error}")))
}

fn encode(call: &Call<'_>) -> Outcome {
    let mut text = call.text();
    text.push_json(call.any(0), false)?;
    text.finish()
}

fn encode_pretty(call: &Call<'_>) -> Outcome {
    let mut text = call.text();
    text.push_json(call.any(0), true)?;
    text.finish()
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("std::json::decode", r#"["[1, {\"a\": null}, \"\\u00e9\"]"]"#, r#"[1,{"a":null},"é"]"#),
    ("std::json::decode", r#"["18446744073709551615"]"#, "18446744073709551615"),
    (
        "std::json::decode",
        r#"[""]"#,
        "error: std::json::decode: not JSON: EOF while parsing a value at line 1 column 0",
    ),
    ("std::json::decode", r#"["[1e999, 18446744073709551616]"]"#, "[1e999,18446744073709551616]"),
    ("std::json::decode", "[[1]]", "error: std::json::decode takes a string, not an array"),
    ("std::json::encode", r#"[{"b":[1,2.0,"é\n"],"a":null}]"#, r#""{\"b\":[1,2.0,\"é\\n\"],\"a\":null}""#),
    ("std::json::encode", r#"[{"bytes":"snot"}]"#, r#""\"c25vdA==\"""#),
    ("std::json::encode", r#"["a"]"#, r#""\"a\"""#),
    ("std::json::encode", "[1,2]", "error: std::json::encode takes 1 argument, not 2"),
    ("std::json::encode_pretty", "[[1,2]]", r#""[\n  1,\n  2\n]""#),
    ("std::json::encode_pretty", "[{}]", r#""{}""#),
    ("std::json::encode_pretty", "[]", "error: std::json::encode_pretty takes 1 argument, not 0"),
];
