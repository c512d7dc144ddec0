//! The response of an upstream that refuses the handshake: status, headers and a bounded body.

use std::{error::Error, fmt};

use actix_http::{Method, StatusCode, Version, header::HeaderMap};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::{
    http1::{BodyLength, Chunked},
    net::Socket,
};

/// Maximum size of the body of a refusal that is passed on, in bytes. Larger bodies are replaced by a text.
pub const BODY_MAX: usize = 16 * 1024;

/// An upstream's response to a handshake, with a status other than 101.
pub struct Refused {
    /// The HTTP status of the response.
    pub status: StatusCode,
    /// All headers of the response.
    pub headers: HeaderMap,
    version: Version,
    socket: Socket,
    /// The bytes that were received after the head.
    early: BytesMut,
}

/// The reason why the body of a refusal is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The body is longer than [`BODY_MAX`].
    #[error("larger than 16 KiB")]
    TooLarge,
    /// The connection ended or broke the framing before the end of the body.
    #[error("incomplete")]
    Incomplete,
}

impl Refused {
    /// A response with these headers. `early` has the bytes that were received after them.
    pub(super) fn new(
        version: Version,
        status: StatusCode,
        headers: HeaderMap,
        socket: Socket,
        early: &[u8],
    ) -> Self {
        Self { status, headers, version, socket, early: early.into() }
    }

    /// Reads the body, at most [`BODY_MAX`] bytes (RFC 9112 section 6.3). The caller limits the time.
    ///
    /// # Errors
    /// See [`BodyError`]. A body is whole or missing, never cut.
    pub async fn body(self) -> Result<Bytes, BodyError> {
        let Self { status, headers, version, socket, early } = self;
        let length = BodyLength::of_response(&Method::GET, status, &headers);
        match length.map_err(|_| BodyError::Incomplete)? {
            BodyLength::None => Ok(Bytes::new()),
            BodyLength::Sized(length) => sized(socket, early, length).await,
            BodyLength::Chunked if version == Version::HTTP_11 => chunked(socket, early).await,
            // RFC 9112 section 6.1: the framing of such a message counts as faulty.
            BodyLength::Chunked => Err(BodyError::Incomplete),
            BodyLength::UntilEnd => until_end(socket, early).await,
        }
    }
}

async fn chunked(mut socket: impl AsyncRead + Unpin, mut bytes: BytesMut) -> Result<Bytes, BodyError> {
    let (mut body, mut chunks) = (BytesMut::new(), Chunked::default());
    loop {
        let mut input = &bytes[..];
        while let Some(data) = chunks.next(&mut input).map_err(|_| BodyError::Incomplete)? {
            if body.len() + data.len() > BODY_MAX {
                return Err(BodyError::TooLarge);
            }
            body.extend_from_slice(data);
        }
        if chunks.is_complete() {
            return Ok(body.freeze());
        }
        bytes.clear();
        if !read_some(&mut socket, &mut bytes).await? {
            return Err(BodyError::Incomplete);
        }
    }
}

async fn sized(
    mut socket: impl AsyncRead + Unpin,
    mut body: BytesMut,
    length: u64,
) -> Result<Bytes, BodyError> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > BODY_MAX {
        return Err(BodyError::TooLarge);
    }
    while body.len() < length {
        if !read_some(&mut socket, &mut body).await? {
            return Err(BodyError::Incomplete);
        }
    }
    body.truncate(length);
    Ok(body.freeze())
}

async fn until_end(mut socket: impl AsyncRead + Unpin, mut body: BytesMut) -> Result<Bytes, BodyError> {
    while body.len() <= BODY_MAX {
        if !read_some(&mut socket, &mut body).await? {
            return Ok(body.freeze());
        }
    }
    Err(BodyError::TooLarge)
}

/// Reads what the socket has. Returns false at its end.
async fn read_some(socket: &mut (impl AsyncRead + Unpin), into: &mut BytesMut) -> Result<bool, BodyError> {
    into.reserve(4096);
    let count = socket.read_buf(into).await.map_err(|_| BodyError::Incomplete)?;
    Ok(count > 0)
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("status", &self.status).finish_non_exhaustive()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "handshake refused with status {}", self.status.as_u16())
    }
}

impl Error for Refused {}
