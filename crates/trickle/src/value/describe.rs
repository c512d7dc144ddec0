//! Names of values in error texts.

use towline_event::{BigNumber, Value};

/// The type of a value with its article, for error texts: `a string`, `an integer`, `null`.
pub(crate) fn article(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        _ if matches!(noun(value), "integer" | "array") => format!("an {}", noun(value)),
        _ => format!("a {}", noun(value)),
    }
}

/// The type of a value for error texts: `string`, `boolean`. [`Value::type_name`] is the name in programs.
pub(crate) fn noun(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        other => other.type_name(),
    }
}

/// The error for arithmetic with a number beyond 64 bits, such as
/// `integer overflow: 18446744073709551616 does not fit 64 bits`. A long number is cut.
pub(crate) fn overflow(big: &BigNumber) -> String {
    const SHOWN: usize = 40;
    let text = big.as_str();
    let shown = text.get(..SHOWN).map_or_else(|| text.to_owned(), |head| format!("{head}…"));
    match big.is_integer() {
        true => format!("integer overflow: {shown} does not fit 64 bits"),
        false => format!("float overflow: {shown} is beyond the range of floats"),
    }
}
