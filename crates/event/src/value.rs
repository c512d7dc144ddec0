//! Values of the language and of the codecs.

use std::{cmp::Ordering, fmt, sync::Arc};

use bytes::Bytes;
use bytestring::ByteString;
use indexmap::IndexMap;
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

use crate::{BigNumber, json::parse};

/// A record: keys in the order in which they were first written.
pub type Record = IndexMap<ByteString, Value>;

/// A value of the language and of the codecs.
///
/// Cloning is cheap: strings, bytes, arrays and records are shared.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// `null`
    #[default]
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer that fits 64 signed bits.
    Int(i64),
    /// An integer above `i64::MAX`; smaller ones are always [`Value::Int`].
    Uint(u64),
    /// Any other number in the range of floats.
    Float(f64),
    /// A number that fits neither 64 bits nor the range of floats.
    Big(BigNumber),
    /// UTF-8 text.
    String(ByteString),
    /// Bytes, written to JSON as base64 text.
    Bytes(Bytes),
    /// An ordered list.
    Array(Arc<Vec<Value>>),
    /// Keys and values, in order.
    Record(Arc<Record>),
}

// === impl Value ===

impl Value {
    /// The name of the value's type, for error texts.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::Uint(_) => "integer",
            Self::Big(number) if number.is_integer() => "integer",
            Self::Big(_) => "float",
            Self::Float(_) => "float",
            Self::String(_) => "string",
            Self::Bytes(_) => "binary",
            Self::Array(_) => "array",
            Self::Record(_) => "record",
        }
    }

    /// The value's memory in bytes, without `size_of::<Self>()`. A part that several values share counts each
    /// time.
    pub fn size(&self) -> usize {
        /// Size in bytes of a key, its value, and their slot in the table.
        const ENTRY: usize = size_of::<(ByteString, Value)>() + 2 * size_of::<usize>();
        match self {
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Uint(_) | Self::Float(_) => 0,
            Self::Big(number) => number.as_str().len(),
            Self::String(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Array(items) => items.iter().map(|item| size_of::<Self>() + item.size()).sum(),
            Self::Record(record) => record.iter().map(|(key, value)| ENTRY + key.len() + value.size()).sum(),
        }
    }

    /// A string value.
    pub fn string(text: impl Into<ByteString>) -> Self {
        Self::String(text.into())
    }

    /// An array value.
    pub fn array(items: Vec<Value>) -> Self {
        Self::Array(Arc::new(items))
    }

    /// A record value with the given pairs, in their order.
    pub fn record<K: Into<ByteString>>(pairs: impl IntoIterator<Item = (K, Value)>) -> Self {
        let record: Record = pairs.into_iter().map(|(key, value)| (key.into(), value)).collect();
        Self::Record(Arc::new(record))
    }

    /// The value of a key; `None` if this is not a record or lacks the key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Record(record) => record.get(key),
            _ => None,
        }
    }

    /// The text; `None` if this is not a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Parses a JSON document.
    ///
    /// # Errors
    /// The parser's error, with line and column, when `text` is not one JSON document or nests deeper than
    /// 127 levels.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        parse::parse(text)
    }

    /// Compact JSON without a trailing newline. A float that JSON cannot represent becomes `null`.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "null".to_owned())
    }
}

impl PartialEq for Value {
    /// Whether two values are equal. Numbers are equal when their numeric values are: `1 == 1.0`. The order
    /// of a record's keys does not matter.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Uint(a), Self::Uint(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Int(a), Self::Float(b)) | (Self::Float(b), Self::Int(a)) => {
                compare_int_to_float((*a).into(), *b).is_eq()
            }
            (Self::Uint(a), Self::Float(b)) | (Self::Float(b), Self::Uint(a)) => {
                compare_int_to_float((*a).into(), *b).is_eq()
            }
            (Self::Big(a), Self::Big(b)) => a == b,
            (Self::Big(a), Self::Float(b)) | (Self::Float(b), Self::Big(a)) => a.cmp_float(*b).is_eq(),
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Record(a), Self::Record(b)) => a == b,
            _ => false,
        }
    }
}

/// Compares an integer and a float by their exact numeric values.
pub fn compare_int_to_float(int: i128, float: f64) -> Ordering {
    if !float.is_finite() {
        return 0.0_f64.total_cmp(&float);
    }
    // A float beyond 128 bits becomes the nearest `i128`, which compares the same.
    let whole = float.trunc();
    int.cmp(&(whole as i128)).then(0.0_f64.total_cmp(&(float - whole + 0.0)))
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Self::Uint(number), Self::Int)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Uint(number) => serializer.serialize_u64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Big(number) => number.serialize(serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) => serializer.collect_str(&Base64(bytes)),
            Self::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items.iter() {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Self::Record(record) => {
                let mut map = serializer.serialize_map(Some(record.len()))?;
                for (key, value) in record.iter() {
                    map.serialize_entry::<str, _>(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// Standard base64 with padding, written without a buffer.
struct Base64<'a>(&'a Bytes);

impl fmt::Display for Base64<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        base64::display::Base64Display::new(self.0, &base64::engine::general_purpose::STANDARD).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_beyond_i64_round_trip_through_json() {
        let text = r#"[9223372036854775807,9223372036854775808,-1,1.0,1e3]"#;
        let value: Value = Value::from_json(text).unwrap();
        assert_eq!(value.to_json(), "[9223372036854775807,9223372036854775808,-1,1.0,1000.0]");
    }

    /// Values make up records and arrays, so a larger value would make every message larger.
    #[test]
    fn a_value_is_a_string_and_a_tag() {
        assert_eq!(size_of::<Value>(), size_of::<ByteString>() + size_of::<usize>());
    }

    /// Integers above 2^53 that are equal when converted to floats.
    #[test]
    fn different_integers_are_never_equal() {
        let value = |text| Value::from_json(text).unwrap();
        let ids =
            ["9007199254740992", "9007199254740993", "92233720368547758423", "92233720368547758424", "1e400"];
        for (i, a) in ids.iter().enumerate() {
            for (j, b) in ids.iter().enumerate() {
                assert_eq!(value(a) == value(b), i == j, "{a} {b}");
            }
        }
        assert_ne!(value("9007199254740993"), Value::Float(9_007_199_254_740_992.0));
        assert_eq!(value("1"), value("1.0"));
    }

    #[test]
    fn bytes_are_base64_in_json() {
        assert_eq!(Value::Bytes(Bytes::from_static(b"\xff\x00")).to_json(), r#""/wA=""#);
    }
}
