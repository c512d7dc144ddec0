//! The data of an event, parsed only when it is read.

use std::sync::Arc;

use bytestring::ByteString;

use crate::{
    Value,
    json::{
        index::{Field, Index},
        parse,
    },
    outline::Outline,
};

/// The data of an event: a value, or JSON text that is not parsed yet.
#[derive(Debug, Clone)]
pub enum Data {
    /// A value.
    Value(Value),
    /// Well-formed JSON text, not parsed yet. Made by [`Data::json`] and [`Outline::to_json`] only.
    Json(JsonText),
}

/// JSON text that is known to be one well-formed document. Clones share the text.
#[derive(Debug, Clone)]
pub struct JsonText(Arc<Document>);

#[derive(Debug)]
struct Document {
    text: ByteString,
    index: Index,
}

// === impl Data ===

impl Data {
    /// Checks JSON text without building a value.
    ///
    /// # Errors
    /// The parser's error, with line and column, when `text` is not one JSON document or nests deeper than
    /// 127 levels.
    pub fn json(text: ByteString) -> Result<Self, serde_json::Error> {
        let index = match Index::of(&text) {
            Some(index) => index,
            // The slower check has the error.
            None => parse::check(&text).map(|()| Index::default())?,
        };
        Ok(Self::Json(JsonText(Arc::new(Document { text, index }))))
    }

    /// The data's memory in bytes, without `size_of::<Self>()`; see [`Value::size`].
    pub fn size(&self) -> usize {
        match self {
            Self::Json(text) => text.size(),
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

impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for JsonText {}

impl JsonText {
    /// The text of an [`Outline`], which is well-formed, and its index.
    pub(crate) fn of_parts(text: ByteString, index: Index) -> Self {
        Self(Arc::new(Document { text, index }))
    }

    /// The JSON text as it was received, white space included.
    pub fn as_text(&self) -> &ByteString {
        &self.0.text
    }

    /// Whether the document is a string.
    pub fn is_string(&self) -> bool {
        self.0.text.trim_start().starts_with('"')
    }

    /// The JSON text, without a copy.
    pub fn into_text(self) -> ByteString {
        Arc::try_unwrap(self.0).map_or_else(|shared| shared.text.clone(), |document| document.text)
    }

    /// Finds fields of the outermost object without reading the rest; `None` if that is not possible for this document.
    pub fn finder<'t>(&'t self) -> Option<impl Fn(&str) -> Option<&'t str>> {
        let fields = self.fields()?;
        Some(move |key: &str| {
            // The last of equal keys counts.
            let field = fields.iter().rfind(|field| field.key(&self.0.text) == key)?;
            Some(field.value(&self.0.text))
        })
    }

    /// The fields of the document, to be changed; `None` if it is not an object.
    pub fn outline(&self) -> Option<Outline<'_>> {
        let text = &*self.0.text;
        match self.fields() {
            Some(fields) => {
                Some(Outline::of_fields(fields.iter().map(|field| (field.key(text), field.value(text)))))
            }
            None => Outline::of_document(text),
        }
    }

    fn fields(&self) -> Option<&[Field]> {
        self.0.index.fields()
    }

    fn size(&self) -> usize {
        self.0.text.len() + self.0.index.size()
    }

    fn parse(&self) -> Value {
        parse::parse(&self.0.text).expect("`Data::json` has checked it, as strictly as the parser does")
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
