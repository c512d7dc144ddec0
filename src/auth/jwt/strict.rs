//! JSON in which each name of an object occurs once (RFC 7515 section 4, RFC 7519 section 4).

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};

use crate::event::{Record, Value, visit_scalars};

/// Parses an object; `None` if the text is not one, or a name occurs twice in one object, at any depth.
pub(super) fn object(text: &str) -> Option<Record> {
    let Strict(value) = serde_json::from_str(text).ok()?;
    match value {
        Value::Record(record) => Some(Arc::unwrap_or_clone(record)),
        _ => None,
    }
}

/// A value without names that occur twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    visit_scalars!(but_floats);

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Value, A::Error> {
        let mut record = Record::new();
        while let Some((name, Strict(value))) = pairs.next_entry::<String, Strict>()? {
            if record.insert(name.into(), value).is_some() {
                return Err(A::Error::custom("a name occurs twice"));
            }
        }
        Ok(Value::Record(Arc::new(record)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_occurs_once_at_any_depth() {
        let deep = format!("{}{}", r#"{"a":["#.repeat(200), "]}".repeat(200));
        for (text, expected) in [
            (r#"{"a": 1, "b": {"a": [1.5, null, true, "x", -1, 18446744073709551615]}}"#, true),
            (r#" {} "#, true),
            (r#"{"a": 1, "a": 1}"#, false),
            (r#"{"a": 1, "\u0061": 2}"#, false),
            (r#"{"a": [{"b": {"c": 1, "c": 2}}]}"#, false),
            ("[]", false),
            ("1", false),
            ("{} {}", false),
            ("{", false),
            ("", false),
            (r#"{"a": 1,}"#, false),
            (r#"{"a": NaN}"#, false),
            (&deep, false),
        ] {
            assert_eq!(object(text).is_some(), expected, "{text}");
            if expected {
                let same = Value::Record(object(text).unwrap().into());
                assert_eq!(same, Value::from_json(text).unwrap());
            }
        }
    }
}
