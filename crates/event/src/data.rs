//! The data of an event, parsed only when it is read.

use bytestring::ByteString;

use crate::{Value, json};

/// The data of an event: a value, or JSON text that is not parsed yet.
#[derive(Debug, Clone)]
pub enum Data {
    /// A value.
    Value(Value),
    /// Well-formed JSON text, not parsed yet. Made by [`Data::json`] only.
    Json(JsonText),
}

/// JSON text that is known to be one well-formed document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonText(ByteString);

// === impl Data ===

impl Data {
    /// Checks JSON text without building a value.
    ///
    /// # Errors
    /// The parser's error, with line and column, when `text` is not one JSON document or nests deeper than
    /// 127 levels.
    pub fn json(text: ByteString) -> Result<Self, serde_json::Error> {
        json::check(&text)?;
        Ok(Self::Json(JsonText(text)))
    }

    /// The data's memory in bytes, without `size_of::<Self>()`; see [`Value::size`].
    pub fn size(&self) -> usize {
        match self {
            Self::Json(text) => text.0.len(),
            Self::Value(value) => value.size(),
        }
    }

    /// The data as a value. JSON text is parsed.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Value(value) => value.clone(),
            Self::Json(text) => text.parse(),
        }
    }

    /// The data as a value. JSON text is parsed; a value is returned without a copy.
    pub fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Json(text) => text.parse(),
        }
    }
}

impl From<Value> for Data {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        self.to_value() == other.to_value()
    }
}

impl JsonText {
    /// The JSON text as it was received, white space included.
    pub fn as_text(&self) -> &ByteString {
        &self.0
    }

    /// Whether the document is a string.
    pub fn is_string(&self) -> bool {
        self.0.trim_start().starts_with('"')
    }

    /// The JSON text, without a copy.
    pub fn into_text(self) -> ByteString {
        self.0
    }

    fn parse(&self) -> Value {
        json::parse(&self.0).expect("`Data::json` has checked it with the same parser")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_text_is_checked_but_not_parsed() {
        let data = Data::json(r#"{ "b": 1, "a": [ ] }"#.into()).unwrap();
        let Data::Json(text) = &data else { panic!("parsed too early") };
        assert_eq!(text.as_text(), r#"{ "b": 1, "a": [ ] }"#);
        assert_eq!(data.to_value().to_json(), r#"{"b":1,"a":[]}"#);
        assert!(Data::json("{".into()).is_err());
        assert!(Data::json("{} {}".into()).is_err());
        assert!(Data::json("[".repeat(100_000).into()).is_err());
        assert_eq!(Data::json(r#"{"a": 1e999}"#.into()).unwrap().to_value().to_json(), r#"{"a":1e999}"#);
    }
}
