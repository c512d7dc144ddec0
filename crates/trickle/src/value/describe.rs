//! Names of values in error texts.

use towline_event::{BigNumber, Value};

/// The kind of a value with its article: `a string`, `an integer`, `null`.
pub(crate) fn article(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        _ if matches!(noun(value), "integer" | "array") => format!("an {}", noun(value)),
        _ => format!("a {}", noun(value)),
    }
}

/// The kind of a value for error texts: `string`, `boolean`. [`Value::type_name`] has the name that programs see.
pub(crate) fn noun(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        other => other.type_name(),
    }
}

/// The error for arithmetic with a number beyond 64 bits: `integer overflow: 18446744073709551616 does not
/// fit 64 bits`. A long number is cut.
pub(crate) fn overflow(big: &BigNumber) -> String {
    const SHOWN: usize = 40;
    let text = big.as_str();
    let shown = text.get(..SHOWN).map_or_else(|| text.to_owned(), |head| format!("{head}…"));
    match big.is_integer() {
        true => format!("integer overflow: {shown} does not fit 64 bits"),
        false => format!("float overflow: {shown} is beyond the range of floats"),
    }
}
