//! The codec `binary`: a message is uninterpreted bytes.

use bytes::Bytes;

use super::{Codec, encode_raw};
use crate::{
    event::{Data, Value},
    format_error::FormatError,
};

/// The codec `binary`. Decodes bytes to a bytes value. Encodes bytes and strings as they are, other values as
/// compact JSON.
#[derive(Debug)]
pub(super) struct Binary;

impl Codec for Binary {
    fn name(&self) -> &'static str {
        "binary"
    }

    fn decode(&self, chunk: Bytes) -> Result<Data, FormatError> {
        Ok(Data::Value(Value::Bytes(chunk)))
    }

    fn encode(&self, data: Data) -> Result<Bytes, FormatError> {
        Ok(encode_raw(data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_unchanged() {
        let chunk = Bytes::from(vec![0xff, 0, 10]);
        let data = Binary.decode(chunk.clone()).unwrap();
        assert!(matches!(&data, Data::Value(Value::Bytes(bytes)) if *bytes == chunk));
        assert_eq!(Binary.encode(data).unwrap().as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn other_data_is_written_raw_or_as_json() {
        let encoded = |value: Value| Binary.encode(value.into()).unwrap();
        assert_eq!(encoded(Value::string("text")), "text");
        assert_eq!(encoded(Value::Int(-1)), "-1");
        assert_eq!(encoded(Value::record([("a", Value::Null)])), r#"{"a":null}"#);
    }
}
