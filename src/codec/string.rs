//! The codec `string`: a message is UTF-8 text.

use bytes::Bytes;
use bytestring::ByteString;

use super::{Codec, encode_raw, encode_raw_text, utf8};
use crate::{
    event::{Data, Value},
    format_error::FormatError,
};

/// The codec `string`. Decodes UTF-8 text to a string. Encodes a string as its text, other values as compact
/// JSON.
#[derive(Debug)]
pub(super) struct Utf8;

impl Codec for Utf8 {
    fn name(&self) -> &'static str {
        "string"
    }

    fn decode(&self, chunk: Bytes) -> Result<Data, FormatError> {
        let text = utf8(chunk)?;
        Ok(Data::Value(Value::String(text)))
    }

    fn decode_text(&self, chunk: ByteString) -> Result<Data, FormatError> {
        Ok(Data::Value(Value::String(chunk)))
    }

    fn encode(&self, data: Data) -> Result<Bytes, FormatError> {
        Ok(encode_raw(data))
    }

    fn encode_text(&self, data: Data) -> Result<ByteString, FormatError> {
        encode_raw_text(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(data: impl Into<Data>) -> Bytes {
        Utf8.encode(data.into()).unwrap()
    }

    #[test]
    fn text_becomes_a_string_that_shares_its_bytes() {
        let chunk = Bytes::from("grüß dich".to_owned());
        let data = Utf8.decode(chunk.clone()).unwrap();
        let Data::Value(Value::String(text)) = &data else { panic!("{data:?}") };
        assert_eq!(text, "grüß dich");
        assert_eq!(text.as_bytes().as_ptr(), chunk.as_ptr());
        assert_eq!(Utf8.encode(data.clone()).unwrap().as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn invalid_utf8_is_refused_with_the_error_of_the_standard_library() {
        let refused = |bytes: &'static [u8]| Utf8.decode(Bytes::from_static(bytes)).unwrap_err().to_string();
        assert_eq!(refused(b"\xff\xfe "), "invalid utf-8 sequence of 1 bytes from index 0");
        assert_eq!(refused(b"ab\xe2\x82"), "incomplete utf-8 byte sequence from index 2");
        // A lone surrogate is not UTF-8 (RFC 3629 section 3).
        assert_eq!(refused(b"\xed\xa0\x80"), "invalid utf-8 sequence of 1 bytes from index 0");
    }

    #[test]
    fn other_data_is_written_raw_or_as_json() {
        assert_eq!(encoded(Value::Bytes(Bytes::from_static(b"\xff\x00"))), &b"\xff\x00"[..]);
        assert_eq!(encoded(Data::json(r#"{ "a" : 1 }"#.into()).unwrap()), r#"{ "a" : 1 }"#);
        assert_eq!(
            encoded(Value::record([("a", Value::Null), ("b", Value::from(2))])),
            r#"{"a":null,"b":2}"#
        );
        assert_eq!(encoded(Value::Null), "null");
        assert_eq!(encoded(Value::string("")), "");
    }
}
