//! Messages of HTTP/1.1 with bodies (RFC 9112), for requests that are forwarded.
//!
//! ```text
//! headers ─► framing: how long is the body? ─► chunked: its data
//! bytes of an upstream ─► response: status, headers and framing
//! lines of a head ─► lines: bytes
//! ```
//!
//! # Security
//! Two servers that disagree about the end of a message take the rest for another message (request smuggling). The
//! proxy therefore writes the framing of every message itself, and refuses one that could be read in two ways.

pub mod chunked;
pub mod framing;
pub mod lines;
pub mod response;

pub use self::{
    chunked::{BadChunk, Chunked},
    framing::{BadFraming, BodyLength},
    lines::push_line,
    response::{BadResponse, HEAD_MAX, ResponseHead, ResponseLines, ResponseReader, response_lines},
};
