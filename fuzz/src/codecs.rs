//! Fuzzes decoding of messages to data, and encoding of the data to messages.
//!
//! The first byte of an input chooses the codec: `m`, `s`, `j` or `b`, or any other byte as an index. The
//! rest is the message. The codec `message` treats it as a text message if it is UTF-8.

use bytes::Bytes;
use bytestring::ByteString;
use towline::{
    codec::{Codec, lookup, names},
    event::{Data, Value},
    format_error::FormatError,
};

/// Decoded data is encoded to the same bytes. After the data was parsed, as a pipeline does, it is encoded to
/// bytes that decode to the same data.
pub fn run(data: &[u8]) {
    let Some((choice, message)) = data.split_first() else { return };
    let codec = chosen(*choice);
    let chunk = Bytes::copy_from_slice(message);
    let decoded = decode(codec, chunk.clone());
    if let Ok(text) = ByteString::try_from(chunk.clone()) {
        assert_eq!(codec.decode_text(text), decoded, "as text");
    }
    match decoded {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(data) => {
            assert_eq!(codec.encode(data.clone()), Ok(chunk), "unchanged");
            look_into(codec, data);
        }
    }
}

/// Decodes a chunk of a message. Only the codec `message` distinguishes text from binary messages.
fn decode(codec: &dyn Codec, chunk: Bytes) -> Result<Data, FormatError> {
    let binary = std::str::from_utf8(&chunk).is_err();
    codec.decode_chunk(chunk, binary)
}

fn chosen(choice: u8) -> &'static dyn Codec {
    let names = names();
    let name = names.iter().find(|name| name.as_bytes()[0] == choice);
    let name = name.unwrap_or(&names[usize::from(choice) % names.len()]);
    lookup(name).expect("a codec is found by its name")
}

fn look_into(codec: &dyn Codec, data: Data) {
    let value = data.into_value();
    for other in names().into_iter().filter_map(lookup) {
        let encoded = other.encode(Data::from(value.clone())).expect("every codec encodes every value");
        if let Ok(text) = other.encode_text(Data::from(value.clone())) {
            assert_eq!(text.into_bytes(), encoded, "as text");
        }
    }
    let encoded = codec.encode(Data::from(value.clone())).expect("every codec encodes every value");
    let again = decode(codec, encoded).expect("a codec decodes its own output").into_value();
    assert_eq!(again, value, "decoded again");
    as_json(&value);
}

/// Checks that a value is written as JSON that parses to the same value, with bytes as base64.
fn as_json(value: &Value) {
    let text = value.to_json();
    let again = Data::json(text.clone().into()).expect("the output is JSON").into_value();
    assert_eq!(again.to_json(), text);
}
