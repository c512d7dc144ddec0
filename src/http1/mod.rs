//! Messages of HTTP/1.1 with bodies (RFC 9112), for requests that are forwarded.
//!
//! ```text
//! headers ─► framing: how long is the body? ─► chunked: its data
//! bytes of an upstream ─► response: status, headers and framing
//! ```
//!
//! # Security
//! Two servers that disagree about the end of a message take the rest for another message (request smuggling). The
//! proxy therefore writes the framing of every message itself, and refuses one that could be read in two ways.

pub mod chunked;
pub mod framing;
pub mod response;

pub use self::{
    chunked::{BadChunk, Chunked},
    framing::{BadFraming, BodyLength},
    response::{BadResponse, ResponseHead, ResponseReader},
};
