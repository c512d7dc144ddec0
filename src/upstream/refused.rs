//! The response of an upstream that refuses the handshake: status, headers and a bounded body.
//!
//! awc drops everything but the status of such a response. [`KeepRefusals`] is a middleware of awc's client
//! that keeps the rest.

use std::{
    error::Error,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
};

use actix_codec::Framed;
use actix_http::{
    ResponseHead, StatusCode, Version,
    h1::{ClientCodec, MessageType},
    header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING},
};
use actix_service::Service;
use awc::{BoxedSocket, ConnectRequest, ConnectResponse, error::SendRequestError, middleware::Transform};
use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;

/// Maximum size of the body of a refusal that is passed on, in bytes. Larger bodies are replaced by a text.
pub const BODY_MAX: usize = 16 * 1024;

/// Maximum number of interim responses (1xx) before the final one, so that an upstream cannot send them
/// without end.
const INTERIM_MAX: usize = 8;

/// An upstream's response to a handshake, with a status other than 101.
pub struct Refused {
    /// The HTTP status of the response.
    pub status: StatusCode,
    /// All headers of the response.
    pub headers: HeaderMap,
    version: Version,
    connection: Framed<BoxedSocket, ClientCodec>,
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
    /// Reads the body, at most [`BODY_MAX`] bytes (RFC 9112 section 6.3). The caller limits the time.
    ///
    /// # Errors
    /// See [`BodyError`]. A body is whole or missing, never cut.
    pub async fn body(self) -> Result<Bytes, BodyError> {
        let Self { status, headers, version, connection } = self;
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) || status.is_informational() {
            return Ok(Bytes::new());
        }
        if version == Version::HTTP_11 && headers.contains_key(TRANSFER_ENCODING) {
            return chunked(connection).await;
        }
        let parts = connection.into_parts();
        match headers.get(CONTENT_LENGTH) {
            None => until_end(parts.io, parts.read_buf).await,
            Some(value) => {
                let length = value.to_str().ok().and_then(|text| text.trim().parse().ok());
                sized(parts.io, parts.read_buf, length.ok_or(BodyError::Incomplete)?).await
            }
        }
    }
}

async fn chunked(connection: Framed<BoxedSocket, ClientCodec>) -> Result<Bytes, BodyError> {
    if connection.codec_ref().message_type() != MessageType::Payload {
        return Err(BodyError::Incomplete);
    }
    let mut connection = connection.into_map_codec(ClientCodec::into_payload_codec);
    let mut body = BytesMut::new();
    loop {
        match poll_fn(|cx| Pin::new(&mut connection).next_item(cx)).await {
            Some(Ok(Some(chunk))) if body.len() + chunk.len() > BODY_MAX => return Err(BodyError::TooLarge),
            Some(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
            Some(Ok(None)) => return Ok(body.freeze()),
            Some(Err(_)) | None => return Err(BodyError::Incomplete),
        }
    }
}

async fn sized(mut socket: BoxedSocket, mut body: BytesMut, length: usize) -> Result<Bytes, BodyError> {
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

async fn until_end(mut socket: BoxedSocket, mut body: BytesMut) -> Result<Bytes, BodyError> {
    while body.len() <= BODY_MAX {
        if !read_some(&mut socket, &mut body).await? {
            return Ok(body.freeze());
        }
    }
    Err(BodyError::TooLarge)
}

/// Reads what the socket has. Returns false at its end.
async fn read_some(socket: &mut BoxedSocket, into: &mut BytesMut) -> Result<bool, BodyError> {
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

/// A middleware of awc's client that turns a response with a status other than 101 into an error that holds a
/// [`Refused`].
pub struct KeepRefusals;

impl<S> Transform<S, ConnectRequest> for KeepRefusals
where
    S: Service<ConnectRequest, Response = ConnectResponse, Error = SendRequestError>,
    S::Future: 'static,
{
    type Transform = RefusalKeeper<S>;

    fn new_transform(self, service: S) -> Self::Transform {
        RefusalKeeper { connector: service }
    }
}

/// awc's connector `S`, wrapped by [`KeepRefusals`].
pub struct RefusalKeeper<S> {
    connector: S,
}

impl<S> Service<ConnectRequest> for RefusalKeeper<S>
where
    S: Service<ConnectRequest, Response = ConnectResponse, Error = SendRequestError>,
    S::Future: 'static,
{
    type Response = ConnectResponse;
    type Error = SendRequestError;
    type Future = Pin<Box<dyn Future<Output = Result<ConnectResponse, SendRequestError>>>>;

    actix_service::forward_ready!(connector);

    fn call(&self, request: ConnectRequest) -> Self::Future {
        let answer = self.connector.call(request);
        Box::pin(async move {
            match answer.await? {
                ConnectResponse::Tunnel(head, connection) => examine(head, connection).await,
                other @ ConnectResponse::Client(_) => Ok(other),
            }
        })
    }
}

/// Passes the final response on if it is a 101. Skips interim responses (RFC 9110 section 15.2).
async fn examine(
    mut head: ResponseHead,
    mut connection: Framed<BoxedSocket, ClientCodec>,
) -> Result<ConnectResponse, SendRequestError> {
    for _ in 0..INTERIM_MAX {
        let interim = head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS;
        if !interim || connection.codec_ref().message_type() != MessageType::None {
            break;
        }
        let next = poll_fn(|cx| Pin::new(&mut connection).next_item(cx)).await;
        head = next.ok_or(SendRequestError::Connect(awc::error::ConnectError::Disconnected))??;
    }
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(ConnectResponse::Tunnel(head, connection));
    }
    let ResponseHead { version, status, ref headers, .. } = head;
    let refused = Refused { status, headers: headers.clone(), version, connection };
    Err(SendRequestError::Custom(Box::new(refused), Box::new("handshake")))
}
