//! Codecs: the bytes of a message to the data of an event, and back. One file each.

use std::fmt::Debug;

use bytes::Bytes;

use crate::event::Data;

/// Bytes to data and back.
pub trait Codec: Debug + Send + Sync {
    /// The name in the settings.
    fn name(&self) -> &'static str;

    /// Decodes one chunk.
    ///
    /// # Errors
    /// When the chunk is not what the codec reads; the text goes into an error reply.
    fn decode(&self, chunk: Bytes) -> Result<Data, CodecError>;

    /// Encodes the data of one event.
    ///
    /// # Errors
    /// When the codec cannot write the data.
    fn encode(&self, data: &Data) -> Result<Bytes, CodecError>;
}

/// Why a codec could not read or write, in words for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(pub String);
