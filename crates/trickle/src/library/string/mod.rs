//! The functions of `std::string`.
//!
//! Indices and lengths count characters (Unicode scalar values), except in functions whose name says bytes.

mod format;

use super::{
    Arity::{AtLeast, Exactly},
    Call, Function, Outcome,
};
use towline_event::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure(
        "std::string::format",
        AtLeast(1),
        format::format,
        "the text with each {} replaced by the next argument",
    ),
    Function::pure("std::string::is_empty", Exactly(1), is_empty, "whether a string has no characters"),
    Function::pure("std::string::len", Exactly(1), len, "the number of characters of a string"),
    Function::pure("std::string::bytes", Exactly(1), bytes, "the number of bytes of a string in UTF-8"),
    Function::pure(
        "std::string::replace",
        Exactly(3),
        replace,
        "the string with all occurrences of a text replaced",
    ),
    Function::pure(
        "std::string::trim",
        Exactly(1),
        |call| trimmed(call, str::trim),
        "the string without white space at its start and end",
    ),
    Function::pure(
        "std::string::trim_start",
        Exactly(1),
        |call| trimmed(call, str::trim_start),
        "the string without white space at its start",
    ),
    Function::pure(
        "std::string::trim_end",
        Exactly(1),
        |call| trimmed(call, str::trim_end),
        "the string without white space at its end",
    ),
    Function::pure(
        "std::string::substr",
        Exactly(3),
        substr,
        "the characters from the first index up to, but not including, the second",
    ),
    Function::pure(
        "std::string::split",
        Exactly(2),
        split,
        "the parts of a string between separators, as an array",
    ),
    Function::pure("std::string::contains", Exactly(2), contains, "whether a string contains a text"),
    Function::pure(
        "std::string::from_utf8_lossy",
        Exactly(1),
        from_utf8_lossy,
        "a binary as a string, with replacement characters for invalid UTF-8",
    ),
    Function::pure(
        "std::string::into_binary",
        Exactly(1),
        into_binary,
        "the UTF-8 bytes of a string as a binary",
    ),
    Function::pure(
        "std::string::reverse",
        Exactly(1),
        reverse,
        "the string with its characters in reverse order",
    ),
];

/// The functions that change case.
pub(super) static CASE_FUNCTIONS: &[Function] = &[
    Function::pure("std::string::lowercase", Exactly(1), lowercase, "the string in lower case"),
    Function::pure("std::string::uppercase", Exactly(1), uppercase, "the string in upper case"),
    Function::pure(
        "std::string::capitalize",
        Exactly(1),
        capitalize,
        "the string with its first character in upper case",
    ),
];

/// Maximum factor by which a character's bytes grow when its case changes: U+0390 has two bytes, and its
/// upper case is three characters of two bytes each.
const GROWTH_OF_CASE: usize = 3;

/// The first argument. Spends the steps for reading it.
fn subject<'c>(call: &Call<'c>) -> Result<&'c str, String> {
    let text = call.string(0)?;
    call.read(text.len())?;
    Ok(text)
}

fn is_empty(call: &Call<'_>) -> Outcome {
    Ok(Value::Bool(call.string(0)?.is_empty()))
}

fn len(call: &Call<'_>) -> Outcome {
    Ok(Value::from(subject(call)?.chars().count() as u64))
}

fn bytes(call: &Call<'_>) -> Outcome {
    Ok(Value::from(call.string(0)?.len() as u64))
}

/// Replaces all occurrences. An empty search text matches before every character and at the end.
fn replace(call: &Call<'_>) -> Outcome {
    let (text, from, to) = (subject(call)?, call.string(1)?, call.string(2)?);
    let found = text.matches(from).count();
    let size = (text.len() - found * from.len()).saturating_add(found.saturating_mul(to.len()));
    call.room(size)?;
    call.read(size)?;
    Ok(Value::string(text.replace(from, to)))
}

fn trimmed(call: &Call<'_>, trim: fn(&str) -> &str) -> Outcome {
    Ok(Value::string(trim(subject(call)?)))
}

/// The characters in a range. A range beyond the end is empty, and so is one that ends before it starts.
fn substr(call: &Call<'_>) -> Outcome {
    let (text, start, end) = (subject(call)?, call.size(1)?, call.size(2)?);
    let at = |index: usize| text.char_indices().nth(index).map_or(text.len(), |(at, _)| at);
    Ok(Value::string(text.get(at(start)..at(end)).unwrap_or_default()))
}

/// Splits a text at a separator. An empty separator matches before every character and at the end.
fn split(call: &Call<'_>) -> Outcome {
    let (text, separator) = (subject(call)?, call.string(1)?);
    call.build(text.matches(separator).count() + 1)?;
    Ok(Value::array(text.split(separator).map(Value::string).collect()))
}

fn contains(call: &Call<'_>) -> Outcome {
    Ok(Value::Bool(subject(call)?.contains(call.string(1)?)))
}

fn from_utf8_lossy(call: &Call<'_>) -> Outcome {
    let bytes = call.bytes(0)?;
    call.read(bytes.len())?;
    // An invalid byte becomes a replacement character of three bytes.
    let size: usize = bytes
        .utf8_chunks()
        .map(|chunk| chunk.valid().len() + if chunk.invalid().is_empty() { 0 } else { 3 })
        .sum();
    call.room(size)?;
    Ok(Value::string(&*String::from_utf8_lossy(bytes)))
}

fn into_binary(call: &Call<'_>) -> Outcome {
    match call.any(0) {
        Value::String(text) => Ok(Value::Bytes(text.as_bytes().clone())),
        _ => Err(call.wrong(0, "a string")),
    }
}

fn reverse(call: &Call<'_>) -> Outcome {
    Ok(Value::string(subject(call)?.chars().rev().collect::<String>()))
}

fn lowercase(call: &Call<'_>) -> Outcome {
    let text = subject(call)?;
    call.room(text.len().saturating_mul(GROWTH_OF_CASE))
        .or_else(|_| call.room(text.chars().flat_map(char::to_lowercase).map(char::len_utf8).sum()))?;
    Ok(Value::string(text.to_lowercase()))
}

fn uppercase(call: &Call<'_>) -> Outcome {
    let text = subject(call)?;
    call.room(text.len().saturating_mul(GROWTH_OF_CASE))
        .or_else(|_| call.room(text.chars().flat_map(char::to_uppercase).map(char::len_utf8).sum()))?;
    Ok(Value::string(text.to_uppercase()))
}

/// Converts the first character to upper case.
fn capitalize(call: &Call<'_>) -> Outcome {
    let text = subject(call)?;
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return Ok(Value::string("")) };
    call.room(text.len().saturating_add(first.len_utf8() * GROWTH_OF_CASE))?;
    let mut capital: String = first.to_uppercase().collect();
    capital.push_str(chars.as_str());
    Ok(Value::string(capital))
}

#[cfg(test)]
pub(super) const FORMAT_CASES: &[super::tests::Case] = format::CASES;

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("std::string::is_empty", r#"[""]"#, "true"),
    ("std::string::is_empty", r#"[" "]"#, "false"),
    ("std::string::is_empty", "[[]]", "error: std::string::is_empty takes a string, not an array"),
    ("std::string::len", r#"["this is ♥"]"#, "9"),
    ("std::string::len", r#"[""]"#, "0"),
    ("std::string::len", "[1]", "error: std::string::len takes a string, not an integer"),
    ("std::string::bytes", r#"["this is ♥"]"#, "11"),
    ("std::string::bytes", r#"[""]"#, "0"),
    ("std::string::bytes", r#"[{"bytes":"a"}]"#, "error: std::string::bytes takes a string, not a binary"),
    ("std::string::replace", r#"["a test with test","test","cake"]"#, r#""a cake with cake""#),
    ("std::string::replace", r#"["aé","","-"]"#, r#""-a-é-""#),
    ("std::string::replace", r#"["aaa","aa","b"]"#, r#""ba""#),
    (
        "std::string::replace",
        r#"["a","a",null]"#,
        "error: std::string::replace takes a string as its third argument, not null",
    ),
    ("std::string::trim", r#"["\u00a0 a b\t\n"]"#, r#""a b""#),
    ("std::string::trim", r#"["   "]"#, r#""""#),
    ("std::string::trim", "[1]", "error: std::string::trim takes a string, not an integer"),
    ("std::string::trim_start", r#"["  a "]"#, r#""a ""#),
    ("std::string::trim_start", r#"[""]"#, r#""""#),
    ("std::string::trim_start", "[{}]", "error: std::string::trim_start takes a string, not a record"),
    ("std::string::trim_end", r#"["  a "]"#, r#""  a""#),
    ("std::string::trim_end", r#"["\u3000"]"#, r#""""#),
    ("std::string::trim_end", "[1.5]", "error: std::string::trim_end takes a string, not a float"),
    ("std::string::substr", r#"["this is a test",5,7]"#, r#""is""#),
    ("std::string::substr", r#"["♥ utf8",0,1]"#, r#""♥""#),
    ("std::string::substr", r#"["♥ utf8",2,99]"#, r#""utf8""#),
    ("std::string::substr", r#"["abc",3,9]"#, r#""""#),
    ("std::string::substr", r#"["abc",2,1]"#, r#""""#),
    ("std::string::substr", r#"["abc",0,18446744073709551615]"#, r#""abc""#),
    (
        "std::string::substr",
        r#"["abc",-1,1]"#,
        "error: std::string::substr takes a non-negative integer as its second argument, not -1",
    ),
    (
        "std::string::substr",
        r#"["abc",0,1.0]"#,
        "error: std::string::substr takes an integer as its third argument, not a float",
    ),
    ("std::string::split", r#"["this is a"," "]"#, r#"["this","is","a"]"#),
    ("std::string::split", r#"["aé",""]"#, r#"["","a","é",""]"#),
    ("std::string::split", r#"["","x"]"#, r#"[""]"#),
    (
        "std::string::split",
        r#"["a",1]"#,
        "error: std::string::split takes a string as its second argument, not an integer",
    ),
    ("std::string::contains", r#"["snot badger","t b"]"#, "true"),
    ("std::string::contains", r#"["snot","gnot"]"#, "false"),
    ("std::string::contains", r#"["",""]"#, "true"),
    (
        "std::string::contains",
        r#"[["a"],"a"]"#,
        "error: std::string::contains takes a string as its first argument, not an array",
    ),
    ("std::string::from_utf8_lossy", r#"[{"bytes":"é"}]"#, r#""é""#),
    ("std::string::from_utf8_lossy", r#"[{"bytes":[98,240,144,128,255]}]"#, "\"b\u{fffd}\u{fffd}\""),
    (
        "std::string::from_utf8_lossy",
        r#"["é"]"#,
        "error: std::string::from_utf8_lossy takes a binary, not a string",
    ),
    ("std::string::into_binary", r#"["é"]"#, "binary [195,169]"),
    ("std::string::into_binary", r#"[""]"#, "binary []"),
    (
        "std::string::into_binary",
        r#"[{"bytes":"a"}]"#,
        "error: std::string::into_binary takes a string, not a binary",
    ),
    ("std::string::reverse", r#"["badgér"]"#, r#""régdab""#),
    ("std::string::reverse", r#"[""]"#, r#""""#),
    ("std::string::reverse", "[[1]]", "error: std::string::reverse takes a string, not an array"),
    ("std::string::lowercase", r#"["ÀB ß1"]"#, r#""àb ß1""#),
    ("std::string::lowercase", r#"["ΑΣ"]"#, r#""ας""#),
    ("std::string::lowercase", "[1]", "error: std::string::lowercase takes a string, not an integer"),
    ("std::string::uppercase", r#"["straße"]"#, r#""STRASSE""#),
    ("std::string::uppercase", r#"[""]"#, r#""""#),
    ("std::string::uppercase", "[null]", "error: std::string::uppercase takes a string, not null"),
    ("std::string::capitalize", r#"["this IS"]"#, r#""This IS""#),
    ("std::string::capitalize", r#"["ßa"]"#, r#""SSa""#),
    ("std::string::capitalize", r#"[""]"#, r#""""#),
    ("std::string::capitalize", "[true]", "error: std::string::capitalize takes a string, not a boolean"),
];
