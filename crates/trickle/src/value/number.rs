//! Integers and floats in one type, for arithmetic and comparison.

use towline_event::Value;

/// An integer or a float. `Int` covers signed and unsigned 64-bit integers, and the sum of any two of them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    Int(i128),
    Float(f64),
}

/// The value of an integer from -2^63 to 2^64 - 1; `None` outside this range.
pub(crate) fn whole(number: i128) -> Option<Value> {
    i64::try_from(number).map(Value::Int).or_else(|_| u64::try_from(number).map(Value::Uint)).ok()
}

// === impl Number ===

impl Number {
    /// The number in a value; `None` for other kinds and for numbers beyond 64 bits ([`Value::Big`]).
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Int(number) => Some(Self::Int(i128::from(*number))),
            Value::Uint(number) => Some(Self::Int(i128::from(*number))),
            Value::Float(number) => Some(Self::Float(*number)),
            _ => None,
        }
    }

    /// The float nearest to the number.
    pub(crate) fn float(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    /// The number as JSON text.
    pub(crate) fn show(self) -> String {
        match self {
            Self::Int(number) => number.to_string(),
            Self::Float(number) => Value::Float(number).to_json(),
        }
    }
}
