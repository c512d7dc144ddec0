//! The codec `message`: text messages are strings, binary messages are bytes.

use bytes::Bytes;
use bytestring::ByteString;

use super::{Codec, encode_raw, encode_raw_text, utf8};
use crate::{
    event::{Data, Meta, Value},
    format_error::FormatError,
};

/// The codec `message`. Decodes a text message to a string and a binary message to bytes, and encodes strings
/// and bytes as the same kinds of messages. Other values are encoded as compact JSON in a text message.
#[derive(Debug)]
pub(super) struct AsSent;

impl Codec for AsSent {
    fn name(&self) -> &'static str {
        "message"
    }

    fn keeps_messages(&self) -> bool {
        true
    }

    fn decode(&self, chunk: Bytes) -> Result<Data, FormatError> {
        Ok(Data::Value(Value::Bytes(chunk)))
    }

    fn decode_text(&self, chunk: ByteString) -> Result<Data, FormatError> {
        Ok(Data::Value(Value::String(chunk)))
    }

    fn decode_chunk(&self, chunk: Bytes, binary: bool) -> Result<Data, FormatError> {
        if binary {
            return self.decode(chunk);
        }
        let text = utf8(chunk)?;
        self.decode_text(text)
    }

    /// Whether the message is binary: by the type of the data, unless `$binary` was set.
    fn is_binary(&self, data: &Data, meta: &Meta) -> bool {
        match meta.is_binary_set() {
            true => meta.binary,
            false => matches!(data, Data::Value(Value::Bytes(_))),
        }
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

    #[test]
    fn both_kinds_of_messages_share_their_bytes_with_the_data() {
        let bytes = Bytes::from(vec![0xff, 0, 10]);
        let data = AsSent.decode(bytes.clone()).unwrap();
        assert!(matches!(&data, Data::Value(Value::Bytes(_))), "{data:?}");
        assert_eq!(AsSent.encode(data).unwrap().as_ptr(), bytes.as_ptr());
        let text = ByteString::from("grüß dich".to_owned());
        let data = AsSent.decode_text(text.clone()).unwrap();
        assert!(matches!(&data, Data::Value(Value::String(_))), "{data:?}");
        assert_eq!(AsSent.encode_text(data).unwrap().as_bytes().as_ptr(), text.as_bytes().as_ptr());
    }

    #[test]
    fn a_chunk_has_the_kind_of_its_message() {
        let chunk = |bytes: &'static [u8], binary| AsSent.decode_chunk(Bytes::from_static(bytes), binary);
        assert!(matches!(chunk(b"a", true), Ok(Data::Value(Value::Bytes(_)))));
        assert!(matches!(chunk(b"a", false), Ok(Data::Value(Value::String(_)))));
        let refused = chunk(b"\xff", false).unwrap_err().to_string();
        assert_eq!(refused, "invalid utf-8 sequence of 1 bytes from index 0");
    }

    #[test]
    fn the_type_decides_the_kind_unless_binary_was_set() {
        let bytes = || Data::from(Value::Bytes(Bytes::from_static(b"\xff")));
        let record = || Data::from(Value::record([("a", Value::Null)]));
        let mut meta = Meta::new(true, None);
        assert!(AsSent.is_binary(&bytes(), &meta));
        assert!(!AsSent.is_binary(&Value::string("a").into(), &meta));
        assert!(!AsSent.is_binary(&record(), &meta));
        meta.set("binary", Value::Bool(true)).unwrap();
        assert!(AsSent.is_binary(&record(), &meta));
        meta.set("binary", Value::Bool(false)).unwrap();
        assert!(!AsSent.is_binary(&bytes(), &meta));
        let refused = AsSent.encode_text(bytes()).unwrap_err().to_string();
        assert!(refused.ends_with("of a text message ($binary is false)"), "{refused}");
    }
}
