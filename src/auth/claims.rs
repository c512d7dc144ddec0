//! The claims of a client, and the claims that a route requires.

use std::borrow::Cow;

use crate::event::{Record, Value};

/// Maximum size of all claims of a client, in bytes of JSON. Tokens with more do not fit into a request's head.
pub const CLAIMS_MAX: usize = 16 * 1024;

/// Claims that are lists in one text, separated by spaces (RFC 8693 section 4.2, RFC 9068 section 2.2.3).
const LISTS: [&str; 2] = ["scope", "scp"];

/// A claim, and its accepted values, of which a client must have one.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    /// The name of the claim, as for [`claim`].
    pub claim: String,
    /// The values; texts, numbers or flags.
    pub values: Box<[Value]>,
}

/// The value of a claim: of the claim with that name, or else of the path that the name spells with dots.
/// `realm_access.roles` is `roles` of the claim `realm_access`. Null counts as no value.
pub fn claim<'a>(claims: &'a Record, name: &str) -> Option<&'a Value> {
    let found = claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |value, key| value.get(key))
    });
    found.filter(|value| !matches!(value, Value::Null))
}

/// A claim's value as a text: a text unchanged, and anything else as JSON.
///
/// # Security
/// An array is not joined by commas, because one of its items could contain a comma.
pub fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_json()),
    }
}

// === impl Requirement ===

impl Requirement {
    /// Whether the claims have one of the values: as the claim itself, as an item of an array, or as a word of a scope.
    ///
    /// ```
    /// # use towline::{auth::Requirement, event::Value};
    /// let required = Requirement { claim: "scope".to_owned(), values: [Value::string("read")].into() };
    /// let claims = |text| match Value::from_json(text) { Ok(Value::Record(claims)) => claims, _ => panic!() };
    /// assert!(required.is_met(&claims(r#"{"scope": "read write"}"#)));
    /// assert!(required.is_met(&claims(r#"{"scope": ["write", "read"]}"#)));
    /// assert!(!required.is_met(&claims(r#"{"scope": "reader"}"#)));
    /// ```
    pub fn is_met(&self, claims: &Record) -> bool {
        match claim(claims, &self.claim) {
            None => false,
            Some(Value::Array(items)) => items.iter().any(|item| self.allows(item)),
            Some(Value::String(words)) if LISTS.contains(&&*self.claim) => {
                words.split(' ').any(|word| self.values.iter().any(|value| value.as_str() == Some(word)))
            }
            Some(value) => self.allows(value),
        }
    }

    fn allows(&self, value: &Value) -> bool {
        self.values.contains(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> std::sync::Arc<Record> {
        match Value::from_json(text) {
            Ok(Value::Record(record)) => record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_name_is_a_claim_or_a_path() {
        let claims =
            record(r#"{"a": {"b": {"c": 1}}, "a.b": 2, "https://x.test/id": 3, "none": null, "": 4}"#);
        for (name, expected) in [
            ("a.b", Some(2)),
            ("a.b.c", Some(1)),
            ("https://x.test/id", Some(3)),
            ("none", None),
            ("a.x", None),
            ("a.b.c.d", None),
            ("x", None),
            ("", Some(4)),
            (".", None),
        ] {
            assert_eq!(claim(&claims, name), expected.map(Value::Int).as_ref(), "{name}");
        }
    }

    #[test]
    fn a_requirement_is_met_by_one_of_its_values() {
        for (name, values, claims, expected) in [
            ("role", r#"["a", "b"]"#, r#"{"role": "b"}"#, true),
            ("role", r#"["a", "b"]"#, r#"{"role": ["x", "a"]}"#, true),
            ("role", r#"["a"]"#, r#"{"role": "A"}"#, false),
            ("role", r#"["a"]"#, r#"{"role": "a b"}"#, false),
            ("role", r#"["a"]"#, r#"{"role": [["a"]]}"#, false),
            ("role", r#"["a"]"#, r#"{"role": {"a": true}}"#, false),
            ("role", r#"["a"]"#, r#"{"role": null}"#, false),
            ("role", r#"["a"]"#, "{}", false),
            ("scp", r#"["a"]"#, r#"{"scp": "b a"}"#, true),
            ("scope", r#"["a"]"#, r#"{"scope": ["a b"]}"#, false),
            ("scope", r#"[""]"#, r#"{"scope": "a  b"}"#, true),
            ("admin", "[true]", r#"{"admin": true}"#, true),
            ("admin", "[true]", r#"{"admin": "true"}"#, false),
            ("admin", "[true]", r#"{"admin": 1}"#, false),
            ("level", "[2, 3]", r#"{"level": 3}"#, true),
            ("level", "[2, 3]", r#"{"level": 3.0}"#, true),
            ("level", "[2, 3]", r#"{"level": "3"}"#, false),
            ("realm.roles", r#"["a"]"#, r#"{"realm": {"roles": ["a"]}}"#, true),
        ] {
            let Ok(Value::Array(values)) = Value::from_json(values) else { panic!("{values}") };
            let required = Requirement { claim: name.to_owned(), values: values.to_vec().into() };
            assert_eq!(required.is_met(&record(claims)), expected, "{required:?} {claims}");
        }
    }

    #[test]
    fn a_claim_in_a_header_or_a_hash_is_a_text() {
        for (json, text) in [
            (r#""a, b""#, "a, b"),
            ("7", "7"),
            ("true", "true"),
            (r#"["a,b", "c"]"#, r#"["a,b","c"]"#),
            (r#"{"a": 1}"#, r#"{"a":1}"#),
        ] {
            assert_eq!(text_of(&Value::from_json(json).unwrap()), text);
        }
    }
}
