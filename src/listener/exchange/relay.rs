//! Copies a request to the upstream, and its response to the client, at the same time.

use std::{
    cell::Cell,
    io::{self, ErrorKind},
    time::Duration,
};

use actix_http::{Method, StatusCode, header};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    time::{Instant, sleep_until},
};

use super::head::ResponsePolicy;
use crate::{
    http1::{
        BadChunk, BadResponse, BodyLength, Chunked, ResponseHead, ResponseReader,
        chunked::{LAST, encode},
        response::HEAD_MAX,
    },
    listener::{answer::Refusal, refusals::RefusalKind},
    net::{Socket, Stream, TlsError},
    session::LifetimeEnd,
};

/// Size of the buffer of each direction, in bytes.
const BUFFER: usize = 8 * 1024;

/// Maximum number of interim responses (1xx) that are passed on.
const INTERIM_MAX: usize = 16;

/// Maximum number of bytes that a client may send after its request. They are discarded.
const EXCESS_MAX: usize = 64 * 1024;

/// The state of one exchange.
pub(super) struct Relay<'a> {
    method: &'a Method,
    policy: &'a ResponsePolicy<'a>,
    /// Maximum time without progress in either direction.
    limit: Duration,
    /// When a byte was last read or written.
    progress: Cell<Instant>,
    /// The status of the response, once the client has got a part of it.
    status: Cell<Option<StatusCode>>,
}

/// How an exchange ends.
#[derive(Debug)]
pub(super) enum RelayEnd {
    /// The client has the whole response.
    Complete,
    /// The client has disconnected before the end of the response.
    Gone,
    /// The body of the request is malformed.
    BadRequest(BadChunk),
    /// The upstream's response is malformed.
    BadResponse(BadResponse),
    /// The upstream's connection failed or ended before the end of the response.
    Lost(io::Error),
    /// Nothing was read or written for the time limit.
    Late(Duration),
    /// The client's credential has expired, or the request is too old.
    Over(LifetimeEnd),
    /// The drain is over.
    Draining,
}

impl RelayEnd {
    /// The response to a client that has got nothing yet; `None` if nothing is wrong.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let (status, text, cause) = match self {
            Self::Complete | Self::Gone => return None,
            Self::BadRequest(error) => (StatusCode::BAD_REQUEST, "malformed chunked body", error.to_string()),
            Self::BadResponse(error) => {
                (StatusCode::BAD_GATEWAY, "the upstream's answer is malformed", error.to_string())
            }
            Self::Lost(error) => {
                (StatusCode::BAD_GATEWAY, "the upstream ended the connection before its answer", lost(error))
            }
            Self::Late(limit) => {
                let cause = format!("no progress within {}", humantime::format_duration(*limit));
                (StatusCode::GATEWAY_TIMEOUT, "the upstream did not answer in time", cause)
            }
            Self::Over(end) => {
                let cause = match end {
                    LifetimeEnd::Expired => "credential expired",
                    LifetimeEnd::Aged => "maximum age reached",
                };
                (StatusCode::GATEWAY_TIMEOUT, "the upstream did not answer in time", cause.to_owned())
            }
            Self::Draining => (StatusCode::SERVICE_UNAVAILABLE, "shutting down", "shutting down".to_owned()),
        };
        let refusal = Refusal { cause: Some(cause), ..Refusal::new(status, text) };
        Some(match self {
            Self::Draining => refusal.of_kind(RefusalKind::Draining).with(header::RETRY_AFTER, "5"),
            _ => refusal,
        })
    }
}

fn lost(error: &io::Error) -> String {
    match (TlsError::of(error), error.kind()) {
        // With TLS 1.3, a server refuses the certificate of the proxy after the handshake.
        (Some(error), _) => format!("TLS: {error}"),
        (None, ErrorKind::UnexpectedEof) => "connection closed".to_owned(),
        (None, kind) => format!("IO error: {kind}"),
    }
}

/// The connection of the side that a function reads from or writes to has failed.
struct Failed(io::Error);

// === impl Relay ===

impl<'a> Relay<'a> {
    pub(super) fn new(method: &'a Method, policy: &'a ResponsePolicy<'a>, limit: Duration) -> Self {
        let progress = Cell::new(Instant::now());
        Self { method, policy, limit, progress, status: Cell::new(None) }
    }

    /// The status of the response; `None` if the client has got nothing.
    pub(super) fn status(&self) -> Option<StatusCode> {
        self.status.get()
    }

    /// Forwards a request with this head and body. `early` is the beginning of the body, and may be longer than it.
    ///
    /// A response that is complete ends the exchange even if the client still sends its request.
    pub(super) async fn run(
        &self,
        client: &mut Stream,
        upstream: Socket,
        head: &[u8],
        body: BodyLength,
        early: &[u8],
    ) -> RelayEnd {
        self.moved();
        let (mut from_client, mut to_client) = split(client);
        let (mut from_upstream, mut to_upstream) = split(upstream);
        let receive = self.receive(&mut from_upstream, &mut to_client);
        let send = async {
            let sent = self.send(&mut from_client, &mut to_upstream, head, body, early).await;
            match sent {
                Ok(()) => {}
                Err(Sending::Client) => return RelayEnd::Gone,
                Err(Sending::Malformed(error)) => return RelayEnd::BadRequest(error),
                // The upstream may have answered before it stopped reading.
                Err(Sending::Upstream) => std::future::pending().await,
            }
            self.until_gone(&mut from_client).await
        };
        tokio::select! {
            biased;
            end = receive => end,
            end = send => end,
            () = self.stalled() => RelayEnd::Late(self.limit),
        }
    }

    /// Notes that a byte has been read or written.
    fn moved(&self) {
        self.progress.set(Instant::now());
    }

    /// Resolves when nothing has been read or written for the time limit.
    async fn stalled(&self) {
        loop {
            let end = self.progress.get() + self.limit;
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }

    /// Resolves when the client disconnects. Discards what it sends after its request.
    async fn until_gone(&self, client: &mut (impl AsyncRead + Unpin)) -> RelayEnd {
        let (mut buffer, mut excess) = ([0; 512], 0);
        while excess < EXCESS_MAX {
            match client.read(&mut buffer).await {
                Ok(0) | Err(_) => return RelayEnd::Gone,
                Ok(count) => excess += count,
            }
        }
        std::future::pending().await
    }

    async fn write(&self, to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), Failed> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match to.write(rest).await.map_err(Failed)? {
                0 => return Err(Failed(ErrorKind::WriteZero.into())),
                count => rest = &rest[count..],
            }
            self.moved();
        }
        // With TLS the last bytes may still wait.
        to.flush().await.map_err(Failed)
    }

    /// Reads what there is, at least one byte.
    async fn read<'b>(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], Failed> {
        let count = from.read(buffer).await.map_err(Failed)?;
        self.moved();
        if count == 0 { Err(Failed(ErrorKind::UnexpectedEof.into())) } else { Ok(&buffer[..count]) }
    }
}

// --- From the client to the upstream

/// Why a request is not sent completely.
enum Sending {
    Client,
    Malformed(BadChunk),
    Upstream,
}

impl Relay<'_> {
    async fn send(
        &self,
        client: &mut (impl AsyncRead + Unpin),
        upstream: &mut (impl AsyncWrite + Unpin),
        head: &[u8],
        body: BodyLength,
        early: &[u8],
    ) -> Result<(), Sending> {
        self.write(upstream, head).await.map_err(|_| Sending::Upstream)?;
        match body {
            BodyLength::None | BodyLength::UntilEnd => Ok(()),
            BodyLength::Sized(length) => self.send_sized(client, upstream, length, early).await,
            BodyLength::Chunked => self.send_chunked(client, upstream, early).await,
        }
    }

    async fn send_sized(
        &self,
        client: &mut (impl AsyncRead + Unpin),
        upstream: &mut (impl AsyncWrite + Unpin),
        length: u64,
        early: &[u8],
    ) -> Result<(), Sending> {
        let now = at_most(length, early.len());
        self.write(upstream, &early[..now]).await.map_err(|_| Sending::Upstream)?;
        let mut left = length - now as u64;
        let mut buffer = vec![0; BUFFER];
        while left > 0 {
            let room = at_most(left, BUFFER);
            let part = self.read(client, &mut buffer[..room]).await.map_err(|_| Sending::Client)?;
            left -= part.len() as u64;
            self.write(upstream, part).await.map_err(|_| Sending::Upstream)?;
        }
        Ok(())
    }

    async fn send_chunked(
        &self,
        client: &mut (impl AsyncRead + Unpin),
        upstream: &mut (impl AsyncWrite + Unpin),
        early: &[u8],
    ) -> Result<(), Sending> {
        let mut body = Chunked::default();
        let encoded = recode(&mut body, early).map_err(Sending::Malformed)?;
        self.write(upstream, &encoded).await.map_err(|_| Sending::Upstream)?;
        let mut buffer = vec![0; BUFFER];
        while !body.is_complete() {
            let part = self.read(client, &mut buffer).await.map_err(|_| Sending::Client)?;
            let encoded = recode(&mut body, part).map_err(Sending::Malformed)?;
            self.write(upstream, &encoded).await.map_err(|_| Sending::Upstream)?;
        }
        Ok(())
    }
}

fn at_most(length: u64, room: usize) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX).min(room)
}

/// The data in these bytes of a body of chunks, encoded again. What follows the body is left out.
fn recode(body: &mut Chunked, mut bytes: &[u8]) -> Result<Vec<u8>, BadChunk> {
    if body.is_complete() {
        return Ok(Vec::new());
    }
    let mut encoded = Vec::new();
    while let Some(data) = body.next(&mut bytes)? {
        encode(data, &mut encoded);
    }
    if body.is_complete() {
        encoded.extend_from_slice(LAST);
    }
    Ok(encoded)
}

// --- From the upstream to the client

/// Why a response is not passed on completely.
enum Receiving {
    Upstream(Failed),
    Malformed(BadResponse),
    Client,
}

impl Relay<'_> {
    async fn receive(
        &self,
        upstream: &mut (impl AsyncRead + Unpin),
        client: &mut (impl AsyncWrite + Unpin),
    ) -> RelayEnd {
        match self.pass_on(upstream, client).await {
            Ok(()) => RelayEnd::Complete,
            Err(Receiving::Client) => RelayEnd::Gone,
            Err(Receiving::Malformed(error)) => RelayEnd::BadResponse(error),
            Err(Receiving::Upstream(Failed(error))) => RelayEnd::Lost(error),
        }
    }

    async fn pass_on(
        &self,
        upstream: &mut (impl AsyncRead + Unpin),
        client: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Receiving> {
        let mut buffer = vec![0; BUFFER];
        let mut received = Vec::new();
        let mut response = self.head(upstream, &mut received, &mut buffer).await?;
        for _ in 0..INTERIM_MAX {
            if !response.status.is_informational() {
                break;
            }
            self.answer(client, &self.policy.bytes(&response, BodyLength::None)).await?;
            response = self.head(upstream, &mut received, &mut buffer).await?;
        }
        if response.status.is_informational() {
            return Err(Receiving::Malformed(BadResponse::TooLarge));
        }
        let head = self.policy.bytes(&response, response.body);
        // From the first byte on, the client can get no other response.
        self.status.set(Some(response.status));
        self.answer(client, &head).await?;
        self.body(upstream, client, response.body, &received, &mut buffer).await
    }

    async fn answer(&self, client: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), Receiving> {
        self.write(client, bytes).await.map_err(|_| Receiving::Client)
    }

    /// Reads a head. What follows it stays in `received`.
    async fn head(
        &self,
        upstream: &mut (impl AsyncRead + Unpin),
        received: &mut Vec<u8>,
        buffer: &mut [u8],
    ) -> Result<ResponseHead, Receiving> {
        let mut reader = ResponseReader::default();
        loop {
            if let Some((head, length)) = reader.read(received, self.method).map_err(Receiving::Malformed)? {
                received.drain(..length);
                return Ok(head);
            }
            let room = buffer.len().min(HEAD_MAX - received.len());
            let part = self.read(upstream, &mut buffer[..room]).await.map_err(Receiving::Upstream)?;
            received.extend_from_slice(part);
        }
    }

    async fn body(
        &self,
        upstream: &mut (impl AsyncRead + Unpin),
        client: &mut (impl AsyncWrite + Unpin),
        length: BodyLength,
        received: &[u8],
        buffer: &mut [u8],
    ) -> Result<(), Receiving> {
        match length {
            BodyLength::None => Ok(()),
            BodyLength::Sized(length) => {
                let now = at_most(length, received.len());
                self.answer(client, &received[..now]).await?;
                let mut left = length - now as u64;
                while left > 0 {
                    let room = at_most(left, buffer.len());
                    let part = self.read(upstream, &mut buffer[..room]).await.map_err(Receiving::Upstream)?;
                    left -= part.len() as u64;
                    self.answer(client, part).await?;
                }
                Ok(())
            }
            BodyLength::Chunked => {
                let mut body = Chunked::default();
                let mut part = received;
                loop {
                    let encoded =
                        recode(&mut body, part).map_err(|_| Receiving::Malformed(BadResponse::Malformed))?;
                    self.answer(client, &encoded).await?;
                    if body.is_complete() {
                        return Ok(());
                    }
                    part = self.read(upstream, buffer).await.map_err(Receiving::Upstream)?;
                }
            }
            BodyLength::UntilEnd => {
                let mut part = received;
                loop {
                    if !part.is_empty() {
                        let mut chunk = Vec::with_capacity(part.len() + 16);
                        encode(part, &mut chunk);
                        self.answer(client, &chunk).await?;
                    }
                    part = match self.read(upstream, buffer).await {
                        Ok(part) => part,
                        Err(Failed(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                            return self.answer(client, LAST).await;
                        }
                        Err(error) => return Err(Receiving::Upstream(error)),
                    };
                }
            }
        }
    }
}
