//! Preprocessors and postprocessors: chunks of bytes to chunks of bytes, before and behind the codec.
//! One file each.

use bytes::Bytes;

/// Chunks from the wire to chunks for the codec. One value for each connection; it may buffer.
pub trait Preprocessor {
    /// Takes one message's bytes (or one chunk of the preprocessor before) and appends what is complete
    /// to `out`. `ends_message` tells that this chunk is the last of its WebSocket message.
    ///
    /// # Errors
    /// When the bytes are not what the preprocessor reads. What `out` holds already stays valid.
    fn process(
        &mut self,
        chunk: Bytes,
        ends_message: bool,
        out: &mut Vec<Bytes>,
    ) -> Result<(), ProcessorError>;
}

/// Chunks from the codec to messages for the wire.
pub trait Postprocessor {
    /// Takes one chunk and appends the results to `out`.
    ///
    /// # Errors
    /// When the chunk cannot be written.
    fn process(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ProcessorError>;
}

/// A processor and its options, as the settings name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// `lines`; `buffered`: a line may span messages.
    Lines {
        /// Whether a line may span messages.
        buffered: bool,
    },
}

/// Why a processor could not go on, in words for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProcessorError(pub String);
