//! The codec `json`: a message is one JSON document.

use bytes::Bytes;
use bytestring::ByteString;

use super::{Codec, utf8};
use crate::{
    event::Data,
    format_error::{FormatError, FormatErrorKind},
};

/// The codec `json`. Checks JSON text, which is parsed only when a pipeline reads it. Encodes any value as
/// JSON text.
#[derive(Debug)]
pub(super) struct Json;

impl Codec for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn decode(&self, chunk: Bytes) -> Result<Data, FormatError> {
        self.decode_text(utf8(chunk)?)
    }

    fn decode_text(&self, text: ByteString) -> Result<Data, FormatError> {
        Data::json(text)
            .map_err(|error| FormatError::new(FormatErrorKind::Malformed, format!("invalid JSON: {error}")))
    }

    fn encode(&self, data: Data) -> Result<Bytes, FormatError> {
        match data {
            Data::Json(text) => Ok(text.into_text().into_bytes()),
            Data::Value(value) => Ok(Bytes::from(value.to_json())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Value;

    fn refused(bytes: &'static [u8]) -> String {
        Json.decode(Bytes::from_static(bytes)).unwrap_err().to_string()
    }

    #[test]
    fn a_document_is_not_changed() {
        let chunk = Bytes::from(r#" {"z": 1.0, "a": [1, 2]} "#.to_owned());
        let data = Json.decode(chunk.clone()).unwrap();
        assert!(matches!(data, Data::Json(_)));
        let encoded = Json.encode(data).unwrap();
        assert_eq!(encoded, chunk);
        assert_eq!(encoded.as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn values_are_written_as_compact_json() {
        let encoded = |value: Value| Json.encode(value.into()).unwrap();
        assert_eq!(encoded(Value::string("say \"hi\"\n")), r#""say \"hi\"\n""#);
        assert_eq!(encoded(Value::array(vec![Value::Bool(true), Value::Float(1.5)])), "[true,1.5]");
        assert_eq!(encoded(Value::Bytes(Bytes::from_static(b"ab"))), r#""YWI=""#);
    }

    /// The fast path of a JSON parser would be off by one in the last digit of this float.
    #[test]
    fn a_float_keeps_its_value_when_a_pipeline_reads_it() {
        for text in
            ["1.2844674407376744e20", "7.038531e-26", "2.2250738585072014e-308", "0.30000000000000004"]
        {
            let data = Json.decode(Bytes::from_static(text.as_bytes())).unwrap();
            let value = data.into_value();
            assert_eq!(value, Value::Float(text.parse().unwrap()));
            let again = Json.encode(value.clone().into()).and_then(|bytes| Json.decode(bytes)).unwrap();
            assert_eq!(again.into_value(), value, "{text}");
        }
    }

    #[test]
    fn anything_but_one_document_is_refused() {
        assert_eq!(refused(b"{"), "invalid JSON: EOF while parsing an object at line 1 column 1");
        assert_eq!(refused(b""), "invalid JSON: EOF while parsing a value at line 1 column 0");
        assert_eq!(refused(b"1 2"), "invalid JSON: trailing characters at line 1 column 3");
        assert_eq!(refused(b"\"\xff\""), "invalid utf-8 sequence of 1 bytes from index 1");
    }
}
