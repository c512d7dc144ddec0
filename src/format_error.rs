//! The error of a codec or a processor that cannot decode or encode: a kind that code compares, and a text.

/// Why a message cannot be decoded, or an event cannot be encoded.
///
/// ```
/// # use towline::format_error::{FormatError, FormatErrorKind};
/// let error = FormatError::new(FormatErrorKind::Malformed, "invalid JSON: expected value at line 1 column 1");
/// assert_eq!(error.kind, FormatErrorKind::Malformed);
/// assert_eq!(error.to_string(), "invalid JSON: expected value at line 1 column 1");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct FormatError {
    /// The error in the message or the event.
    pub kind: FormatErrorKind,
    /// The text for the client. It contains only data of the client or of its upstream.
    pub detail: String,
}

/// An error in the bytes of a message, or in the data of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FormatErrorKind {
    /// Text that is not UTF-8.
    NotUtf8,
    /// Bytes that do not follow the codec's syntax, or data that the codec has no syntax for.
    Malformed,
    /// The message or event is larger than a processor allows.
    TooLarge,
    /// The connection ended before the end of the data.
    Truncated,
}

impl FormatError {
    /// Creates an error of this kind, with the text for the client.
    pub fn new(kind: FormatErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}
