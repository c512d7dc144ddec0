//! Codecs translate between the bytes of a message and the data of an event. There is one file for each
//! codec.
//!
//! A codec has no state, so all connections share one instance: [`lookup`] finds it by the name in the
//! settings. The data shares memory with the bytes of the message unless the codec changes them.

mod binary;
mod json;
mod message;
mod string;

use std::fmt::Debug;

use bytes::Bytes;
use bytestring::ByteString;

use crate::{
    event::{Data, Meta, Value},
    format_error::{FormatError, FormatErrorKind},
};

/// All codecs, in the order in which error texts list them.
static CODECS: [&dyn Codec; 4] = [&message::AsSent, &string::Utf8, &json::Json, &binary::Binary];

/// Decodes bytes to data, and encodes data to bytes.
pub trait Codec: Debug + Send + Sync {
    /// The codec's name in the settings.
    fn name(&self) -> &'static str;

    /// Whether each message becomes an event with the same content, and this event the same message. Messages then need
    /// not become events for a route on which nothing reads them.
    fn keeps_messages(&self) -> bool {
        false
    }

    /// Decodes one chunk.
    ///
    /// # Errors
    /// When the codec cannot decode the chunk. The error's text becomes part of the error reply to the client.
    fn decode(&self, chunk: Bytes) -> Result<Data, FormatError>;

    /// Decodes a chunk that is already known to be UTF-8.
    ///
    /// # Errors
    /// The same errors as [`Codec::decode`].
    fn decode_text(&self, chunk: ByteString) -> Result<Data, FormatError> {
        self.decode(chunk.into_bytes())
    }

    /// Decodes a chunk made by preprocessors. `binary` is whether the chunk came in a binary message.
    ///
    /// # Errors
    /// The same errors as [`Codec::decode`].
    fn decode_chunk(&self, chunk: Bytes, _binary: bool) -> Result<Data, FormatError> {
        self.decode(chunk)
    }

    /// Whether an event is sent as a binary message.
    fn is_binary(&self, _data: &Data, meta: &Meta) -> bool {
        meta.binary
    }

    /// Encodes the data of one event. The data is taken by value, so that unshared bytes stay unshared and
    /// can be masked in place.
    ///
    /// # Errors
    /// When the codec cannot encode the data.
    fn encode(&self, data: Data) -> Result<Bytes, FormatError>;

    /// Encodes the data of one event as text.
    ///
    /// # Errors
    /// When the codec cannot encode the data, or when the result is not UTF-8.
    fn encode_text(&self, data: Data) -> Result<ByteString, FormatError> {
        self.encode(data).and_then(text_of)
    }
}

/// The codec with this name; `None` if there is none.
///
/// ```
/// # use towline::codec::lookup;
/// assert_eq!(lookup("json").map(|codec| codec.name()), Some("json"));
/// assert!(lookup("morse").is_none());
/// ```
pub fn lookup(name: &str) -> Option<&'static dyn Codec> {
    CODECS.iter().copied().find(|codec| codec.name() == name)
}

/// The names of all codecs, for error texts.
pub fn names() -> Vec<&'static str> {
    CODECS.iter().map(|codec| codec.name()).collect()
}

/// The chunk as text.
///
/// # Errors
/// When the chunk is not UTF-8.
pub fn text_of(chunk: Bytes) -> Result<ByteString, FormatError> {
    utf8(chunk).map_err(|FormatError { kind, detail }| {
        FormatError::new(kind, format!("{detail} of a text message ($binary is false)"))
    })
}

/// The chunk as text, for a codec whose data is text.
fn utf8(chunk: Bytes) -> Result<ByteString, FormatError> {
    ByteString::try_from(chunk).map_err(|error| FormatError::new(FormatErrorKind::NotUtf8, error.to_string()))
}

/// Encodes strings and bytes as they are, without a copy, and other values as JSON. A JSON document that is a
/// string is encoded as its text.
fn encode_raw(data: Data) -> Bytes {
    match data {
        Data::Json(text) if text.is_string() => encode_raw(Data::Value(Data::Json(text).into_value())),
        Data::Json(text) => text.into_text().into_bytes(),
        Data::Value(Value::String(text)) => text.into_bytes(),
        Data::Value(Value::Bytes(bytes)) => bytes,
        Data::Value(value) => Bytes::from(value.to_json()),
    }
}

/// Encodes data to the same bytes as [`encode_raw`], as text. A string is known to be UTF-8 and is not
/// checked again.
fn encode_raw_text(data: Data) -> Result<ByteString, FormatError> {
    match data {
        Data::Value(Value::String(text)) => Ok(text),
        data => text_of(encode_raw(data)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_codec_is_found_by_its_name() {
        assert_eq!(names(), ["message", "string", "json", "binary"]);
        for name in names() {
            assert_eq!(lookup(name).unwrap().name(), name);
        }
        assert!(lookup("String").is_none(), "names are exact");
    }

    proptest! {
        #[test]
        fn decoded_data_is_encoded_to_the_same_bytes(
            bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..40), r#"[\[\]{}",:0-9a ]{0,12}"#.prop_map(String::into_bytes)]
        ) {
            let chunk = Bytes::from(bytes);
            for codec in CODECS {
                if let Ok(data) = codec.decode(chunk.clone()) {
                    let encoded = codec.encode(data).unwrap();
                    prop_assert_eq!(&encoded, &chunk);
                    prop_assert_eq!(encoded.as_ptr(), chunk.as_ptr(), "shared, not copied");
                }
            }
        }
    }
}
