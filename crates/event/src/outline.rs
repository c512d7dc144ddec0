//! The fields of a JSON text, of which some can be changed while the others stay text.

use std::borrow::Cow;

use bytestring::ByteString;
use indexmap::IndexMap;

use crate::{
    JsonText, Value,
    json::{
        index::{Index, each_field},
        parse,
        scanner::DEPTH_MAX,
    },
};

/// The fields of an object, in order. They stay text until they are changed, so changing one field does not parse the
/// others. As in a [`Record`](crate::Record), of two fields with the same key there is only the last one, at the place
/// of the first one.
#[derive(Debug, Clone, Default)]
pub struct Outline<'t>(IndexMap<Cow<'t, str>, Part<'t>>);

/// The value of a field: its text, another value, or an object whose fields can be changed.
#[derive(Debug, Clone)]
pub struct Part<'t>(Content<'t>);

#[derive(Debug, Clone)]
enum Content<'t> {
    Text(&'t str),
    Value(Value),
    Fields(Box<Outline<'t>>),
}

/// The error of a text that would nest deeper than 127 levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value nests deeper than 127 levels")]
pub struct TooDeep;

// === impl Outline ===

impl<'t> Outline<'t> {
    /// The fields of an object, whose text has no white space around it.
    fn of(text: &'t str) -> Self {
        let mut fields = IndexMap::new();
        each_field(text, |key, value| {
            fields.insert(key, Part(Content::Text(value)));
        });
        Self(fields)
    }

    /// The fields with these keys and texts.
    pub(crate) fn of_fields(fields: impl ExactSizeIterator<Item = (&'t str, &'t str)>) -> Self {
        let mut map = IndexMap::with_capacity(fields.len() + 1);
        map.extend(fields.map(|(key, value)| (Cow::Borrowed(key), Part(Content::Text(value)))));
        Self(map)
    }

    /// The fields of the object in this text; `None` if the text is something else.
    pub(crate) fn of_document(text: &'t str) -> Option<Self> {
        let text = text.trim_matches([' ', '\n', '\t', '\r']);
        text.starts_with('{').then(|| Self::of(text))
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a field with this key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The value of a field.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Part<'t>> {
        self.0.get_mut(key)
    }

    /// The value of a field, which is added as the last one if it does not exist.
    pub fn get_or_insert_with(&mut self, key: &str, default: impl FnOnce() -> Part<'t>) -> &mut Part<'t> {
        self.0.entry(Cow::Owned(key.to_owned())).or_insert_with(default)
    }

    /// Sets a field: at its place if it exists, otherwise as the last one.
    pub fn insert(&mut self, key: ByteString, part: Part<'t>) {
        self.0.insert(Cow::Owned(key.to_string()), part);
    }

    /// Removes a field. The order of the others does not change.
    pub fn remove(&mut self, key: &str) -> Option<Part<'t>> {
        self.0.shift_remove(key)
    }

    /// All values that are not text of the document, each with the number of objects that it is in.
    pub fn values(&self) -> Vec<(&Value, usize)> {
        let mut values = Vec::new();
        self.add_values(1, &mut values);
        values
    }

    fn add_values<'v>(&'v self, depth: usize, values: &mut Vec<(&'v Value, usize)>) {
        for part in self.0.values() {
            match &part.0 {
                Content::Text(_) => {}
                Content::Value(value) => values.push((value, depth)),
                Content::Fields(fields) => fields.add_values(depth + 1, values),
            }
        }
    }

    /// The object as JSON text. Keeps the text of fields that have text, and writes no white space between fields.
    ///
    /// # Errors
    /// When a value nests so deeply that the text could not be parsed.
    pub fn to_json(&self) -> Result<JsonText, TooDeep> {
        let values = self.values();
        if values.iter().any(|(value, depth)| nests_beyond(value, DEPTH_MAX as usize - depth)) {
            return Err(TooDeep);
        }
        let (mut out, mut index) = (Vec::with_capacity(self.text_len() + 64), Index::new());
        self.write(&mut out, Some(&mut index));
        // A text of parts that are JSON, each at its place, is JSON.
        let text = String::from_utf8(out).map_err(|_| TooDeep)?;
        Ok(JsonText::of_parts(text.into(), index))
    }

    /// The object as a value.
    pub fn to_value(&self) -> Value {
        Value::record(self.0.iter().map(|(key, part)| (&**key, part.to_value())))
    }

    /// The length of the parts that are text, with their keys.
    pub fn text_len(&self) -> usize {
        /// Two quotes, a colon and a comma.
        const PUNCTUATION: usize = 4;
        let len = |(key, part): (&Cow<'_, str>, &Part<'_>)| {
            let value = match &part.0 {
                Content::Text(text) => text.len(),
                Content::Value(_) => 0,
                Content::Fields(fields) => fields.text_len(),
            };
            key.len() + PUNCTUATION + value
        };
        self.0.iter().map(len).sum()
    }

    /// Writes the object, and adds its fields to an index of the text.
    fn write(&self, out: &mut Vec<u8>, mut index: Option<&mut Index>) {
        for (number, (key, part)) in self.0.iter().enumerate() {
            out.push(if number == 0 { b'{' } else { b',' });
            let start = out.len() + 1;
            write_json(out, &**key);
            let written_key = start..out.len() - 1;
            out.push(b':');
            let start = out.len();
            match &part.0 {
                Content::Text(text) => out.extend_from_slice(text.as_bytes()),
                Content::Value(value) => write_json(out, value),
                Content::Fields(fields) => fields.write(out, None),
            }
            if let Some(index) = &mut index {
                let is_escaped = written_key.len() != key.len();
                index.add(written_key, is_escaped, start..out.len());
            }
        }
        out.extend_from_slice(if self.0.is_empty() { b"{}" } else { b"}" });
    }
}

/// Writes to memory, which does not fail.
fn write_json(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

/// Whether a value has more than `levels` arrays and records inside each other.
fn nests_beyond(value: &Value, levels: usize) -> bool {
    let inner = |value: &Value| levels == 0 || nests_beyond(value, levels - 1);
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(inner),
        Value::Record(record) => levels == 0 || record.values().any(inner),
        _ => false,
    }
}

// === impl Part ===

impl<'t> Part<'t> {
    /// The fields of an object, to be changed; `None` if the value is something else.
    pub fn fields_mut(&mut self) -> Option<&mut Outline<'t>> {
        let fields = match &self.0 {
            Content::Text(text) if text.starts_with('{') => Some(Outline::of(text)),
            Content::Value(Value::Record(record)) => {
                let field = |(key, value): (&ByteString, &Value)| {
                    (Cow::Owned(key.to_string()), Self::from(value.clone()))
                };
                Some(Outline(record.iter().map(field).collect()))
            }
            _ => None,
        };
        if let Some(fields) = fields {
            self.0 = Content::Fields(Box::new(fields));
        }
        match &mut self.0 {
            Content::Fields(fields) => Some(fields),
            _ => None,
        }
    }

    /// The value, which is parsed or built from its parts.
    pub fn to_value(&self) -> Value {
        match &self.0 {
            Content::Text(text) => parse::parse(text).unwrap_or_default(),
            Content::Value(value) => value.clone(),
            Content::Fields(fields) => fields.to_value(),
        }
    }
}

impl From<Value> for Part<'_> {
    fn from(value: Value) -> Self {
        Self(Content::Value(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Data;

    fn text(json: &str) -> JsonText {
        match Data::json(json.into()).unwrap() {
            Data::Json(text) => text,
            Data::Value(_) => panic!("it is text"),
        }
    }

    #[test]
    fn fields_that_are_not_changed_keep_their_text() {
        let text = text(" { \"a\" : 1.50 , \"b\":{ \"x\" : [ 1 ] }, \"c\":1e400}");
        let mut outline = text.outline().unwrap();
        outline.insert("d".into(), Value::Int(2).into());
        outline.get_mut("b").unwrap().fields_mut().unwrap().insert("\n".into(), Value::Null.into());
        outline.remove("c");
        assert_eq!(
            outline.to_json().unwrap().as_text(),
            "{\"a\":1.50,\"b\":{\"x\":[ 1 ],\"\\n\":null},\"d\":2}"
        );
        assert_eq!(outline.values(), [(&Value::Null, 2), (&Value::Int(2), 1)]);
        let written = outline.to_json().unwrap();
        let find = written.finder().unwrap();
        assert_eq!(
            ["a", "b", "c", "d"].map(find),
            [Some("1.50"), Some(r#"{"x":[ 1 ],"\n":null}"#), None, Some("2")]
        );
        outline.insert("\n".into(), Value::Null.into());
        assert!(outline.to_json().unwrap().finder().is_none());
    }

    #[test]
    fn the_last_of_two_keys_counts() {
        for json in [r#"{"a":1,"b":2,"a":3}"#, r#"{"a":1,"b":2,"\u0061":3}"#] {
            assert_eq!(text(json).outline().unwrap().to_json().unwrap().as_text(), r#"{"a":3,"b":2}"#);
        }
        assert_eq!(text(" {} ").outline().unwrap().to_json().unwrap().as_text(), "{}");
        assert!(text("[]").outline().is_none());
    }

    #[test]
    fn a_text_that_could_not_be_parsed_is_not_written() {
        let nested = |levels: usize| (0..levels).fold(Value::Null, |value, _| Value::array(vec![value]));
        let with = |levels| {
            let text = text("{}");
            let mut outline = text.outline().unwrap();
            outline.insert("a".into(), nested(levels).into());
            outline.to_json()
        };
        let deepest = with(126).unwrap();
        assert!(parse::check(deepest.as_text()).is_ok());
        assert_eq!(with(127), Err(TooDeep));
    }
}
